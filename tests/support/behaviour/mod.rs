//! What both Engines do. The simulated one is held against what stands here, by the tests that need nothing; the real one
//! against the simulated one, by those that need an Engine.

mod ends;
mod health;
mod life;
mod making;
mod networks;
mod resources;
mod restarts;

use super::both;
