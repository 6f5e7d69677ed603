//! Commands that are run in containers, and run on when they are given up, as with Docker.

use std::time::Duration;

use super::client::Client;
use super::pace;
use super::world::World;
use crate::engine::unfinished::{self, Running};
use crate::model::ContainerId;

impl World {
    /// How many commands run in a container.
    pub fn commands(&self, id: &ContainerId) -> usize {
        let now = self.now;
        self.containers.get(id).map_or(0, |c| c.commands.iter().filter(|(_, until)| *until > now).count())
    }

    /// How long commands take in a container, where its script says so.
    pub(super) fn commands_take(&self, id: &ContainerId) -> Option<Duration> {
        self.containers.get(id)?.script.commands_take
    }

    /// Begins a command: how long it will take. An error: why it may not begin.
    pub(super) fn begin_command(&mut self, id: &ContainerId, command: &[String]) -> Result<Duration, String> {
        let now = self.now;
        let running = self.containers.get_mut(id).filter(|c| c.has_process());
        let Some((container, takes)) = running.and_then(|c| c.script.commands_take.map(|takes| (c, takes))) else {
            return Ok(pace::CHECK);
        };
        container.commands.retain(|(_, until)| *until > now);
        if let Some(why) = unfinished::why_not(command, container.commands.iter().map(|(running, _)| running)) {
            return Err(why);
        }
        let running = Running { command: command.to_vec(), ours: true, awaited: true };
        container.commands.push((running, now.checked_add(takes).unwrap_or(now)));
        Ok(takes)
    }

    /// Nobody waits for a command any more.
    pub(super) fn give_up(&mut self, id: &ContainerId, command: &[String]) {
        let commands = self.containers.get_mut(id).map(|c| &mut c.commands);
        let all = commands.into_iter().flatten().map(|(running, _)| running);
        all.filter(|running| running.command == command).for_each(|running| running.awaited = false);
    }
}

impl Client {
    /// Runs a command in a container, by its script; an error: why it was not begun, or that it was given up.
    pub(super) async fn command(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<(), String> {
        match self.with(|world| world.begin_command(id, command)) {
            Ok(takes) if takes > timeout => {
                tokio::time::sleep(timeout).await;
                self.with(|world| world.give_up(id, command));
                Err(format!("`{}` took longer than {timeout:?}", command.join(" ")))
            }
            Ok(takes) => {
                tokio::time::sleep(takes).await;
                Ok(())
            }
            Err(why) => {
                tokio::time::sleep(pace::CHECK).await;
                Err(why)
            }
        }
    }
}
