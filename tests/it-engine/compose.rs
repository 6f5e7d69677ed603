//! Beside the real Docker Compose, where `EVENKEEL_TEST_COMPOSE` names its program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{SOON, World, docker_compose, wait_until};

const SHOP: &str = r#"
services:
  db: {image: IMAGE, volumes: ["data:/data"]}
  web: {image: IMAGE, depends_on: [db]}
volumes: {data: {}}
"#;

/// The real program.
struct Compose(std::ffi::OsString);

impl Compose {
    fn find() -> Option<Self> {
        docker_compose().map(Self)
    }

    /// Runs it in a folder, with its files or the given one.
    #[track_caller]
    fn run(&self, world: &World, folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.0);
        command.current_dir(folder).args(arguments).env("DOCKER_HOST", world.engine.url());
        let output = command.output().expect("docker-compose runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn a_project_that_compose_started_is_taken_over_without_doubles_and_handed_back() {
    let Some(program) = Compose::find() else { return };
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, SHOP);
    let path = world.path(&shop).display().to_string();
    let compose = |arguments: &[&str]| {
        let all: Vec<&str> = ["-f", &path].iter().chain(arguments).copied().collect();
        program.run(&world, &world.manifests(), &all)
    };
    compose(&["up", "-d"]);
    let controller = world.run();
    controller.converged(&shop);
    let names: Vec<_> = world.engine.containers(&shop).into_iter().map(|c| (c.name, c.state)).collect();
    let running = |service: &str| (format!("{shop}-{service}-1"), "running".to_owned());
    assert_eq!(names, [running("db"), running("web")]);
    assert_eq!(world.engine.networks_named(&format!("{shop}_default")), 1);
    assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")]);
    world.expect_nothing_to_do();
    drop(controller);
    let listed = compose(&["ps", "--format", "json"]);
    assert!(listed.contains(&format!("{shop}-db-1")) && listed.contains(&format!("{shop}-web-1")), "{listed}");
}

/// Everything that Compose may take for a change: env files, configs, secrets, volumes, limits, checks, networks, and
/// containers that share with others.
const RICH: &str = r#"
x-common: &common
  image: IMAGE
  env_file: [common.env, {path: absent.env, required: false}]
  logging: {driver: json-file, options: {max-size: 1m}}
services:
  db:
    <<: *common
    environment: {MODE: "${MODE:-plain}", PRICE: "5$$"}
    volumes: ["data:/data", "./conf:/etc/conf:ro"]
    configs: [{source: settings, target: /etc/settings.conf, mode: 0440}, inline]
    secrets: [password, {source: token, target: api-token}]
    healthcheck: {test: [CMD, /demo-service, health], interval: 1s, timeout: 2s, retries: 3}
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M, pids: 50}, reservations: {memory: 16M}}}
    networks: {back: {aliases: [store]}, front: }
    label_file: labels.env
    labels: {tier: data}
  web:
    <<: *common
    command: ["serve"]
    volumes: [{type: tmpfs, target: /scratch, tmpfs: {size: 1m}}]
    depends_on: {db: {condition: service_healthy}}
    ports: ["127.0.0.1::8000"]
    networks: [front]
    ulimits: {nofile: {soft: 1000, hard: 2000}}
    extra_hosts: ["elsewhere=10.0.0.1"]
    cap_drop: [NET_RAW]
    stop_grace_period: 2s
  side: {image: IMAGE, environment: {PORT: "7001"}, network_mode: "service:web", pid: "service:web", volumes_from: ["db:ro"]}
networks: {front: {labels: {a: b}}, back: {internal: true}}
volumes: {data: {labels: {keep: "yes"}}}
configs: {settings: {file: ./settings.conf}, inline: {content: "made of ${MODE:-nothing}"}}
secrets: {password: {file: ./password}, token: {environment: TOKEN}}
"#;

/// A folder with the rich project in it.
fn rich(world: &World, name: &str) -> PathBuf {
    let folder = world.folder(name);
    let files = [
        ("common.env", "A=1\nB=\"$A two\"\n"),
        (".env", "MODE=from-dotenv\nTOKEN=t0ken\n"),
        ("labels.env", "from=file\n"),
        ("settings.conf", "x = 1\n"),
        ("password", "secret\n"),
        ("conf/a.conf", "a\n"),
    ];
    for (file, text) in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(folder.join("compose.yaml"), format!("name: {name}\n{}", RICH.replace("IMAGE", world.image)))
        .unwrap();
    folder
}

