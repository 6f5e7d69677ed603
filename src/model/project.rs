//! A project as its manifest wants it: the typed end of the loader's pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ProjectName, Service, ServiceName};

/// One Compose project, fully resolved: nothing in it depends on a file or the environment any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
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

/// One address pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IpamPool {
    /// CIDR.
    pub subnet: Option<String>,
    /// CIDR within the subnet.
    pub ip_range: Option<String>,
    /// An address.
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

/// `x-evenkeel` at the top level.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProjectExtension {
    /// Watch and report, change nothing.
    pub suspend: bool,
    /// Other projects that must be converged first.
    pub depends_on: Vec<ProjectName>,
    /// Whether containers of services that the manifest no longer has are removed. Default: yes.
    pub prune_orphans: Option<bool>,
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

    /// Whether some service says how an image is built.
    pub fn can_build(&self, image: &str) -> bool {
        self.services.values().any(|s| s.build.is_some() && s.image == image)
    }

    /// Services, dependencies first; equals in the order of their names. Cycles were refused by the loader; should one
    /// get here all the same, its members come last.
    pub fn in_dependency_order(&self) -> Vec<&Service> {
        let mut waits: BTreeMap<&ServiceName, usize> = BTreeMap::new();
        let mut dependents: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
        for service in self.services.values() {
            let known = service.depends_on.keys().filter(|d| self.services.contains_key(*d));
            let mut count = 0;
            for dependency in known {
                dependents.entry(dependency).or_default().push(&service.name);
                count += 1;
            }
            waits.insert(&service.name, count);
        }
        let mut layer: BTreeSet<&ServiceName> = waits.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
        let mut order = Vec::with_capacity(self.services.len());
        while !layer.is_empty() {
            let mut next = BTreeSet::new();
            for name in layer {
                waits.remove(name);
                order.extend(self.services.get(name));
                for dependent in dependents.get(name).into_iter().flatten() {
                    if let Some(count) = waits.get_mut(dependent) {
                        *count -= 1;
                        if *count == 0 {
                            next.insert(*dependent);
                        }
                    }
                }
            }
            layer = next;
        }
        order.extend(waits.keys().filter_map(|name| self.services.get(*name)));
        order
    }
}
