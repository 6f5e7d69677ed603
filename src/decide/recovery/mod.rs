//! How fast and how often: `policy` is the pace, `pace` says when something is started or tried again by it, `breaker` stops
//! what is started too often, and `limit` holds back what all projects together would begin at once.

pub(super) mod breaker;
pub(super) mod limit;
pub(super) mod pace;
pub(super) mod policy;
