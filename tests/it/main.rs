//! What needs nothing but this machine: no Docker Engine, and no network beyond loopback. One binary: one linker pass for all
//! of it.

mod api;
mod architecture;
mod decide;
mod manifest;
mod probe;
#[path = "../support/program.rs"]
mod program;
mod rehearse;
mod schemas;
mod sim;
