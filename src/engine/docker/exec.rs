//! Commands in a running container: health checks as the Engine would make them, and hooks.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::DockerEngine;
use crate::engine::EngineError;
use crate::model::ContainerId;
use crate::model::service::Hook;

/// What is kept of a command's output, to tell why it failed.
const KEPT: usize = 2_000;

/// How a command ended.
struct Ended {
    /// The exit code; `None`: it took too long.
    code: Option<i64>,
    /// The end of what it wrote.
    output: String,
}

impl Ended {
    /// Why it is a failure, if it is one.
    fn complaint(&self, command: &str, timeout: Duration) -> Option<String> {
        let message = match self.code {
            Some(0) => return None,
            Some(code) => format!("`{command}` ended with {code}: {}", super::one_line(&self.output)),
            None => format!("`{command}` took longer than {timeout:?}"),
        };
        Some(message.trim_end_matches([':', ' ']).to_owned())
    }
}

/// Makes a check; says why it failed, `None` if it passed.
pub(super) async fn check(
    engine: &DockerEngine,
    id: &ContainerId,
    test: &[String],
    timeout: Duration,
) -> Result<Option<String>, EngineError> {
    let command = match test {
        [kind, command @ ..] if kind == "CMD" => command.to_vec(),
        [kind, line] if kind == "CMD-SHELL" => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        _ => return Ok(Some("its test is no command".to_owned())),
    };
    let words = command.join(" ");
    let options = CreateExecOptions { cmd: Some(command), ..CreateExecOptions::default() };
    let ended = run(engine, id, options, timeout).await?;
    Ok(ended.complaint(&words, timeout))
}

/// Runs a hook.
pub(super) async fn hook(
    engine: &DockerEngine,
    id: &ContainerId,
    hook: &Hook,
    timeout: Duration,
) -> Result<(), EngineError> {
    let environment = hook.environment.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    });
    let options = CreateExecOptions {
        cmd: Some(hook.command.clone()),
        env: (!hook.environment.is_empty()).then(|| environment.collect()),
        user: hook.user.clone(),
        privileged: hook.privileged.then_some(true),
        working_dir: hook.working_dir.clone(),
        ..CreateExecOptions::default()
    };
    let ended = run(engine, id, options, timeout).await?;
    let command = hook.command.join(" ");
    match ended.complaint(&command, timeout) {
        None => Ok(()),
        Some(why) => Err(EngineError::CommandFailed(format!("the hook {why}"))),
    }
}

async fn run(
    engine: &DockerEngine,
    id: &ContainerId,
    options: CreateExecOptions<String>,
    timeout: Duration,
) -> Result<Ended, EngineError> {
    let options = CreateExecOptions { attach_stdout: Some(true), attach_stderr: Some(true), ..options };
    let made = engine.write(engine.docker.create_exec(id.as_str(), options)).await?;
    let mut kept = String::new();
    let ends = async {
        // Its end is the end of what it writes.
        if let StartExecResults::Attached { mut output, .. } =
            engine.write(engine.docker.start_exec(&made.id, None)).await?
        {
            while let Some(Ok(line)) = output.next().await {
                kept.push_str(&line.to_string());
                if kept.len() > KEPT {
                    let from = kept.ceil_char_boundary(kept.len() - KEPT);
                    kept.drain(..from);
                }
            }
        }
        engine.read(engine.docker.inspect_exec(&made.id)).await
    };
    let ended = tokio::time::timeout(timeout, ends).await;
    let code = match ended {
        Ok(ended) => Some(ended?.exit_code.unwrap_or(-1)),
        Err(_) => None,
    };
    Ok(Ended { code, output: kept })
}
