//! The HTTP API over a controller that works on an engine in memory.

mod events;
mod fake;
mod health;
pub mod house;
mod metrics;
mod projects;
mod serve;
mod services;
