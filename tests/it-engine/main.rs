//! The real program against a real Docker Engine, over temporary manifests.

mod alerts;
mod apply;
mod attributes;
mod backoff;
mod bad_input;
mod broken;
mod build;
mod by_hand;
mod commands;
mod compose;
mod converge;
mod crash;
mod dependencies;
mod drift;
mod export;
mod faults;
mod guard;
mod hooks;
mod instances;
mod jobs;
mod metrics;
mod operations;
mod outage;
mod probes;
mod pull;
mod readiness;
mod recovery;
mod registry;
mod reload;
mod removal;
mod restart_policy;
mod rollout;
mod sharing;
mod shutdown;
mod sim;
mod support;
mod throttle;
mod update;
mod volumes;
mod watching;

/// A service that takes next to nothing: no network, no port.
const ONE: &str = "services: {web: {image: IMAGE, network_mode: none}}\n";
