//! Stretches of time in which something held.

use super::report::Stretch;

/// Times at which something was so.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    closed: Vec<Stretch>,
    open: Option<u64>,
}

impl Stretches {
    pub(super) fn set(&mut self, is: bool, now: u64) {
        match (is, self.open) {
            (true, None) => self.open = Some(now),
            (false, Some(from_ms)) => {
                self.open = None;
                self.closed.push(Stretch { from_ms, until_ms: now });
            }
            _ => {}
        }
    }

    /// All of them, the last one up to now, and whether that goes on.
    pub(super) fn until(&self, now: u64) -> (Vec<Stretch>, bool) {
        let open = self.open.map(|from_ms| Stretch { from_ms, until_ms: now });
        (self.closed.iter().copied().chain(open).collect(), self.open.is_some())
    }
}
