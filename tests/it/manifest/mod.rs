//! The loader: Compose files in, typed projects or diagnostics out.

mod diagnostics;
mod environment;
mod forms;
mod hardening;
pub mod loading;
mod nesting;
mod overrides;
mod shipped;