fn ids(world: &World, project: &str) -> Vec<(String, String)> {
    world.engine.containers(project).into_iter().map(|c| (c.name, c.id)).collect()
}

#[test]
fn what_evenkeel_made_compose_leaves_alone() {
    let Some(compose) = Compose::find() else { return };
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let folder = rich(&world, &shop);
    let applied = world.verb(&["apply", folder.to_str().unwrap(), "--wait-healthy"]);
    assert_eq!(applied.code, Some(0), "{}{}", applied.out, applied.err);
    let before = ids(&world, &shop);
    assert_eq!(before.len(), 3);
    compose.run(&world, &folder, &["up", "-d", "-y"]);
    assert_eq!(ids(&world, &shop), before, "Compose makes nothing anew");
    world.expect_nothing_to_do_in(&folder);
}

#[test]
fn what_compose_made_evenkeel_leaves_alone() {
    let Some(compose) = Compose::find() else { return };
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let folder = rich(&world, &shop);
    compose.run(&world, &folder, &["up", "-d"]);
    let before = ids(&world, &shop);
    assert_eq!(before.len(), 3);
    world.expect_nothing_to_do_in(&folder);
    let applied = world.verb(&["apply", folder.to_str().unwrap(), "--wait-healthy"]);
    assert_eq!(applied.code, Some(0), "{}{}", applied.out, applied.err);
    assert_eq!(ids(&world, &shop), before, "evenkeel makes nothing anew");
    compose.run(&world, &folder, &["up", "-d", "-y"]);
    assert_eq!(ids(&world, &shop), before);
}

/// What docker-compose 1.29 makes of a project: underscores in names, a hash that is its own, networks that are attachable,
/// and no alias for the container's name.
#[test]
fn a_project_that_compose_v1_started_is_taken_over_with_nothing_touched() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let labels = |more: serde_json::Value| {
        let mut all = serde_json::json!({"com.docker.compose.project": shop, "com.docker.compose.version": "1.29.2"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let network = format!("{shop}_default");
    let made = labels(serde_json::json!({"com.docker.compose.network": "default"}));
    let body = serde_json::json!({"Name": network, "Attachable": true, "CheckDuplicate": true, "Labels": made});
    let network_id = world.engine.call("POST", "/networks/create", Some(&body))["Id"].clone();
    let made = labels(serde_json::json!({
        "com.docker.compose.service": "web", "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False", "com.docker.compose.project.working_dir": "/srv/shop",
        "com.docker.compose.project.config_files": "docker-compose.yml",
        "com.docker.compose.config-hash": "f697161b0481299d15b99893bd950009299d288529d75c5ae949a9eced78486b",
    }));
    let body = serde_json::json!({
        "Image": world.image, "Labels": made, "Env": ["A=1"], "Memory": 67_108_864, "Volumes": {},
        "HostConfig": {
            "NetworkMode": network, "Memory": 67_108_864, "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "Binds": [], "Links": [], "VolumesFrom": [], "LogConfig": {"Type": "", "Config": {}},
        },
        "NetworkingConfig": {"EndpointsConfig": {&network: {"Aliases": ["web"], "IPAMConfig": {}}}},
    });
    let container = world.engine.call("POST", &format!("/containers/create?name={shop}_web_1"), Some(&body));
    let id = container["Id"].as_str().unwrap().to_owned();
    world.engine.call("POST", &format!("/containers/{id}/start"), None);

    let web = "environment: {A: '1'}, mem_limit: 64m, restart: unless-stopped";
    world.write(&shop, &format!("services: {{web: {{image: IMAGE, {web}}}}}\n"));
    world.expect_nothing_to_do();
    let started = world.engine.started(&id);
    let controller = world.run();
    controller.converged(&shop);
    assert_eq!(world.engine.container(&shop, "web").id, id);
    assert_eq!(world.engine.started(&id), started);
    assert_eq!(world.engine.call("GET", &format!("/networks/{network}"), None)["Id"], network_id);

    // It is one of ours from now on.
    world.write(&shop, "services: {web: {image: IMAGE, environment: {A: '2'}, restart: unless-stopped}}\n");
    wait_until(SOON, "it is replaced", || world.engine.containers(&shop).iter().all(|c| c.id != id));
    controller.converged(&shop);
    assert_eq!(world.engine.container(&shop, "web").name, format!("{shop}-web-1"));
}
