//! Commands in containers that were given up, and run on: no Engine has a call that ends one.
//!
//! A check that hangs would leave a process behind each time it is made, and a hook that takes long would be run beside
//! itself. So the next one waits for the last one's end, and a container holds a few of them at most.

/// Commands of ours that run in one container at the same time, those that were given up among them.
pub const MOST: usize = 4;

/// A command in a container, as far as it matters to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) command: Vec<String>,
    /// It is ours, rather than somebody else's whose command happens to be the same.
    pub(super) ours: bool,
    /// Its end is waited for; else it was given up.
    pub(super) awaited: bool,
}

/// Why a command is not begun while these run; `None`: it may be.
pub(super) fn why_not<'r>(command: &[String], running: impl Iterator<Item = &'r Running>) -> Option<String> {
    let mut ours = 0;
    for other in running {
        if !other.awaited && other.command == command {
            return Some(format!("the previous `{}` still runs: it is not run again beside itself", command.join(" ")));
        }
        ours += usize::from(other.ours);
    }
    (ours >= MOST).then(|| format!("{ours} commands run in the container still that were given up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(command: &str, ours: bool, awaited: bool) -> Running {
        Running { command: vec![command.to_owned()], ours, awaited }
    }

    #[test]
    fn a_command_waits_for_its_like_that_was_given_up_and_for_room() {
        let why = |running: &[Running]| why_not(&["a".to_owned()], running.iter());
        assert_eq!(why(&[running("a", true, true), running("b", true, false)]), None);
        assert!(why(&[running("a", true, false)]).is_some_and(|why| why.contains("`a` still runs")));
        assert!(why(&[running("a", false, false)]).is_some(), "whoever began it");
        let others: Vec<_> = (0..MOST).map(|n| running(&n.to_string(), true, false)).collect();
        assert!(why(&others).is_some());
        let shells: Vec<_> = (0..MOST).map(|_| running("sh", false, false)).collect();
        assert_eq!(why(&shells), None, "other people's are no concern of ours");
    }
}
