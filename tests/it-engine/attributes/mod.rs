//! Every attribute reaches the Engine as Docker Compose sends it: the containers, networks and volumes that both make of
//! one file are compared by their whole inspects.
//!
//! What Compose v2.40.3 makes is recorded in `tests/fixtures/inspect`, one folder for each version of the Engine's API.
//! `EVENKEEL_TEST_COMPOSE` names a docker-compose to compare with beside it; `EVENKEEL_RECORD=1` records anew.

mod files;
mod normal;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{World, docker_compose, skip};

/// Everything a project has, by `container SERVICE NUMBER`, `network KEY`, `volume KEY`.
fn snapshot(world: &World, project: &str, started: bool) -> Value {
    let engine = &world.engine;
    let containers = engine.containers(project);
    let mut all = serde_json::Map::new();
    for container in &containers {
        let key = format!("container {} {}", container.service, container.number);
        all.insert(key, engine.inspect(&container.id));
    }
    for network in engine.networks(project) {
        all.insert(format!("network {network}"), engine.call("GET", &format!("/networks/{network}"), None));
    }
    for volume in engine.volumes(project) {
        all.insert(format!("volume {volume}"), engine.call("GET", &format!("/volumes/{volume}"), None));
    }
    let ids = containers.iter().map(|c| (c.id.clone(), format!("ID-{}-{}", c.service, c.number))).collect();
    normal::normal(Value::Object(all), world, project, ids, started)
}

/// Where values differ: one line each, the attribute's service first.
fn differences(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let absent = Value::String("(absent)".into());
                let (x, y) = (a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent));
                differences(&format!("{path} > {key}"), x, y, out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: evenkeel {ours}, docker-compose {theirs}")),
    }
}

fn fixture(world: &World, name: &str) -> PathBuf {
    let version = world.engine.call("GET", "/version", None);
    let api = version["ApiVersion"].as_str().unwrap_or("unknown").to_owned();
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inspect").join(api).join(format!("{name}.json"))
}

/// Compares what evenkeel and Compose make of a file. `started`: its containers can run everywhere.
#[track_caller]
fn same(name: &str, body: &str, started: bool) {
    let Some(world) = World::new() else { return };
    let project = world.project(name);
    let dir = world.dir().display().to_string();
    fs::create_dir_all(world.dir().join("there")).expect("a folder");
    fs::write(world.dir().join("there/file"), "content").expect("a file");
    let subnet = format!("10.{}.{}", 100 + std::process::id() % 100, std::process::id() / 100 % 250);
    world.write(&project, &body.replace("DIR", &dir).replace("SUBNET", &subnet));
    let shown = |verb: &crate::support::Verb| format!("{}\n{}", verb.out, verb.err);

    let theirs = docker_compose().map(|program| {
        let mut command = Command::new(program);
        command.arg("-f").arg(world.path(&project));
        command.args(if started { ["up", "-d"].as_slice() } else { &["create"] });
        let output = command
            .env("DOCKER_HOST", world.engine.url())
            .env("ATTRIBUTES_WORD", "a word")
            .output()
            .expect("docker-compose runs");
        assert!(output.status.success(), "docker-compose: {}", String::from_utf8_lossy(&output.stderr));
        let made = snapshot(&world, &project, started);
        world.engine.remove_project(&project);
        made
    });

    let limit = if started { "60s" } else { "5s" };
    let apply = world.verb_with(&[("ATTRIBUTES_WORD", "a word")], &["apply", "--timeout", limit]);
    assert!(apply.code == Some(0) || !started, "{}", shown(&apply));
    let ours = snapshot(&world, &project, started);
    if started {
        let drift = world.verb_with(&[("ATTRIBUTES_WORD", "a word")], &["drift", "--format", "json"]);
        assert_eq!(drift.out.trim(), "{\n  \"drift\": []\n}", "no drift that is none: {}", drift.err);
        let ledger = world.dir().join("state/projects").join(&project).join("ledger.json");
        let ledger: Value = serde_json::from_str(&fs::read_to_string(ledger).expect("a ledger")).expect("JSON");
        println!("not held by this Engine: {}", ledger["unheld"]);
    }

    let fixture = fixture(&world, name);
    if let Some(theirs) = &theirs
        && std::env::var_os("EVENKEEL_RECORD").is_some()
    {
        fs::create_dir_all(fixture.parent().expect("a folder")).expect("a folder");
        let text = serde_json::to_string_pretty(theirs).expect("JSON");
        fs::write(&fixture, text + "\n").expect("the record is written");
    }
    let recorded = fs::read_to_string(&fixture).ok().map(|text| serde_json::from_str(&text).expect("a record"));
    if theirs.is_none() && recorded.is_none() {
        skip("nothing is recorded for this version of the Engine");
    }
    // The hashes cover the project's name, which is another one each time.
    let recorded: Option<Value> = recorded.map(normal::unhashed);
    for (ours, theirs) in [(ours.clone(), theirs), (normal::unhashed(ours), recorded)] {
        let Some(theirs) = theirs else { continue };
        let mut found = Vec::new();
        differences(name, &ours, &theirs, &mut found);
        assert!(found.is_empty(), "{} differences\n{}\n{}", found.len(), found.join("\n"), shown(&apply));
    }
}

#[test]
fn the_process_is_as_compose_makes_it() {
    same("process", files::PROCESS, true);
}

#[test]
fn deploy_is_as_compose_makes_it() {
    same("deploy", files::DEPLOY, true);
}

#[test]
fn limits_are_as_compose_makes_them() {
    same("limits", files::LIMITS, true);
}

#[test]
fn namespaces_are_as_compose_makes_them() {
    same("namespaces", files::NAMESPACES, true);
}

#[test]
fn mounts_are_as_compose_makes_them() {
    same("mounts", files::MOUNTS, true);
}

#[test]
fn networks_are_as_compose_makes_them() {
    same("networks", files::NETWORKS, true);
}

#[test]
fn what_cannot_be_started_here_is_as_compose_makes_it() {
    same("created", files::CREATED, false);
}
