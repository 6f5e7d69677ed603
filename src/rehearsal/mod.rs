//! The controller over the simulated engine, in virtual time: the shipped loop, ledger and loader; only the engine, the
//! clock and the watch of the file system are others.
//!
//! `stage` is where that takes place. On it `play` rehearses a user's manifests (`evenkeel rehearse`): `faults` go wrong at
//! their times (`play::acts`, `hands`), `timeline` writes into the `book` how each service `looks`, and `page` shows the `report`
//! that comes of it. `scene` lets manifests replace each other.

mod book;
mod clock;
pub mod faults;
mod hands;
mod looks;
pub mod page;
mod play;
pub mod report;
mod scale;
mod scene;
mod stage;
mod stretches;
mod timeline;
mod words;

pub use clock::VirtualClock;
pub use play::{LONGEST, Later, Play, candidates, rehearse};
pub use scene::{Scene, SceneError};
pub use stage::{Stage, StageOptions, virtually};
pub use words::time;
