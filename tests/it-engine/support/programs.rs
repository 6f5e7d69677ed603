//! Other people's programs that tests need. `tests/it-engine/run` gets them.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use super::skip;

/// Docker Compose v2, which `EVENKEEL_TEST_COMPOSE` names. Without it, what needs it is skipped.
pub fn docker_compose() -> Option<OsString> {
    let program = std::env::var_os("EVENKEEL_TEST_COMPOSE");
    if program.is_none() {
        skip("EVENKEEL_TEST_COMPOSE names no docker-compose v2");
    }
    program
}

/// Whether a program is there. If not, what needs it is skipped.
pub fn can_run(program: &str) -> bool {
    let tried = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    if let Err(error) = &tried {
        skip(&format!("no {program} ({error})"));
    }
    tried.is_ok()
}
