//! Where each replica stands: what is observed of it, beside what is desired.
//!
//! `slots` gives every desired replica its containers and says how far each has come, `drift` how one differs by its
//! fields, `readiness` whether others may go on, `mended` which failures are over, `doubts` whether a job is still done,
//! and `sharing` puts the containers into a project that its services share namespaces with.

pub(super) mod doubts;
pub(super) mod drift;
pub(super) mod mended;
pub(super) mod readiness;
pub mod sharing;
pub(super) mod slots;
