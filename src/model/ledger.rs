//! What must outlive a restart of the controller and cannot be seen in the Engine. Data only; `control::ledger` keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::setback::Setback;
use super::{ContainerId, ImageId, Project, ServiceName, Timestamp, time};

/// What is remembered of one project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectLedger {
    /// The manifests directory it was loaded from.
    pub root: PathBuf,
    /// The revision in force, stored beside this as a whole.
    pub last_good: Option<String>,
    /// An operator suspended the project.
    pub suspended: bool,
    /// Services an operator suspended.
    pub suspended_services: BTreeSet<ServiceName>,
    /// An operator confirmed that the project may go although many go at once.
    pub removal_confirmed: bool,
    /// An operator asked for the project's removal.
    pub down: Option<Down>,
    /// Jobs that are done.
    pub completions: BTreeMap<ServiceName, Completion>,
    /// Containers whose making was seen to its end: only these are started while they are `created`.
    pub prepared: BTreeSet<ContainerId>,
    /// How services came by their images, where `pull_policy` says more than whether one is there.
    pub supplies: BTreeMap<ServiceName, Supply>,
    /// What is remembered of each replica: restarts, breaker, repairs.
    pub slots: BTreeMap<Subject, Slot>,
    /// Steps that failed, until they work.
    pub failures: BTreeMap<Subject, Failure>,
    /// Containers that fit another configuration than the one on their label: they were changed in place, or what changed
    /// is nothing that an Engine knows of.
    pub fits: BTreeMap<ContainerId, String>,
    /// Mounted files as the process of a container last took notice of them, where it is to be told of changes.
    pub contents: BTreeMap<ContainerId, Contents>,
    /// Services that are emptied and made anew.
    pub resets: BTreeMap<ServiceName, Reset>,
    /// Services that others are given up for, since then.
    pub degraded: BTreeMap<ServiceName, Timestamp>,
    /// The project is started again as a whole.
    pub project_restart: Option<ProjectRestart>,
    /// Anonymous volumes for the next container of a replica, by the path in the container.
    pub kept: BTreeMap<Subject, BTreeMap<String, String>>,
    /// Runs whose `post_start` hooks were run, by their beginning.
    pub hooked: BTreeMap<ContainerId, Timestamp>,
    /// Containers that have less of the CPUs than their manifest says, as they used too much.
    pub throttled: BTreeMap<ContainerId, Throttled>,
    /// What the Engine made otherwise than it was asked, by service.
    pub unheld: BTreeMap<ServiceName, Unheld>,
    /// The revision that everything is as it says, since then: it is healthy once its monitor time has passed.
    pub converged: Option<Proven>,
    /// Revisions that failed: they are not tried again.
    pub failed: BTreeMap<String, FailedRevision>,
    /// The revision that was given up for the healthy one.
    pub rolled_back: Option<RolledBack>,
    /// When an operator last had everything tried anew that had failed.
    pub retried: Option<Timestamp>,
    /// When a step was last begun, or given up, whose answer never came: its call may take effect yet.
    pub unanswered: Option<Timestamp>,
    /// Steps whose outcome is not known yet.
    pub in_flight: BTreeMap<Subject, InFlight>,
}

impl ProjectLedger {
    /// Forgets what is remembered of containers that are gone; says whether there was anything.
    pub fn forget_containers(&mut self, is_there: impl Fn(&ContainerId) -> bool) -> bool {
        let size = |ledger: &Self| {
            [
                ledger.prepared.len(),
                ledger.fits.len(),
                ledger.contents.len(),
                ledger.hooked.len(),
                ledger.throttled.len(),
                ledger.slots.values().map(|slot| slot.ended.len() + slot.gave_up.len()).sum(),
            ]
        };
        let before = size(self);
        self.prepared.retain(&is_there);
        self.fits.retain(|id, _| is_there(id));
        self.contents.retain(|id, _| is_there(id));
        self.hooked.retain(|id, _| is_there(id));
        self.throttled.retain(|id, _| is_there(id));
        for slot in self.slots.values_mut() {
            slot.ended.retain(&is_there);
            slot.gave_up.retain(&is_there);
        }
        size(self) != before
    }

