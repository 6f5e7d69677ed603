//! How long the Engine takes: measured on Docker 20.10 with two cores, in milliseconds of virtual time.

use std::time::Duration;

use super::call::Call;

/// Before a call takes effect, and from then to its answer.
pub(super) fn of(call: &Call, starting: u64, draw: &mut fastrand::Rng) -> (Duration, Duration) {
    let (before, after) = match call {
        Call::Info => (4..8, 1),
        Call::List | Call::Image { .. } => (1..2, 1),
        Call::Inspect { .. } => (1..3, 1),
        Call::CreateNetwork { .. } | Call::RemoveNetwork { .. } => (40..90, 10),
        Call::CreateVolume { .. } | Call::RemoveVolume { .. } => (2..5, 1),
        Call::Pull { .. } => (1_500..4_000, 20),
        Call::Build { .. } => (3_000..9_000, 20),
        Call::CreateContainer { .. } => (3..10, 1),
        Call::Connect { .. } | Call::Disconnect { .. } | Call::CopyInto { .. } => (5..12, 1),
        // 200 ms alone, thirty at a time 4.3 s for all of them: they get in each other's way.
        Call::Start { .. } => (50 + 120 * starting..70 + 130 * starting, 5),
        Call::Stop { .. } => (1..3, 15),
        Call::Remove { .. } => (15..60, 2),
        Call::Rename { .. } | Call::Unpause { .. } | Call::Signal { .. } => (2..6, 1),
        Call::Hook { .. } => (35..60, 5),
        // `docker update --cpus`.
        Call::Update { .. } => (14..20, 2),
    };
    (Duration::from_millis(draw.u64(before)), Duration::from_millis(after))
}

/// Between the end of a process and its `die` event: 27-33 ms were measured.
pub(super) const DEATH: Duration = Duration::from_millis(30);
/// A process begins so long before the time that is told as its start: one that ends at once ended before it began.
pub(super) const AHEAD: Duration = Duration::from_millis(4);
/// A check that is made by hand: an exec of `true`, with its exit code.
pub(super) const CHECK: Duration = Duration::from_millis(40);
/// A probe over the network.
pub(super) const PROBE: Duration = Duration::from_millis(2);
/// From the start of a removal to its end.
pub(super) const REMOVAL: Duration = Duration::from_millis(40);
/// An inspect right after a death waits for the lock that the clean-up holds: 40-70 ms were measured.
pub(super) const LOCKED: Duration = Duration::from_millis(55);
/// For so long after a change a list may tell what was before it.
pub(super) const LIST_LAG: Duration = Duration::from_millis(20);
/// A client waits so long for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
