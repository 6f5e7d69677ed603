//! How a controller behaves.

use std::path::PathBuf;
use std::time::Duration;

use super::scope::Scope;
use crate::decide::RecoveryPolicy;
use crate::engine::HOOK_LIMIT;
use crate::model::policy::{HealthPolicy, HostPolicy};

/// How a controller behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The manifests that it keeps.
    pub scope: Scope,
    /// Engine calls that create, start or change something, at the same time.
    pub parallel: usize,
    /// The pause between two starts.
    pub start_delay: Duration,
    /// The time between two full resyncs.
    pub resync: Duration,
    /// Projects that another evenkeel made are taken over.
    pub take_over: bool,
    /// The pace of restarts and retries.
    pub recovery: RecoveryPolicy,
    /// How probes are made where manifests do not say.
    pub health: HealthPolicy,
    /// A hook that takes longer has failed.
    pub hook_limit: Duration,
    /// How the host is watched; `None`: it is another host, and cannot be.
    pub host: Option<HostPolicy>,
    /// What services with limits use is followed; else only of those with a throttle, and of those that somebody looks at.
    pub stats: bool,
    /// The Engine's address in words.
    pub address: String,
    /// The ledger is written and manifests are read in the loop, so that nothing depends on how threads are scheduled: for
    /// virtual time.
    pub in_place: bool,
}

impl Options {
    /// For that directory, with everything else as it is where no settings say otherwise.
    pub fn of(root: PathBuf) -> Self {
        Self::scoped(Scope::directories(vec![root]))
    }

    /// The same for that scope.
    pub fn scoped(scope: Scope) -> Self {
        Self {
            scope,
            parallel: 8,
            start_delay: Duration::ZERO,
            resync: Duration::from_secs(60),
            take_over: false,
            recovery: RecoveryPolicy::default(),
            health: HealthPolicy::default(),
            hook_limit: HOOK_LIMIT,
            host: None,
            stats: true,
            address: String::new(),
            in_place: false,
        }
    }
}
