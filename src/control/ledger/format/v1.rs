//! The first format of a project's ledger; it has no version. Frozen: it is read, and for a step back from the second
//! format written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::convert::{Convert, format_types};
use crate::model::ledger as model;
use crate::model::ledger::Subject;
use crate::model::{ContainerId, ImageId, ServiceName, Timestamp};

format_types! {
    /// A project's ledger.
    #[derive(Default)]
    #[serde(default)]
    ProjectLedger {
        root: PathBuf,
        last_good: Option<String>,
        suspended: bool,
        suspended_services: BTreeSet<ServiceName>,
        removal_confirmed: bool,
        down: Option<Down>,
        completions: BTreeMap<ServiceName, Completion>,
        prepared: BTreeSet<ContainerId>,
        supplies: BTreeMap<ServiceName, Supply>,
        slots: BTreeMap<Subject, Slot>,
        failures: BTreeMap<Subject, Failure>,
        fits: BTreeMap<ContainerId, String>,
        contents: BTreeMap<ContainerId, Contents>,
        resets: BTreeMap<ServiceName, Reset>,
        degraded: BTreeMap<ServiceName, Timestamp>,
        project_restart: Option<ProjectRestart>,
        kept: BTreeMap<Subject, BTreeMap<String, String>>,
        hooked: BTreeMap<ContainerId, Timestamp>,
        throttled: BTreeMap<ContainerId, Throttled>,
        unheld: BTreeMap<ServiceName, Unheld>,
        converged: Option<Proven>,
        failed: BTreeMap<String, FailedRevision>,
        rolled_back: Option<RolledBack>,
        unanswered: Option<Timestamp>,
        in_flight: BTreeMap<Subject, InFlight>,
    } + {
        retried: None,
    }
    Down {
        volumes: bool,
    }
    Completion {
        config_hash: String,
        image: ImageId,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        doubt: Option<Doubt>,
    }
    Doubt {
        container: ContainerId,
        seen_idle: bool,
    }
    Supply {
        image: String,
        config: String,
        at: Timestamp,
        in_vain: bool,
    }
    #[derive(Default)]
    #[serde(default)]
    Slot {
        restarts: u32,
        last_restart: Option<Timestamp>,
        recent: Vec<Timestamp>,
        breaker: Option<Breaker>,
        started: Option<ContainerId>,
        begun: Option<Timestamp>,
        config: Option<String>,
        ended: BTreeSet<ContainerId>,
        gave_up: BTreeSet<ContainerId>,
        repairs: BTreeMap<String, Repairs>,
        fall_back_failed: Option<Timestamp>,
    }
    Breaker {
        opened: Timestamp,
        tried: Option<Timestamp>,
    }
    Repairs {
        count: u32,
        last: Timestamp,
        container: ContainerId,
    }
    Failure {
        attempts: u32,
        last: Timestamp,
        error: String,
        config: String,
        #[serde(default)]
        came_down: bool,
        #[serde(default)]
        in_place: bool,
        #[serde(default)]
        not_before: Option<Timestamp>,
    } + {
        kind: Default::default(),
    }
    Contents {
        pid: u32,
        since: Timestamp,
        files: BTreeMap<String, String>,
    }
    Reset {
        volumes: BTreeSet<String>,
    }
    ProjectRestart {
        service: ServiceName,
        containers: BTreeSet<ContainerId>,
    }
    #[derive(Default)]
    #[serde(default)]
    Throttled {
        milli_cpus: u64,
        own: bool,
        released: bool,
    }
    Unheld {
        config: String,
        fields: BTreeMap<String, Option<String>>,
    }
    Proven {
        revision: String,
        at: Timestamp,
        images: String,
    }
    FailedRevision {
        service: ServiceName,
        reason: String,
        at: Timestamp,
        rolled_back: bool,
    }
    RolledBack {
        from: String,
        pinned: BTreeMap<ServiceName, ImageId>,
    }
    InFlight {
        action: String,
        since: Timestamp,
    }
}
