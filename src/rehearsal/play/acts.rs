//! What happens at its time: faults begin and end.

use std::time::Duration;

use super::{Performance, millis};
use crate::engine::sim::World;
use crate::model::{ContainerId, ServiceId};
use crate::rehearsal::faults::Deed;
use crate::rehearsal::hands;
use crate::rehearsal::report::Marker;

/// From a start to the crash that a fault asked for.
pub(super) const CRASH: Duration = Duration::from_secs(1);

/// What is to be done at a time.
pub(super) enum Act {
    Begin(usize),
    End(usize),
    CrashAgain(usize, ContainerId),
}

impl Performance<'_> {
    pub(super) fn act(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Begin(n) => self.begin_fault(n),
            Act::End(n) => self.end_fault(n)?,
            Act::CrashAgain(n, id) => {
                let Some(left) = self.crashes.get(&n).copied() else { return Ok(()) };
                self.stage.engine.with(|world| world.crash(&id, 1, false));
                self.crashed = self.now();
                let now = millis(self.now());
                if let Some(marker) = self.marker_of(n) {
                    marker.until_ms = Some(now);
                }
                if left <= 1 {
                    self.crashes.remove(&n);
                } else {
                    self.crashes.insert(n, left - 1);
                }
            }
        }
        let recorder = self.recorder.clone();
        self.stage.engine.with(|world| recorder.see(world));
        Ok(())
    }

    /// Markers of faults are found by their text: it is the fault itself.
    fn marker_of(&mut self, n: usize) -> Option<&mut Marker> {
        let at = millis(self.play.faults[n].at);
        let kind = self.play.faults[n].deed.kind();
        let text = self.play.faults[n].deed.to_string();
        self.markers.iter_mut().find(|m| m.at_ms == at && m.kind == kind && m.text == text)
    }

    fn begin_fault(&mut self, n: usize) {
        let fault = self.play.faults[n].clone();
        let length = fault.deed.length();
        let until = (!length.is_zero()).then(|| fault.at + length);
        let mut marker = marker(fault.at, until, fault.deed.kind(), fault.deed.to_string());
        if let Some(until) = until {
            self.at(until, Act::End(n));
        }
        match &fault.deed {
            Deed::Reboot => {
                self.kill_controller(n);
                self.take_engine(n);
            }
            Deed::Engine(_) => self.take_engine(n),
            Deed::Controller => self.kill_controller(n),
            Deed::DiskFull(_) => self.stage.engine.with(|world| world.fill_disk(true)),
            deed => {
                let struck = self.stage.engine.with(|world| hands::strike(world, deed));
                marker.missed = !struck;
                if let Deed::Crash(_, runs) = deed
                    && *runs > 1
                    && struck
                {
                    self.crashes.insert(n, runs - 1);
                    self.crashed = self.now();
                }
            }
        }
        self.markers.push(marker);
    }

    fn end_fault(&mut self, n: usize) -> anyhow::Result<()> {
        let deed = self.play.faults[n].deed.clone();
        match &deed {
            Deed::Reboot | Deed::Engine(_) | Deed::Controller => {
                let engine_was_away = !self.engine_away.is_empty();
                self.engine_away.remove(&n);
                if engine_was_away && self.engine_away.is_empty() {
                    self.recorder.engine(true);
                    self.stage.engine.with(World::come_back);
                }
                self.controller_away.remove(&n);
                if self.controller_away.is_empty() && !self.stage.runs() {
                    self.start_controller()?;
                }
            }
            Deed::DiskFull(_) => {
                let still = self.markers.iter().filter(|m| m.kind == "disk-full");
                let now = millis(self.now());
                let still = still.filter(|m| m.until_ms.is_some_and(|until| until > now)).count() > 0;
                self.stage.engine.with(|world| world.fill_disk(still));
            }
            Deed::Unhealthy(who, _) => self.stage.engine.with(|world| {
                for id in hands::containers(world, who, false) {
                    world.sicken(&id, false);
                }
            }),
            _ => {}
        }
        Ok(())
    }

    fn kill_controller(&mut self, n: usize) {
        self.controller_away.insert(n);
        self.stage.kill();
        self.recorder.controller(false);
    }

    fn take_engine(&mut self, n: usize) {
        self.engine_away.insert(n);
        self.recorder.engine(false);
        self.stage.engine.with(|world| world.go_away(true));
    }

    /// A container was started: if it is one that is to crash again, it will.
    pub(super) fn crash_later(&mut self, service: &ServiceId, container: ContainerId) {
        let due = self.crashes.keys().copied().find(|n| self.play.faults[*n].deed.service() == Some(service));
        if let Some(n) = due {
            self.at(self.now() + CRASH, Act::CrashAgain(n, container));
        }
    }
}

/// A marker of which nobody knows yet what it leads to.
pub(super) fn marker(at: Duration, until: Option<Duration>, kind: &'static str, text: String) -> Marker {
    Marker {
        at_ms: millis(at),
        until_ms: until.map(millis),
        kind,
        text,
        missed: false,
        disturbed: false,
        converged_again_ms: None,
    }
}
