//! Plain data that every room of the house speaks: what is desired, what was observed, what is remembered.
//! Nothing here does IO, knows a clock, or decides anything.

pub mod event;
pub mod fields;
pub mod hash;
pub mod health;
pub mod labels;
pub mod ledger;
pub mod names;
pub mod network;
pub mod observed;
pub mod policy;
pub mod project;
pub mod record;
pub mod service;
pub mod setback;
pub mod state;
pub mod time;
pub mod usage;

pub use jiff::Timestamp;
pub use names::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, ServiceId, ServiceName};
pub use project::Project;
pub use service::Service;
