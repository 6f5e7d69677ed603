//! The program as people run it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The program, in an empty folder and without any setting of whoever runs the tests.
pub fn evenkeel(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    let is_setting = |name: &OsStr| {
        let name = name.to_string_lossy();
        ["EVENKEEL_", "COMPOSE_", "DOCKER_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}
