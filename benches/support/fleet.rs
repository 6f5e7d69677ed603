//! A fleet of projects as people have them, only more of them: written as manifests, and one project as it is when
//! nothing is left to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use evenkeel::manifest::interpolate::Variables;
use evenkeel::manifest::load_all;
use evenkeel::model::observed::{self, Container, ContainerState, Health, Observed};
use evenkeel::model::{ContainerId, ImageId, InstanceId, NetworkId, Project, ProjectName, Timestamp};

/// Services of one project.
pub const PER_PROJECT: usize = 20;

/// The name of a project.
pub fn name(project: usize) -> String {
    format!("p{project:04}")
}

/// Writes the manifests of so many projects.
pub fn write(folder: &Path, projects: usize) -> std::io::Result<()> {
    (0..projects).try_for_each(|p| rewrite(folder, p, 0))
}

/// Writes one manifest. Another `version` changes one service of it, and only that one.
pub fn rewrite(folder: &Path, project: usize, version: usize) -> std::io::Result<()> {
    std::fs::write(folder.join(format!("{}.yaml", name(project))), text(&name(project), PER_PROJECT, version))
}

/// The images that the manifests name.
pub fn images(projects: usize) -> BTreeSet<String> {
    (0..projects).flat_map(|p| (0..3).map(move |n| image(&name(p), n))).collect()
}

/// Every project has two of its own; all share one.
fn image(project: &str, n: usize) -> String {
    if n.is_multiple_of(3) { "postgres:17".to_owned() } else { format!("registry.example/{project}/app-{}:1", n % 3) }
}

/// A Compose file: a tree of dependencies, some of them on a check that passes; two networks, a volume for every tenth
/// service, a check for every fourth, a published port for every tenth.
fn text(project: &str, services: usize, version: usize) -> String {
    let mut text = format!("name: {project}\nservices:\n");
    for n in 0..services {
        let image = image(project, n);
        let changed = if n == services / 2 { version } else { 0 };
        let _ = write!(
            text,
            "  s{n}:
    image: {image}
    restart: unless-stopped
    environment: {{SERVICE: s{n}, LOG_LEVEL: info, GENERATION: \"{changed}\"}}
    networks: [{}]
    deploy: {{resources: {{limits: {{memory: 64M}}}}}}
    labels: {{team: t{}}}
",
            if n.is_multiple_of(5) { "back, front" } else { "back" },
            n % 7,
        );
        if n > 0 {
            let on = (n - 1) / 3;
            let condition = if on.is_multiple_of(4) { "service_healthy" } else { "service_started" };
            let _ = writeln!(text, "    depends_on: {{s{on}: {{condition: {condition}}}}}");
        }
        if n.is_multiple_of(4) {
            text.push_str("    healthcheck: {test: [\"CMD\", \"true\"], interval: 2s, timeout: 1s, retries: 3}\n");
        }
        if n.is_multiple_of(10) {
            let _ = writeln!(text, "    volumes: [\"data{n}:/var/lib/data\"]\n    ports: [\"8080\"]");
        }
    }
    text.push_str("networks: {back: {}, front: {}}\nvolumes:\n");
    (0..services).step_by(10).for_each(|n| text.push_str(&format!("  data{n}: {{}}\n")));
    text
}

/// One project of so many services, and the Engine's part of it when everything is as it should be.
pub fn converged(services: usize, instance: &InstanceId, now: Timestamp) -> Result<(Project, Observed)> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("large.yaml"), text("large", services, 0))?;
    let loaded = load_all(folder.path(), &Variables::new(), &[])?;
    let project = loaded.first().and_then(|l| l.project.as_deref()).context("the project does not load")?.clone();
    ensure!(project.services.len() == services, "services are missing");
    let mut observed = Observed::default();
    for (key, network) in &project.networks {
        let id = NetworkId::trusted(format!("{key:0>64}"));
        let (name, owner) = (network.name.clone(), Some(project.name.clone()));
        let seen = observed::Network {
            id: id.clone(),
            name,
            created: now,
            project: owner,
            key: Some(key.clone()),
            made: None,
        };
        observed.networks.insert(id, seen);
    }
    for volume in project.volumes.values() {
        let seen =
            observed::Volume { name: volume.name.clone(), project: Some(project.name.clone()), key: None, made: None };
        observed.volumes.insert(volume.name.clone(), seen);
    }
    for (n, service) in project.services.values().enumerate() {
        let image = ImageId::trusted(format!("sha256:{:0>64}", service.image.len()));
        observed.images.insert(service.image.clone(), Some(image.clone()));
        // In no order, as the Engine's are.
        let id = ContainerId::trusted(format!("{:064x}", (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let attached =
            observed.networks.values().filter(|n| n.key.as_ref().is_some_and(|k| service.networks.contains_key(k)));
        let networks = attached.flat_map(|n| [n.id.to_string(), n.name.clone()]).collect();
        let checked = service.healthcheck.is_some();
        let container = Container {
            service: Some(service.name.clone()),
            config_hash: service.label_hash(),
            image,
            instance: Some(instance.clone()),
            depends_on: service.depends_on.keys().cloned().collect(),
            state: ContainerState::Running { since: now },
            health: if checked { Health::Healthy } else { Health::None },
            engine_restarts: true,
            networks,
            ..Container::made(
                id.clone(),
                service.container_name(&project.name, 1),
                ProjectName::clone(&project.name),
                now,
            )
        };
        observed.containers.insert(id, container);
    }
    Ok((project, observed))
}
