//! The loader: Compose files in, typed projects or diagnostics out.

mod diagnostics;
mod environment;
mod fixtures;
mod forms;
mod hardening;
mod hostile;
mod images;
pub mod loading;
mod nesting;
mod overrides;
mod parts;
mod shipped;
mod unsupported;