    /// Forgets what is remembered of services, replicas and resources that this revision of the project has not, and of which
    /// no container is left; says whether there was anything.
    pub fn forget_services(&mut self, project: &Project, is_left: impl Fn(&ServiceName) -> bool) -> bool {
        let has = |service: &ServiceName| project.services.contains_key(service) || is_left(service);
        let has_subject = |subject: &Subject| match subject {
            Subject::Replica(service, number) => {
                is_left(service) || project.services.get(service).is_some_and(|s| (1..=s.replicas).contains(number))
            }
            Subject::Network(name) => project.networks.values().any(|n| n.name == *name),
            Subject::Volume(name) => project.volumes.values().any(|v| v.name == *name),
            Subject::Image(reference) => project.services.values().any(|s| s.image == *reference),
        };
        let size = |ledger: &Self| {
            [
                ledger.suspended_services.len() + ledger.completions.len() + ledger.supplies.len(),
                ledger.slots.len() + ledger.failures.len() + ledger.kept.len(),
                ledger.resets.len() + ledger.degraded.len() + ledger.unheld.len(),
            ]
        };
        let before = size(self);
        self.suspended_services.retain(has);
        self.completions.retain(|service, _| has(service));
        self.supplies.retain(|service, _| has(service));
        self.slots.retain(|subject, _| has_subject(subject));
        self.failures.retain(|subject, _| has_subject(subject));
        self.kept.retain(|subject, _| has_subject(subject));
        self.resets.retain(|service, _| has(service));
        self.degraded.retain(|service, _| has(service));
        self.unheld.retain(|service, _| has(service));
        size(self) != before
    }

    /// What is remembered of a job that is done; not while a start may have run it again.
    pub fn completion(&self, job: &ServiceName) -> Option<&Completion> {
        self.completions.get(job).filter(|done| done.doubt.as_ref().is_none_or(|doubt| doubt.seen_idle))
    }
}

/// A revision that everything was as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The hash of the revision.
    pub revision: String,
    /// When everything came to be so.
    pub at: Timestamp,
    /// A digest of the images that ran.
    pub images: String,
}

/// The last revision that was healthy: kept beside the ledger as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Healthy {
    /// The project as it was wanted then.
    pub project: Arc<Project>,
    /// The images that ran, by service.
    pub images: BTreeMap<ServiceName, ImageId>,
}

/// A revision that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRevision {
    /// The service that did not come up.
    pub service: ServiceName,
    /// Why the service did not come up, for people.
    pub reason: String,
    /// When the revision was given up.
    pub at: Timestamp,
    /// The last healthy revision takes its place; else the rollout came to a stop where it was.
    pub rolled_back: bool,
}

/// The revision that is in force in place of one that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The one that failed.
    pub from: String,
    /// The images of services whose reference stands for another one by now.
    pub pinned: BTreeMap<ServiceName, ImageId>,
}

/// `evenkeel down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Whether the volumes are removed too.
    pub volumes: bool,
}

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The configuration it ran with: another one runs again.
    pub config_hash: String,
    /// The image it ran from.
    pub image: ImageId,
    /// When its container ended.
    pub at: Timestamp,
    /// A container of it was to be started since: if that runs, the job is not done any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
}

/// A start whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The container whose start that was.
    pub container: ContainerId,
    /// It was looked at afterwards, and had not run.
    pub seen_idle: bool,
}

/// Files that one run of a container took notice of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The id of its first process on the host: another one is another run.
    pub pid: u32,
    /// When the run began.
    pub since: Timestamp,
    /// Digests, by the path in the container.
    pub files: BTreeMap<String, String>,
}

impl Contents {
    /// Whether they are of this run.
    pub fn is_of(&self, pid: u32, since: Timestamp) -> bool {
        self.pid == pid && time::is_one_start(self.since, since)
    }

    /// The field that tells of a file's content.
    pub fn path(target: &str) -> String {
        format!("volumes.{target}.content")
    }

    /// The process took notice of these: fields and digests.
    pub fn take_notice<'a>(&mut self, fields: impl Iterator<Item = (&'a str, &'a str)>) {
        for (path, digest) in fields {
            if let Some(known) = self.files.iter_mut().find(|(target, _)| Self::path(target) == path) {
                digest.clone_into(known.1);
            }
        }
    }
}

/// Fields that the Engine does not hold as it is asked to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unheld {
    /// The configuration that was asked for.
    pub config: String,
    /// What became of it, by path.
    pub fields: BTreeMap<String, Option<String>>,
}

/// Repairs of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repairs {
    /// How many, since the last calm time.
    pub count: u32,
    /// When the last one was begun.
    pub last: Timestamp,
    /// The container whose field that was.
    pub container: ContainerId,
}

/// An image that was fetched or built for a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// The image's reference.
    pub image: String,
    /// The configuration it was for: another one is supplied anew.
    pub config: String,
    /// When that was begun.
    pub at: Timestamp,
    /// It could not be fetched; told only of an image that can be built.
    pub in_vain: bool,
}

