//! What the tests share: the Engine, the image of the demo service, the controller as a child process, a proxy between the
//! two, and a place of their own for each test.

mod controller;
mod engine;
mod image;
mod metrics;
mod programs;
mod registry;
mod skip;
mod world;

#[path = "../../../benches/support/http.rs"]
mod http;
#[path = "../../support/program.rs"]
mod program;
#[path = "../../../benches/support/proxy.rs"]
mod proxy;

use std::time::{Duration, Instant};

pub use controller::Controller;
pub use engine::{Container, Engine};
pub use programs::{can_run, docker_compose};
pub use proxy::{Call, Fault, Proxy};
pub use registry::Registry;
pub use skip::skip;
pub use world::{Verb, World};

/// For whatever takes a few seconds at most, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(40);
/// Between two looks.
const PACE: Duration = Duration::from_millis(30);

/// Waits until there is something.
///
/// # Panics
/// When the deadline is over; the controllers of the test then show what they said.
#[track_caller]
pub fn wait_for<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(PACE);
    }
}

/// Waits until it is so.
///
/// # Panics
/// When the deadline is over.
#[track_caller]
pub fn wait_until(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(limit, what, || is_so().then_some(()));
}

/// Looks on for a while: it stays so.
///
/// # Panics
/// As soon as it is not.
#[track_caller]
pub fn stays(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(is_so(), "it did not stay so: {what}");
        std::thread::sleep(PACE);
    }
}
