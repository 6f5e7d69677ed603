//! The typed service from its bound object.

use std::collections::BTreeMap;
use std::path::Path;

use super::read::{count, duration, flag, is_set, optional_map, text, text_list, text_map};
use super::{build, extras, mounts, network, resources, rollout, security};
use crate::manifest::diagnostic::{Report, suggestion};
use crate::manifest::document::Node;
use crate::manifest::extension;
use crate::manifest::units;
use crate::model::service::{Condition, Dependency, Deploy, Healthcheck, Logging, PullPolicy, RestartPolicy, Service};
use crate::model::{ProjectName, ServiceName};

/// Reads a service: long, as it has a line for each attribute. `working_dir`: where the paths in it that are not resolved
/// yet start from.
pub(super) fn service(
    project: &ProjectName,
    name: &ServiceName,
    node: &Node,
    working_dir: &Path,
    report: &mut Report,
) -> Service {
    let part = |key: &str| node.get(key).filter(|n| !n.is_null());
    let built = part("build").is_some();
    // What is built and has no name of its own is called like its containers, as with Compose.
    let image = text(node, "image").or_else(|| built.then(|| format!("{project}-{name}"))).unwrap_or_default();
    for (key, why) in [
        ("provider", "a provider stands in for containers, and evenkeel only looks after containers"),
        ("models", "models are run by Docker Model Runner, not by the Engine"),
    ] {
        if let Some(at) = part(key).filter(|n| n.as_map().is_none_or(|m| !m.is_empty())) {
            report.error(at.span, "unsupported", why);
        }
    }
    let deploy = part("deploy").map(|n| resources::deploy(n, report));
    let security = security::options(node, working_dir, report);
    let command = |key: &str| part(key).map(|_| text_list(node, key));
    let service = Service {
        name: name.clone(),
        config_hash: String::new(),
        hash_template: None,
        peers: BTreeMap::new(),
        image,
        pull_policy: pull_policy(node, report),
        command: command("command"),
        entrypoint: command("entrypoint"),
        environment: optional_map(node, "environment"),
        labels: text_map(node, "labels"),
        hostname: text(node, "hostname"),
        domainname: text(node, "domainname"),
        user: text(node, "user"),
        working_dir: text(node, "working_dir"),
        container_name: text(node, "container_name"),
        replicas: replicas(node, report),
        depends_on: depends_on(node),
        healthcheck: part("healthcheck").map(healthcheck),
        restart: restart(node, deploy.as_ref(), report),
        ports: network::ports(node, report),
        expose: text_list(node, "expose"),
        mounts: mounts::mounts(node, report),
        tmpfs: text_list(node, "tmpfs")
            .into_iter()
            .map(|t| match t.split_once(':') {
                Some((path, options)) => (path.to_owned(), options.to_owned()),
                None => (t, String::new()),
            })
            .collect(),
        networks: network::networks(node),
        network_mode: network::namespace(node, "network_mode"),
        mac_address: text(node, "mac_address"),
        links: network::links(node),
        external_links: network::external_links(node),
        resources: resources::resources(node, deploy.as_ref()),
        deploy,
        stop_signal: text(node, "stop_signal"),
        stop_grace_period: duration(node, "stop_grace_period"),
        cap_add: text_list(node, "cap_add"),
        cap_drop: text_list(node, "cap_drop"),
        privileged: is_set(node, "privileged"),
        read_only: is_set(node, "read_only"),
        init: flag(node, "init"),
        tty: is_set(node, "tty"),
        stdin_open: is_set(node, "stdin_open"),
        extra_hosts: text_list(node, "extra_hosts"),
        dns: text_list(node, "dns"),
        dns_search: text_list(node, "dns_search"),
        dns_opt: text_list(node, "dns_opt"),
        sysctls: text_map(node, "sysctls"),
        ulimits: resources::ulimits(node),
        logging: part("logging").map(|n| Logging { driver: text(n, "driver"), options: text_map(n, "options") }),
        security_opt: security.passed_on,
        unconfined_paths: security.unconfined_paths,
        group_add: text_list(node, "group_add"),
        configs: mounts::references(node, "configs"),
        secrets: mounts::references(node, "secrets"),
        volumes_from: mounts::volumes_from(node),
        volume_driver: text(node, "volume_driver"),
        storage_opt: text_map(node, "storage_opt"),
        annotations: text_map(node, "annotations"),
        ipc: network::namespace(node, "ipc"),
        pid: network::namespace(node, "pid"),
        userns_mode: text(node, "userns_mode"),
        uts: text(node, "uts"),
        cgroup: text(node, "cgroup"),
        isolation: text(node, "isolation"),
        platform: text(node, "platform"),
        runtime: text(node, "runtime"),
        use_api_socket: is_set(node, "use_api_socket"),
        credential_spec: part("credential_spec").map(extras::credential_spec),
        build: part("build").map(|n| build::build(n, report)),
        develop: part("develop").map(extras::develop),
        attach: flag(node, "attach"),
        provider: part("provider").map(extras::provider),
        models: extras::models(node),
        post_start: extras::hooks(node, "post_start"),
        pre_stop: extras::hooks(node, "pre_stop"),
        profiles: text_list(node, "profiles"),
        extension: extension::service(node, report),
    };
    rollout::check(node, &service, report);
    service
}

