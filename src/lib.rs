//! evenkeel keeps Docker hosts on an even keel: a directory of Compose files says what should run, and this controller
//! makes it so and keeps it so.
//!
//! # The code map
//! Data flows one way: `manifest` loads files into the *desired* state, `engine` gives the *observed* state, `decide`
//! compares the two and says what may be done now, `control` does it and decides again, `api` and `telemetry` show it.
//!
//! | room | what it is for |
//! | --- | --- |
//! | [`model`] | data that all rooms speak; no IO |
//! | [`manifest`] | Compose files in, a typed [`model::Project`] or diagnostics out |
//! | [`decide`] | the pure heart: what may be done now, and why |
//! | [`engine`] | the traits of a container engine; the Docker Engine and a simulated one behind them |
//! | [`probe`] | asking services how they are, over the network |
//! | [`control`] | the loop: observe, decide, carry out, remember |
//! | [`rehearsal`] | the same loop over the simulated engine, in virtual time |
//! | [`export`] | containers back into a Compose file |
//! | [`api`] | the read-only HTTP API |
//! | [`accept`] | accepting connections, whatever happens to one of them |
//! | [`telemetry`] | metrics and logs |
//! | [`cli`] | the verbs, rendered for people and for machines |
//! | [`schemas`] | JSON Schemas of what evenkeel reads and says, for editors and programs |
//! | [`settings`] | the controller's own settings; the only reader of the process environment |
//!
//! # Invariants
//! 1. Converged means an empty second decision. 2. Nothing that evenkeel does not own is touched. 3. No volume is removed
//!    unless told so in words. 4. Two writers never share data: the old replica stops before its replacement starts.
//! 5. Restarts stay within their budget, across restarts of the controller too. 6. Read-only verbs make no mutating call.
//! 7. A manifest that does not load changes nothing. 8. Success is reported only when the live state was seen to match.
//! 9. Removals need two looks. 10. No secret in a log, event, metric or answer.
//!
//! The arrows that must not exist between the rooms are held by `tests/it/architecture.rs`.

pub mod accept;
pub mod api;
pub mod cli;
pub mod control;
pub mod decide;
pub mod engine;
pub mod export;
pub mod manifest;
pub mod model;
pub mod probe;
pub mod rehearsal;
pub mod schemas;
pub mod settings;
pub mod telemetry;
