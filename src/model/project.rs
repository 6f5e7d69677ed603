//! A project as its manifest wants it: the typed end of the loader's pipeline.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

pub use super::service::DriftMode;
use super::service::Port;
use super::{ProjectName, Service, ServiceName};

/// One Compose project, fully resolved: nothing in it depends on a file or the environment any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The name that containers, networks and volumes carry in a label.
    pub name: ProjectName,
    /// The folder that relative paths start from.
    pub working_dir: PathBuf,
    /// The Compose files, the first one first.
    pub files: Vec<PathBuf>,
    /// Services that are enabled, by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// Networks that a service uses, by key.
    pub networks: BTreeMap<String, Network>,
    /// Volumes that a service uses, by key.
    pub volumes: BTreeMap<String, Volume>,
    /// Configs that a service uses, by key.
    #[serde(default)]
    pub configs: BTreeMap<String, FileObject>,
    /// Secrets that a service uses, by key.
    #[serde(default)]
    pub secrets: BTreeMap<String, FileObject>,
    /// Models, by key.
    #[serde(default)]
    pub models: BTreeMap<String, AiModel>,
    /// The top-level `x-evenkeel`.
    pub extension: ProjectExtension,
    /// The content hash of the manifest with everything it pulls in.
    pub revision: String,
}

/// A top-level network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The Engine's name for it: `PROJECT_KEY` unless `name` or `external` says otherwise.
    pub name: String,
    /// Made by somebody else: must be there, is never made or removed.
    pub external: bool,
    /// `driver`; the Engine's default where absent.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// No way out of the host.
    pub internal: bool,
    /// Containers outside the project may attach.
    pub attachable: bool,
    /// `enable_ipv4`; API 1.48 and later.
    #[serde(default)]
    pub enable_ipv4: Option<bool>,
    /// `enable_ipv6`.
    pub enable_ipv6: Option<bool>,
    /// `ipam`: the driver and address pools.
    pub ipam: Option<Ipam>,
    /// The labels written in the manifest.
    pub labels: BTreeMap<String, String>,
    /// SHA-256 of its configuration, as Compose labels the network with; `None`: it is external.
    pub config_hash: Option<String>,
}

/// Address management of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ipam {
    /// `driver`.
    pub driver: Option<String>,
    /// `config`.
    pub pools: Vec<IpamPool>,
}

/// One pool of addresses of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IpamPool {
    /// CIDR.
    pub subnet: Option<String>,
    /// CIDR within the subnet.
    pub ip_range: Option<String>,
    /// The address of the gateway.
    pub gateway: Option<String>,
    /// Addresses that are taken, by the name of who has them.
    #[serde(default)]
    pub aux_addresses: BTreeMap<String, String>,
}

/// A top-level volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// The Engine's name for it.
    pub name: String,
    /// Made by somebody else: must be there.
    pub external: bool,
    /// `driver`.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// The labels written in the manifest.
    pub labels: BTreeMap<String, String>,
    /// SHA-256 of its configuration, as Compose labels the volume with; `None`: it is external.
    #[serde(default)]
    pub config_hash: Option<String>,
}

/// A top-level config or secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileObject {
    /// `PROJECT_KEY` unless `name` says otherwise.
    pub name: String,
    /// A file of the host that is mounted.
    pub file: Option<PathBuf>,
    /// The variable that the content was taken from.
    pub environment: Option<String>,
    /// The content itself, also where it was taken from a variable: copied into the container before it starts.
    pub content: Option<String>,
    /// The labels written in the manifest.
    pub labels: BTreeMap<String, String>,
}

/// A top-level model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AiModel {
    /// `name`.
    pub name: String,
    /// Its reference in a registry.
    pub model: String,
    /// Tokens; 0: the model's own.
    pub context_size: i64,
    /// Flags of the inference engine.
    pub runtime_flags: Vec<String>,
}

/// Services by name. Whatever their hashes are, the outcome of a look-up is the same, so these are not drawn.
pub type Places<'a> = HashMap<&'a ServiceName, usize, FixedState>;

