//! One integration binary: one linker pass for all of it.

mod api;
mod architecture;
mod decide;
mod engine;
mod manifest;
mod probe;
mod rehearse;
mod schemas;
mod sim;
mod support;