fn replicas(service: &Node, report: &mut Report) -> u32 {
    let scale = service.get("scale");
    let Some(node) = scale.or_else(|| service.get("deploy").and_then(|d| d.get("replicas"))) else { return 1 };
    let number = node.scalar().and_then(|n| n.parse().ok()).filter(|n: &u32| *n <= MAX_REPLICAS);
    number.unwrap_or_else(|| {
        if report.has_error_at(node.span) {
            return 1;
        }
        let message = format!("the number of replicas must be between 0 and {MAX_REPLICAS}");
        report.error(node.span, "wrong-value", message);
        1
    })
}

/// More containers of one service than any host runs.
const MAX_REPLICAS: u32 = 10_000;

fn pull_policy(service: &Node, report: &mut Report) -> PullPolicy {
    const DAY: u64 = 86_400;
    let Some(node) = service.get("pull_policy").filter(|n| !n.is_null()) else { return PullPolicy::Unwritten };
    let word = node.as_text().unwrap_or_default();
    let policy = match word {
        "missing" | "if_not_present" => Some(PullPolicy::Missing),
        "never" => Some(PullPolicy::Never),
        "always" => Some(PullPolicy::Always),
        "build" => Some(PullPolicy::Build),
        "daily" => Some(PullPolicy::Every(std::time::Duration::from_secs(DAY))),
        "weekly" => Some(PullPolicy::Every(std::time::Duration::from_secs(7 * DAY))),
        _ => word.strip_prefix("every_").and_then(units::duration).filter(|d| !d.is_zero()).map(PullPolicy::Every),
    };
    policy.unwrap_or_else(|| {
        let message = "pull_policy must be `always`, `never`, `missing`, `if_not_present`, `build`, `daily`, `weekly` \
                       or `every_` and a duration";
        if !report.has_error_at(node.span) {
            report.error(node.span, "wrong-value", message);
        }
        PullPolicy::Unwritten
    })
}

fn depends_on(service: &Node) -> BTreeMap<ServiceName, Dependency> {
    let entries = service.get("depends_on").and_then(Node::as_map).into_iter().flatten();
    entries
        .map(|(name, entry)| {
            let condition = match entry.node.get("condition").and_then(Node::as_text) {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                _ => Condition::Started,
            };
            let dependency = Dependency {
                condition,
                required: flag(&entry.node, "required").unwrap_or(true),
                restart: is_set(&entry.node, "restart"),
            };
            (ServiceName::trusted(name.as_str()), dependency)
        })
        .collect()
}

fn healthcheck(node: &Node) -> Healthcheck {
    let disabled = is_set(node, "disable");
    Healthcheck {
        test: if disabled { vec!["NONE".into()] } else { text_list(node, "test") },
        interval: duration(node, "interval"),
        timeout: duration(node, "timeout"),
        retries: count(node, "retries"),
        start_period: duration(node, "start_period"),
        start_interval: duration(node, "start_interval"),
    }
}

/// `deploy.restart_policy` is read before `restart`.
fn restart(service: &Node, deploy: Option<&Deploy>, report: &mut Report) -> Option<RestartPolicy> {
    if let Some(policy) = deploy.and_then(|d| d.restart_policy.as_ref()) {
        let max = policy.max_attempts.and_then(|n| u32::try_from(n).ok());
        return Some(match policy.condition.as_deref() {
            Some("none") => RestartPolicy::No,
            Some("on-failure") => RestartPolicy::OnFailure { max },
            _ => RestartPolicy::Always,
        });
    }
    let node = service.get("restart")?;
    let text = node.scalar().filter(|t| !t.is_empty())?;
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
                report.error(node.span, "wrong-value", message).help = Some(
                    suggestion(other, words)
                        .unwrap_or_else(|| "use no, always, unless-stopped, on-failure or on-failure:N".into()),
                );
                return None;
            }
        },
    })
}