/// What is remembered of one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// The controller's restarts since the last calm time.
    pub restarts: u32,
    /// When the last of them was.
    pub last_restart: Option<Timestamp>,
    /// When it was started again lately, by the controller or the Engine: the newest last.
    pub recent: Vec<Timestamp>,
    /// It was started again too often.
    pub breaker: Option<Breaker>,
    /// The container that was last started: if it is gone and was not removed by the controller, somebody else did it.
    pub started: Option<ContainerId>,
    /// When that was asked for, until its check passes for the first time.
    pub begun: Option<Timestamp>,
    /// The configuration it was started with.
    pub config: Option<String>,
    /// Containers that the controller itself stopped: should one be wanted again, its end is nobody's failure.
    pub ended: BTreeSet<ContainerId>,
    /// Those of them that were replacements and did not come up: they are not wanted again.
    pub gave_up: BTreeSet<ContainerId>,
    /// Fields that were repaired, by path.
    pub repairs: BTreeMap<String, Repairs>,
    /// When the old container could not be started in place of a failed replacement.
    pub fall_back_failed: Option<Timestamp>,
}

impl Slot {
    /// One try is made at once, also where the breaker is open. Restarts so far still count: asking over and over makes no
    /// faster pace.
    pub fn try_at_once(&mut self) {
        self.restarts = 0;
        self.last_restart = None;
        if let Some(breaker) = &mut self.breaker {
            *breaker = Breaker { opened: Timestamp::UNIX_EPOCH, tried: None };
        }
    }

    /// Restarts so far count no more, and the breaker is closed.
    pub fn forget_restarts(&mut self) {
        self.recent.clear();
        self.restarts = 0;
        self.last_restart = None;
        self.breaker = None;
    }
}

/// What keeps a replica from being started again, for a while: it was too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// When it opened.
    pub opened: Timestamp,
    /// When the one try was made that follows the cool-down; `None`: none was made.
    pub tried: Option<Timestamp>,
}

/// A container that is throttled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttled {
    /// Thousandths of a CPU that it may use.
    pub milli_cpus: u64,
    /// For what it used itself, by its manifest's `throttle.cpu`; else for the sake of the host alone.
    pub own: bool,
    /// It was given back, and is still to be seen without it: until then what is known of it is no drift.
    pub released: bool,
}

/// A service that is emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Volumes that are still to be removed, by their names in the Engine.
    pub volumes: BTreeSet<String>,
}

/// A project that is started again as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRestart {
    /// The service that is not well.
    pub service: ServiceName,
    /// Containers that ran and are stopped first.
    pub containers: BTreeSet<ContainerId>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often in a row.
    pub attempts: u32,
    /// When the last time was.
    pub last: Timestamp,
    /// What stood in the way: what is decided and advised goes by this.
    #[serde(default)]
    pub kind: Setback,
    /// The Engine's words, for people.
    pub error: String,
    /// What was tried: another configuration is tried at once.
    pub config: String,
    /// It is the container that came down, rather than a call that failed.
    #[serde(default)]
    pub came_down: bool,
    /// It would have changed what runs, and left it running: that may be started again all the same.
    #[serde(default)]
    pub in_place: bool,
    /// It is not tried again earlier, whatever its own pace is: others wait for the same.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

/// A step whose outcome is not known yet: written before its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The step in words.
    pub action: String,
    /// When the step was begun.
    pub since: Timestamp,
}

/// What a step works on. One step at a time works on each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A network, by its name in the Engine.
    Network(String),
    /// A volume, by its name in the Engine.
    Volume(String),
    /// An image, by reference.
    Image(String),
    /// A replica.
    Replica(ServiceName, u32),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "network {name}"),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Image(reference) => write!(f, "image {reference}"),
            Self::Replica(service, number) => write!(f, "service {service} {number}"),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("`{text}` names no subject");
        let (kind, name) = text.split_once(' ').ok_or_else(unknown)?;
        match kind {
            "network" => Ok(Self::Network(name.to_owned())),
            "volume" => Ok(Self::Volume(name.to_owned())),
            "image" => Ok(Self::Image(name.to_owned())),
            "service" => {
                let (service, number) = name.rsplit_once(' ').ok_or_else(unknown)?;
                Ok(Self::Replica(ServiceName::trusted(service), number.parse().map_err(|_| unknown())?))
            }
            _ => Err(unknown()),
        }
    }
}

// As text, so that it can be the key of a JSON object.
impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What is remembered of the host as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostLedger {
    /// The device each root was last seen on: an unmounted disk is no empty directory.
    pub devices: BTreeMap<PathBuf, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_back_from_its_text() {
        for subject in [
            Subject::Network("shop_default".into()),
            Subject::Image("registry:5000/a/b:1".into()),
            Subject::Replica(ServiceName::trusted("web"), 2),
        ] {
            assert_eq!(subject.to_string().parse::<Subject>().unwrap(), subject);
        }
        assert!("gibberish".parse::<Subject>().is_err());
    }

    #[test]
    fn a_ledger_of_an_earlier_version_is_read() {
        let ledger: ProjectLedger = serde_json::from_str(r#"{"root": "/m", "suspended": true}"#).unwrap();
        assert!(ledger.suspended && ledger.supplies.is_empty());
    }
}