/// `x-evenkeel` at the top level.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProjectExtension {
    /// Watch and report, change nothing.
    pub suspend: bool,
    /// Other projects that must be converged first.
    pub depends_on: Vec<ProjectName>,
    /// What is done about drift.
    #[serde(default)]
    pub drift: DriftMode,
    /// Whether containers of services that the manifest no longer has are removed. Default: yes.
    pub prune_orphans: Option<bool>,
    /// Whether volumes that the manifest no longer has are removed with all that is in them. Default: no.
    #[serde(default)]
    pub prune_volumes: bool,
}

impl Project {
    /// The services that some other service waits for with `service_completed_successfully`, or that say
    /// `x-evenkeel.type: job`: an exit with 0 that nobody watched counts as their completion.
    pub fn is_job(&self, service: &ServiceName) -> bool {
        self.services.get(service).is_some_and(|s| s.extension.kind.as_deref() == Some("job"))
            || self.services.values().any(|s| {
                s.depends_on
                    .get(service)
                    .is_some_and(|d| d.condition == super::service::Condition::CompletedSuccessfully)
            })
    }

    /// All of them at once: each answer of [`Project::is_job`] looks at every service.
    pub fn jobs(&self) -> BTreeSet<&ServiceName> {
        let said = self.services.values().filter(|s| s.extension.kind.as_deref() == Some("job")).map(|s| &s.name);
        let awaited = self.services.values().flat_map(|s| &s.depends_on).filter_map(|(name, dependency)| {
            (dependency.condition == super::service::Condition::CompletedSuccessfully).then_some(name)
        });
        said.chain(awaited).collect()
    }

    /// Whether some service says how an image is built.
    pub fn can_build(&self, image: &str) -> bool {
        self.services.values().any(|s| s.build.is_some() && s.image == image)
    }

    /// The ports that its services publish on the host.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.services.values().flat_map(|service| &service.ports)
    }

    /// Whether some service keeps a part of the host for itself.
    pub fn reserves(&self) -> bool {
        self.services.values().any(|s| s.deploy.as_ref().is_some_and(|deploy| deploy.reservations.is_some()))
    }

    /// Services, dependencies first; equals in the order of their names. Cycles were refused by the loader; should one
    /// get here all the same, its members come last.
    pub fn in_dependency_order(&self) -> Vec<&Service> {
        let services: Vec<&Service> = self.services.values().collect();
        self.dependency_order(&self.places()).into_iter().filter_map(|place| services.get(place).copied()).collect()
    }

    /// The place of each service in the order of names, for who goes through all services and has a name to look for in
    /// each.
    pub fn places(&self) -> Places<'_> {
        self.services.keys().enumerate().map(|(place, name)| (name, place)).collect()
    }

    /// The same as [`Project::in_dependency_order`], by place.
    pub fn dependency_order(&self, places: &Places<'_>) -> Vec<usize> {
        let count = self.services.len();
        let mut waits = vec![0_usize; count];
        // Whom who waits for, sorted: one list instead of one for each service.
        let mut edges = Vec::with_capacity(count);
        for (place, service) in self.services.values().enumerate() {
            for dependency in service.depends_on.keys() {
                if let Some(on) = places.get(dependency) {
                    edges.push((*on, place));
                    waits[place] += 1;
                }
            }
        }
        edges.sort_unstable();
        let dependents = |place: usize| {
            let from = edges.partition_point(|(on, _)| *on < place);
            edges[from..].iter().take_while(move |(on, _)| *on == place).map(|(_, dependent)| *dependent)
        };
        let mut layer: Vec<usize> = (0..count).filter(|place| waits[*place] == 0).collect();
        let mut order = Vec::with_capacity(count);
        while !layer.is_empty() {
            let mut next = Vec::new();
            for place in layer {
                order.push(place);
                for dependent in dependents(place) {
                    waits[dependent] -= 1;
                    if waits[dependent] == 0 {
                        next.push(dependent);
                    }
                }
            }
            next.sort_unstable();
            layer = next;
        }
        order.extend((0..count).filter(|place| waits[*place] > 0));
        order
    }
}

#[cfg(test)]
impl Project {
    /// A project with nothing in it.
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: ProjectName::trusted(name),
            working_dir: PathBuf::new(),
            files: Vec::new(),
            services: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            configs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            models: BTreeMap::new(),
            extension: ProjectExtension::default(),
            revision: "r1".to_owned(),
        }
    }
}
