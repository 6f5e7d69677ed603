//! Commands in a running container: health checks as the Engine would make them, and hooks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures_util::StreamExt;

use super::{DockerEngine, refusal};
use crate::engine::EngineError;
use crate::engine::unfinished::{self, Running};
use crate::model::ContainerId;
use crate::model::service::Hook;

/// What is kept of a command's output, to tell why it failed.
const KEPT: usize = 2_000;

/// Containers of which it is known what runs in them; when there are more, all that run nothing are forgotten.
const KNOWN: usize = 4_096;
/// Between two looks at whether a command has ended that writes no more.
const LOOK: Duration = Duration::from_millis(10);

/// What runs in containers by way of exec, as far as it was begun here or was found there.
#[derive(Debug, Default)]
pub(super) struct Execs {
    containers: Mutex<BTreeMap<ContainerId, Vec<Exec>>>,
    count: AtomicU64,
}

#[derive(Debug, Clone)]
struct Exec {
    number: u64,
    /// `None`: it is about to be made.
    id: Option<String>,
    running: Running,
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Vec<Exec>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets what has ended of the commands that matter to this one. What runs in a container that was not asked about
    /// yet the Engine tells: an earlier life of this program may have left something there.
    async fn update(&self, engine: &DockerEngine, id: &ContainerId, command: &[String]) -> Result<(), EngineError> {
        let known = self.lock().get(id).cloned();
        let Some(known) = known else {
            let found = self.found(engine, id).await?;
            let mut containers = self.lock();
            if containers.len() >= KNOWN {
                containers.retain(|_, execs| !execs.is_empty());
            }
            containers.entry(id.clone()).or_insert(found);
            return Ok(());
        };
        let matters = |e: &&Exec| !e.running.awaited && (e.running.ours || e.running.command == command);
        for exec in known.iter().filter(matters) {
            let Some(exec_id) = &exec.id else { continue };
            if tell(engine, exec_id).await?.is_none_or(|exec| exec.running != Some(true)) {
                self.forget(id, exec.number);
            }
        }
        Ok(())
    }

    async fn found(&self, engine: &DockerEngine, id: &ContainerId) -> Result<Vec<Exec>, EngineError> {
        let container = engine.read(engine.docker.inspect_container(id.as_str(), None)).await;
        let container = container.map_err(|error| refusal::about(id, error))?;
        let mut found = Vec::new();
        for exec_id in container.exec_ids.unwrap_or_default() {
            let Some(exec) = tell(engine, &exec_id).await?.filter(|exec| exec.running == Some(true)) else { continue };
            let process = exec.process_config.unwrap_or_default();
            let command = process.entrypoint.into_iter().chain(process.arguments.unwrap_or_default()).collect();
            let running = Running { command, ours: false, awaited: false };
            found.push(Exec { number: self.number(), id: Some(exec_id), running });
        }
        Ok(found)
    }

    /// Takes a place for a command that begins; an error: why it may not.
    fn take(self: &Arc<Self>, id: &ContainerId, command: &[String]) -> Result<Place, String> {
        let mut containers = self.lock();
        let execs = containers.entry(id.clone()).or_default();
        if let Some(why) = unfinished::why_not(command, execs.iter().map(|exec| &exec.running)) {
            return Err(why);
        }
        let number = self.number();
        let running = Running { command: command.to_vec(), ours: true, awaited: true };
        execs.push(Exec { number, id: None, running });
        drop(containers);
        Ok(Place { execs: Arc::clone(self), container: id.clone(), number })
    }

    fn with(&self, id: &ContainerId, number: u64, change: impl FnOnce(&mut Exec)) {
        if let Some(exec) = self.lock().get_mut(id).and_then(|execs| execs.iter_mut().find(|e| e.number == number)) {
            change(exec);
        }
    }

    fn forget(&self, id: &ContainerId, number: u64) {
        if let Some(execs) = self.lock().get_mut(id) {
            execs.retain(|exec| exec.number != number);
        }
    }
}

/// What the Engine tells of a command; `None`: it knows of none.
async fn tell(engine: &DockerEngine, exec: &str) -> Result<Option<ExecInspectResponse>, EngineError> {
    match engine.read(engine.docker.inspect_exec(exec)).await {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The place of a command that is waited for. Whoever drops it before its end gives the command up: it may run on.
struct Place {
    execs: Arc<Execs>,
    container: ContainerId,
    number: u64,
}

impl Place {
    fn made(&self, exec: &str) {
        self.execs.with(&self.container, self.number, |place| place.id = Some(exec.to_owned()));
    }

    fn ended(&self) {
        self.execs.forget(&self.container, self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut made = true;
        self.execs.with(&self.container, self.number, |exec| {
            exec.running.awaited = false;
            made = exec.id.is_some();
        });
        if !made {
            self.execs.forget(&self.container, self.number);
        }
    }
}

/// How a command ended.
enum Ended {
    /// By itself: the exit code, and the end of what it wrote.
    Exited(i64, String),
    /// It took longer than it may, and runs on.
    GivenUp,
    /// It was not begun, for this reason.
    NotBegun(String),
}

impl Ended {
    /// Why it is a failure, if it is one.
    fn complaint(self, command: &[String], timeout: Duration) -> Option<String> {
        let command = command.join(" ");
        let message = match self {
            Self::Exited(0, _) => return None,
            Self::Exited(code, output) => format!("`{command}` ended with {code}: {}", super::one_line(&output)),
            Self::GivenUp => format!("`{command}` took longer than {timeout:?}"),
            Self::NotBegun(why) => why,
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
    let ended = run(engine, id, &command, CreateExecOptions::default(), timeout).await?;
    Ok(ended.complaint(&command, timeout))
}

/// Runs a lifecycle hook in a container, and waits for its end.
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
        env: (!hook.environment.is_empty()).then(|| environment.collect()),
        user: hook.user.clone(),
        privileged: hook.privileged.then_some(true),
        working_dir: hook.working_dir.clone(),
        ..CreateExecOptions::default()
    };
    let ended = run(engine, id, &hook.command, options, timeout).await?;
    match ended.complaint(&hook.command, timeout) {
        None => Ok(()),
        Some(why) => Err(EngineError::CommandFailed(format!("a hook: {why}"))),
    }
}

/// Runs a command, unless one of its kind that was given up still does.
async fn run(
    engine: &DockerEngine,
    id: &ContainerId,
    command: &[String],
    options: CreateExecOptions<String>,
    timeout: Duration,
) -> Result<Ended, EngineError> {
    engine.execs.update(engine, id, command).await?;
    let place = match engine.execs.take(id, command) {
        Ok(place) => place,
        Err(why) => return Ok(Ended::NotBegun(why)),
    };
    let (attach_stdout, attach_stderr) = (Some(true), Some(true));
    let options = CreateExecOptions { cmd: Some(command.to_vec()), attach_stdout, attach_stderr, ..options };
    let made = engine.write_to(id, engine.docker.create_exec(id.as_str(), options)).await?;
    place.made(&made.id);
    let mut kept = String::new();
    let ends = async {
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
        // It writes no more: it has ended, or is about to be known to have, or goes on in silence.
        loop {
            let told = engine.read(engine.docker.inspect_exec(&made.id)).await?;
            if told.running != Some(true) {
                return Ok::<_, EngineError>(told.exit_code.unwrap_or(-1));
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(timeout, ends).await {
        Ok(code) => {
            let code = code?;
            place.ended();
            Ok(Ended::Exited(code, kept))
        }
        Err(_) => Ok(Ended::GivenUp),
    }
}
