//! One health check, as the Engine would make it: its test, run in the container.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::DockerEngine;
use crate::engine::EngineError;
use crate::model::ContainerId;

/// Whether the test passed within the time.
pub(super) async fn run(
    engine: &DockerEngine,
    id: &ContainerId,
    test: &[String],
    timeout: Duration,
) -> Result<bool, EngineError> {
    let command = match test {
        [kind, command @ ..] if kind == "CMD" => command.to_vec(),
        [kind, line] if kind == "CMD-SHELL" => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        _ => return Ok(false),
    };
    let options = CreateExecOptions {
        cmd: Some(command),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let made = engine.write(engine.docker.create_exec(id.as_str(), options)).await?;
    let ends = async {
        // Its end is the end of what it writes.
        if let StartExecResults::Attached { mut output, .. } =
            engine.write(engine.docker.start_exec(&made.id, None)).await?
        {
            while let Some(Ok(_)) = output.next().await {}
        }
        engine.read(engine.docker.inspect_exec(&made.id)).await
    };
    match tokio::time::timeout(timeout, ends).await {
        Ok(ended) => Ok(ended?.exit_code == Some(0)),
        Err(_) => Ok(false),
    }
}
