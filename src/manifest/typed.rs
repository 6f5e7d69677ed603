//! From the merged canonical tree to the typed project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::diagnostic::{Report, suggestion};
use super::document::{Map, Node, Value};
use super::{config_hash, extension, units, validate};
use crate::model::project::{Ipam, IpamPool, Network, Project, Volume};
use crate::model::service::{
    Attachment, Condition, Dependency, Healthcheck, Logging, Mount, MountSource, Port, PullPolicy, Resources,
    RestartPolicy, Service,
};
use crate::model::{ProjectName, ServiceName};

/// What stands around the tree.
pub(super) struct Frame {
    pub(super) name: ProjectName,
    pub(super) working_dir: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) revision: String,
    /// Services of other profiles, left out.
    pub(super) disabled: BTreeSet<String>,
}

/// Builds the project. The environment of the services is resolved already.
pub(super) fn project(tree: &Node, frame: Frame, report: &mut Report) -> Project {
    let empty = Map::new();
    let services_node = tree.get("services").and_then(Node::as_map).unwrap_or(&empty);
    let mut project = Project {
        extension: extension::project(tree.get("x-evenkeel"), report),
        networks: networks(tree, &frame.name, report),
        volumes: volumes(tree, &frame.name),
        name: frame.name,
        working_dir: frame.working_dir,
        files: frame.files,
        services: BTreeMap::new(),
        revision: frame.revision,
    };
    if project.extension.depends_on.contains(&project.name) {
        let span = tree.get("x-evenkeel").map_or(tree.span, |n| n.span);
        report.error(span, "cycle", format!("the project {} depends on itself", project.name));
    }
    for (name, entry) in services_node.iter().filter(|(name, _)| !name.starts_with("x-")) {
        let name = match ServiceName::parse(name) {
            Ok(name) => name,
            Err(error) => {
                report.error(entry.key, "bad-name", error.to_string());
                continue;
            }
        };
        let service = Reader { node: &entry.node, report }.service(&name);
        project.services.insert(name, service);
    }
    validate::whole(&mut project, services_node, &frame.disabled, report);
    let used: BTreeSet<String> = project.services.values().flat_map(|s| s.networks.keys().cloned()).collect();
    project.networks.retain(|key, _| used.contains(key));
    let used: BTreeSet<&String> = project
        .services
        .values()
        .flat_map(|s| &s.mounts)
        .filter_map(|m| match &m.source {
            MountSource::Volume { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    project.volumes.retain(|key, _| used.contains(key));
    project
}

fn text_map(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.and_then(Node::as_map).into_iter().flatten();
    entries.map(|(key, entry)| (key.clone(), entry.node.scalar().unwrap_or_default())).collect()
}

fn text_list(node: Option<&Node>) -> Vec<String> {
    node.and_then(Node::as_list).unwrap_or_default().iter().filter_map(Node::scalar).collect()
}

fn flag(node: Option<&Node>) -> Option<bool> {
    match node?.value {
        Value::Bool(b) => Some(b),
        _ => None,
    }
}

fn integer(node: Option<&Node>) -> Option<i64> {
    match node?.value {
        Value::Int(n) => Some(n),
        _ => None,
    }
}

fn size(node: Option<&Node>) -> Option<i64> {
    node?.scalar()?.parse().ok()
}

fn span_of(node: Option<&Node>) -> Option<Duration> {
    units::duration(&node?.scalar()?)
}

fn external(node: &Node) -> bool {
    flag(node.get("external")).unwrap_or(false)
}

fn resource_name(node: &Node, project: &ProjectName, key: &str) -> String {
    let written = node.get("name").and_then(Node::scalar);
    written.unwrap_or_else(|| if external(node) { key.to_owned() } else { format!("{project}_{key}") })
}

fn networks(tree: &Node, project: &ProjectName, report: &mut Report) -> BTreeMap<String, Network> {
    let default = Map::new();
    let written = tree.get("networks").and_then(Node::as_map).unwrap_or(&default);
    let mut networks = BTreeMap::new();
    let nothing = Node::new(Value::Null, tree.span);
    let implicit = std::iter::once(("default", &nothing)).filter(|_| !written.contains_key("default"));
    for (key, node) in written.iter().map(|(k, e)| (k.as_str(), &e.node)).chain(implicit) {
        if external(node) && (node.get("driver").is_some() || node.get("ipam").is_some()) {
            report.error(
                node.span,
                "conflict",
                format!("the network `{key}` is external, so it has no driver or ipam here"),
            );
        }
        let pools = |ipam: &Node| {
            let list = ipam.get("config").and_then(Node::as_list).unwrap_or_default();
            let field = |n: &Node, key: &str| n.get(key).and_then(Node::scalar);
            list.iter()
                .map(|n| IpamPool {
                    subnet: field(n, "subnet"),
                    ip_range: field(n, "ip_range"),
                    gateway: field(n, "gateway"),
                })
                .collect()
        };
        let network = Network {
            name: resource_name(node, project, key),
            external: external(node),
            driver: node.get("driver").and_then(Node::scalar),
            driver_opts: text_map(node.get("driver_opts")),
            internal: flag(node.get("internal")).unwrap_or(false),
            attachable: flag(node.get("attachable")).unwrap_or(false),
            enable_ipv6: flag(node.get("enable_ipv6")),
            ipam: node
                .get("ipam")
                .map(|ipam| Ipam { driver: ipam.get("driver").and_then(Node::scalar), pools: pools(ipam) }),
            labels: text_map(node.get("labels")),
            config_hash: None,
        };
        networks.insert(key.to_owned(), network);
    }
    networks
}

fn volumes(tree: &Node, project: &ProjectName) -> BTreeMap<String, Volume> {
    let written = tree.get("volumes").and_then(Node::as_map).into_iter().flatten();
    written
        .map(|(key, entry)| {
            let node = &entry.node;
            let volume = Volume {
                name: resource_name(node, project, key),
                external: external(node),
                driver: node.get("driver").and_then(Node::scalar),
                driver_opts: text_map(node.get("driver_opts")),
                labels: text_map(node.get("labels")),
            };
            (key.clone(), volume)
        })
        .collect()
}

struct Reader<'a, 'r> {
    node: &'a Node,
    report: &'r mut Report,
}

impl<'a> Reader<'a, '_> {
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key).filter(|n| !n.is_null())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(Node::scalar)
    }

    fn service(mut self, name: &ServiceName) -> Service {
        let image = self.text("image").unwrap_or_default();
        if image.is_empty() {
            self.report.error(self.node.span, "no-image", format!("the service `{name}` has no image")).help =
                Some("add `image:`; images are not built by this version".into());
        }
        let replicas = self.replicas(name);
        let deploy = self.get("deploy");
        let resources = self.resources(deploy);
        let restart = self.restart();
        let networks = self.networks();
        let node = self.node;
        let command = |key: &str| node.get(key).filter(|n| !n.is_null()).map(|n| text_list(Some(n)));
        Service {
            name: name.clone(),
            config_hash: config_hash::of(self.node),
            image,
            pull_policy: self.pull_policy(),
            command: command("command"),
            entrypoint: command("entrypoint"),
            environment: self
                .get("environment")
                .and_then(Node::as_map)
                .into_iter()
                .flatten()
                .map(|(key, entry)| (key.clone(), entry.node.scalar()))
                .collect(),
            labels: text_map(self.get("labels")),
            hostname: self.text("hostname"),
            domainname: self.text("domainname"),
            user: self.text("user"),
            working_dir: self.text("working_dir"),
            container_name: self.text("container_name"),
            replicas,
            depends_on: self.depends_on(),
            healthcheck: self.healthcheck(),
            restart,
            ports: self.ports(),
            expose: text_list(self.get("expose")),
            mounts: self.mounts(),
            tmpfs: text_list(self.get("tmpfs"))
                .into_iter()
                .map(|t| match t.split_once(':') {
                    Some((path, options)) => (path.to_owned(), options.to_owned()),
                    None => (t, String::new()),
                })
                .collect(),
            networks,
            network_mode: self.text("network_mode"),
            resources,
            stop_signal: self.text("stop_signal"),
            stop_grace_period: span_of(self.get("stop_grace_period")),
            cap_add: text_list(self.get("cap_add")),
            cap_drop: text_list(self.get("cap_drop")),
            privileged: flag(self.get("privileged")).unwrap_or(false),
            read_only: flag(self.get("read_only")).unwrap_or(false),
            init: flag(self.get("init")),
            tty: flag(self.get("tty")).unwrap_or(false),
            stdin_open: flag(self.get("stdin_open")).unwrap_or(false),
            extra_hosts: text_list(self.get("extra_hosts")),
            dns: text_list(self.get("dns")),
            dns_search: text_list(self.get("dns_search")),
            dns_opt: text_list(self.get("dns_opt")),
            sysctls: text_map(self.get("sysctls")),
            ulimits: self.ulimits(),
            logging: self.get("logging").map(|n| Logging {
                driver: n.get("driver").and_then(Node::scalar),
                options: text_map(n.get("options")),
            }),
            security_opt: text_list(self.get("security_opt")),
            group_add: text_list(self.get("group_add")),
            extension: extension::service(self.node.get("x-evenkeel"), self.report),
        }
    }

    fn replicas(&mut self, name: &ServiceName) -> u32 {
        let scale = self.get("scale");
        let replicas = self.get("deploy").and_then(|d| d.get("replicas"));
        if let (Some(a), Some(b)) = (scale, replicas)
            && integer(Some(a)) != integer(Some(b))
        {
            self.report.error(a.span, "conflict", "`scale` and `deploy.replicas` differ");
        }
        let Some(node) = scale.or(replicas) else { return 1 };
        let count = integer(Some(node)).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= 10_000);
        if count.is_some_and(|n| n > 1) && self.get("container_name").is_some() {
            let message = format!("the service `{name}` has a `container_name`, so it can have one replica only");
            self.report.error(node.span, "conflict", message);
        }
        count.unwrap_or_else(|| {
            self.report.error(node.span, "wrong-value", "the number of replicas must be between 0 and 10000");
            1
        })
    }

    fn pull_policy(&mut self) -> PullPolicy {
        let Some(node) = self.get("pull_policy") else { return PullPolicy::Missing };
        match node.as_text() {
            Some("missing" | "if_not_present") => PullPolicy::Missing,
            Some("never") => PullPolicy::Never,
            Some(other @ ("always" | "build" | "daily" | "weekly" | "refresh")) => {
                let message = format!("pull_policy `{other}` is not supported by this version of evenkeel");
                self.report.error(node.span, "unsupported", message).help = Some("use `missing` or `never`".into());
                PullPolicy::Missing
            }
            _ => {
                let message = "pull_policy must be `always`, `never`, `missing`, `if_not_present` or `build`";
                self.report.error(node.span, "wrong-value", message);
                PullPolicy::Missing
            }
        }
    }

    fn depends_on(&mut self) -> BTreeMap<ServiceName, Dependency> {
        let entries = self.node.get("depends_on").and_then(Node::as_map).into_iter().flatten();
        entries
            .map(|(name, entry)| {
                let condition = match entry.node.get("condition").and_then(Node::as_text) {
                    Some("service_healthy") => Condition::Healthy,
                    Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                    _ => Condition::Started,
                };
                let dependency = Dependency {
                    condition,
                    required: flag(entry.node.get("required")).unwrap_or(true),
                    restart: flag(entry.node.get("restart")).unwrap_or(false),
                };
                (ServiceName::trusted(name.as_str()), dependency)
            })
            .collect()
    }

    fn healthcheck(&mut self) -> Option<Healthcheck> {
        let node = self.get("healthcheck")?;
        if flag(node.get("disable")) == Some(true) {
            return Some(Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() });
        }
        Some(Healthcheck {
            test: text_list(node.get("test")),
            interval: span_of(node.get("interval")),
            timeout: span_of(node.get("timeout")),
            retries: integer(node.get("retries")).and_then(|n| u32::try_from(n).ok()),
            start_period: span_of(node.get("start_period")),
            start_interval: span_of(node.get("start_interval")),
        })
    }

    /// `deploy.restart_policy` is read before `restart`.
    fn restart(&mut self) -> Option<RestartPolicy> {
        let policy = self.get("deploy").and_then(|d| d.get("restart_policy")).filter(|n| !n.is_null());
        if let Some(policy) = policy {
            let max = integer(policy.get("max_attempts")).and_then(|n| u32::try_from(n).ok());
            return Some(match policy.get("condition").and_then(Node::as_text) {
                Some("none") => RestartPolicy::No,
                Some("on-failure") => RestartPolicy::OnFailure { max },
                _ => RestartPolicy::Always,
            });
        }
        let node = self.get("restart")?;
        let text = node.scalar()?;
        Some(match text.as_str() {
            "no" | "false" => RestartPolicy::No,
            "always" => RestartPolicy::Always,
            "unless-stopped" => RestartPolicy::UnlessStopped,
            "on-failure" => RestartPolicy::OnFailure { max: None },
            other => match other.strip_prefix("on-failure:").map(str::parse) {
                Some(Ok(0)) => RestartPolicy::OnFailure { max: None },
                Some(Ok(max)) => RestartPolicy::OnFailure { max: Some(max) },
                _ => {
                    let words = ["no", "always", "unless-stopped", "on-failure"];
                    let message = format!("`{other}` is no restart policy");
                    self.report.error(node.span, "wrong-value", message).help = Some(
                        suggestion(other, words)
                            .unwrap_or_else(|| "use no, always, unless-stopped, on-failure or on-failure:N".into()),
                    );
                    return None;
                }
            },
        })
    }

    fn ports(&mut self) -> Vec<Port> {
        let nodes = self.get("ports").and_then(Node::as_list).unwrap_or_default();
        let mut ports = Vec::new();
        for node in nodes {
            let target = integer(node.get("target")).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
            let Some(target) = target else {
                self.report.error(node.span, "bad-port", "a port needs a `target` between 1 and 65535");
                continue;
            };
            ports.push(Port {
                target,
                protocol: node.get("protocol").and_then(Node::scalar).unwrap_or_else(|| "tcp".into()),
                published: node.get("published").and_then(Node::scalar).filter(|p| !p.is_empty()),
                host_ip: node.get("host_ip").and_then(Node::scalar),
            });
        }
        ports
    }

    fn mounts(&mut self) -> Vec<Mount> {
        let nodes = self.get("volumes").and_then(Node::as_list).unwrap_or_default();
        let mut mounts: Vec<Mount> = Vec::new();
        for node in nodes {
            let Some(target) = node.get("target").and_then(Node::scalar).filter(|t| !t.is_empty()) else {
                self.report.error(node.span, "bad-volume", "a mount needs a `target`");
                continue;
            };
            if !target.starts_with('/') {
                self.report.error(node.span, "bad-volume", format!("the target `{target}` must be an absolute path"));
            }
            if mounts.iter().any(|m| m.target == target) {
                self.report.error(node.span, "duplicate-target", format!("two mounts at `{target}`"));
            }
            let from = node.get("source").and_then(Node::scalar);
            let option = |group: &str, key: &str| node.get(group).and_then(|g| g.get(key)).cloned();
            let source = match (node.get("type").and_then(Node::as_text), from) {
                (Some("bind"), Some(path)) => MountSource::Bind {
                    path: path.into(),
                    create: flag(option("bind", "create_host_path").as_ref()).unwrap_or(true),
                    propagation: option("bind", "propagation").and_then(|n| n.scalar()),
                    selinux: option("bind", "selinux").and_then(|n| n.scalar()),
                },
                (Some("bind"), None) => {
                    self.report.error(node.span, "bad-volume", "a bind mount needs a `source`");
                    continue;
                }
                (Some("tmpfs"), _) => MountSource::Tmpfs {
                    size: size(option("tmpfs", "size").as_ref()).and_then(|n| u64::try_from(n).ok()),
                    mode: integer(option("tmpfs", "mode").as_ref()).and_then(|n| u32::try_from(n).ok()),
                },
                (_, Some(key)) => {
                    MountSource::Volume { key, nocopy: flag(option("volume", "nocopy").as_ref()).unwrap_or(false) }
                }
                (_, None) => MountSource::Anonymous,
            };
            mounts.push(Mount { target, source, read_only: flag(node.get("read_only")).unwrap_or(false) });
        }
        mounts
    }

    fn networks(&mut self) -> IndexMap<String, Attachment> {
        let Some(map) = self.get("networks").and_then(Node::as_map) else {
            if self.get("network_mode").is_some() {
                return IndexMap::new();
            }
            return IndexMap::from([("default".to_owned(), Attachment::default())]);
        };
        if let Some(mode) = self.get("network_mode")
            && !map.is_empty()
        {
            let span = mode.span;
            self.report.error(span, "conflict", "`network_mode` and `networks` exclude each other");
        }
        let map = self.node.get("networks").and_then(Node::as_map).into_iter().flatten();
        let mut networks: IndexMap<String, Attachment> = map
            .map(|(key, entry)| {
                let field = |name: &str| entry.node.get(name).and_then(Node::scalar);
                let attachment = Attachment {
                    aliases: text_list(entry.node.get("aliases")),
                    ipv4_address: field("ipv4_address"),
                    ipv6_address: field("ipv6_address"),
                    priority: field("priority").and_then(|p| p.parse().ok()).unwrap_or(0),
                };
                (key.clone(), attachment)
            })
            .collect();
        networks.sort_by(|a, x, b, y| y.priority.cmp(&x.priority).then_with(|| a.cmp(b)));
        networks
    }

    fn resources(&self, deploy: Option<&Node>) -> Resources {
        let group = |name: &str| deploy.and_then(|d| d.get("resources")).and_then(|r| r.get(name));
        let (limits, reservations) = (group("limits"), group("reservations"));
        let cpus = limits.and_then(|l| l.get("cpus")).or_else(|| self.get("cpus")).and_then(|n| match n.value {
            Value::Float(x) => Some(x),
            #[allow(clippy::cast_precision_loss)]
            Value::Int(n) => Some(n as f64),
            _ => None,
        });
        let memory =
            |node: Option<&Node>, key: &str| size(node.and_then(|l| l.get("memory")).or_else(|| self.get(key)));
        Resources {
            #[allow(clippy::cast_possible_truncation)]
            nano_cpus: cpus.map(|x| (x * 1e9).round() as i64).filter(|n| *n > 0),
            cpu_shares: integer(self.get("cpu_shares")),
            memory: memory(limits, "mem_limit").filter(|n| *n > 0),
            memory_reservation: memory(reservations, "mem_reservation").filter(|n| *n > 0),
            memory_swap: size(self.get("memswap_limit")),
            pids: integer(limits.and_then(|l| l.get("pids")).or_else(|| self.get("pids_limit"))),
            shm_size: size(self.get("shm_size")),
        }
    }

    fn ulimits(&self) -> BTreeMap<String, (i64, i64)> {
        let entries = self.get("ulimits").and_then(Node::as_map).into_iter().flatten();
        entries
            .filter_map(|(name, entry)| {
                let single = integer(Some(&entry.node));
                let soft = single.or_else(|| integer(entry.node.get("soft")))?;
                let hard = single.or_else(|| integer(entry.node.get("hard")))?;
                Some((name.clone(), (soft, hard)))
            })
            .collect()
    }
}
