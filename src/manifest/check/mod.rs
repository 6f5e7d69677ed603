//! The third phase: what is wrong with the tree.
//!
//! `keys` checks each file against the tables of keys while it is merged; `consistency` checks the whole.

pub(super) mod consistency;
pub(super) mod keys;
