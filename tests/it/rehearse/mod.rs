//! `evenkeel rehearse`, run as people run it. Needs no Engine, so nothing is skipped.

mod changes;
mod faults;
mod page;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::evenkeel;

/// A test's folder.
struct Place {
    dir: TempDir,
}

/// What the verb said and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// `evenkeel rehearse` in the folder, where no Engine can be found.
    fn rehearse(&self, arguments: &[&str]) -> Said {
        let mut command = evenkeel(self.dir.path());
        command.args(["rehearse", "--engine", "unix:///nowhere/docker.sock"]).args(arguments);
        let output = command.output().unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same with the JSON that it prints, converged at the end.
    #[track_caller]
    fn converges(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--format", "json"];
        all.extend(arguments);
        let said = self.rehearse(&all);
        assert_eq!(said.code, Some(0), "{said:?}");
        let told: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(told["converged"], true);
        told
    }
}

/// The manifests that come with the source.
fn ours(folder: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).display().to_string()
}

/// A service's row.
#[track_caller]
fn row<'t>(told: &'t Value, id: &str) -> &'t Value {
    let projects = told["projects"].as_array().unwrap();
    let services = projects.iter().flat_map(|p| p["services"].as_array().unwrap());
    services.into_iter().find(|s| s["id"] == id).unwrap_or_else(|| panic!("no {id} in {told:#}"))
}

/// How a service looked, one after the other.
#[track_caller]
fn looks(told: &Value, id: &str) -> Vec<String> {
    let spans = row(told, id)["spans"].as_array().unwrap();
    spans.iter().map(|s| s["look"].as_str().unwrap().to_owned()).collect()
}

/// The steps that were for a service, as text, begun at this time or later.
fn steps(told: &Value, service: &str, from_ms: u64) -> Vec<String> {
    let steps = told["steps"].as_array().unwrap().iter();
    let wanted = steps.filter(|s| s["service"] == service && s["at_ms"].as_u64().unwrap() >= from_ms);
    wanted.map(|s| s["text"].as_str().unwrap().to_owned()).collect()
}

const SHOP: &str = "
name: shop
services:
  db:
    image: db:1
    restart: unless-stopped
    healthcheck: {test: [CMD, check], interval: 2s}
  setup:
    image: setup:1
    depends_on: {db: {condition: service_healthy}}
  api:
    image: api:1
    restart: always
    depends_on:
      db: {condition: service_healthy}
      setup: {condition: service_completed_successfully}
";

#[test]
fn a_cold_start_of_the_manifests_here_converges_in_dependency_order() {
    let place = Place::new();
    let told = place.converges(&[&ours("manifests")]);
    let up = |id| row(&told, id)["up_ms"].as_u64().unwrap();
    assert!(up("shop.store") < up("shop.migrate") && up("shop.migrate") < up("shop.api"));
    assert!(up("shop.api") < up("shop.web") && up("shop.web") < up("reports.reports"));
    assert_eq!(looks(&told, "shop.migrate").last().unwrap(), "completed");
    assert_eq!(looks(&told, "shop.store"), ["not_started", "starting", "healthy"]);
    assert_eq!(told["restarts"], serde_json::json!({"controller": 0, "engine": 0}));
    assert_eq!(told["images"], serde_json::json!(["evenkeel-demo:latest"]));
}

#[test]
fn the_fleet_converges_too() {
    Place::new().converges(&[&ours("examples/fks/manifests")]);
}

#[test]
fn text_tells_when_each_was_up_and_what_was_not_checked() {
    let place = Place::new();
    place.write("manifests/shop.yaml", SHOP);
    let said = place.rehearse(&["--fault", "kill:db@30s"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in ["converged after ", "  db ", "down at 30s for ", "shop.db is killed", "everything well again after "] {
        assert!(said.out.contains(part), "no `{part}` in {}", said.out);
    }
    assert!(said.out.contains("Not checked: that the images can be had (api:1, db:1, setup:1)."), "{}", said.out);
}

#[test]
fn what_waits_for_ever_is_no_success_and_is_named() {
    let place = Place::new();
    place.write("a.yaml", "services: {web: {image: w}}\nx-evenkeel: {depends_on: [other]}\n");
    let said = place.rehearse(&["a.yaml", "--for", "30s"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.starts_with("never converged\n  not done: a.web is waiting: waits for project other: "),
        "{said:?}"
    );
}

#[test]
fn a_service_that_is_left_down_on_purpose_is_no_failure() {
    let place = Place::new();
    place.write("a.yaml", "services: {web: {image: w, restart: \"no\"}}\n");
    let told = place.converges(&["a.yaml", "--fault", "kill:web@5s"]);
    assert_eq!(looks(&told, "a.web").last().unwrap(), "stopped");
}

#[test]
fn mistakes_in_manifests_are_printed_as_validate_prints_them() {
    let place = Place::new();
    place.write("manifests/shop.yaml", "services:\n  web: {imag: x}\n");
    let (said, validated) = (place.rehearse(&[]), evenkeel(place.dir.path()).arg("validate").output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("manifests/shop.yaml:2:"), "{}", said.err);
    assert_eq!(said.err, String::from_utf8_lossy(&validated.stderr));
    let said = place.rehearse(&["nowhere"]);
    assert!(said.code == Some(1) && said.err.contains("nowhere"), "{said:?}");
}

#[test]
fn external_networks_and_volumes_are_there_and_named() {
    let place = Place::new();
    let text = "services: {web: {image: w, networks: [net], volumes: [vol:/v]}}\n\
                networks: {net: {external: true, name: outer}}\nvolumes: {vol: {external: true}}\n";
    place.write("a.yaml", text);
    let told = place.converges(&["a.yaml"]);
    assert_eq!(told["made_beforehand"], serde_json::json!(["network outer", "volume vol"]));
    assert!(told["steps"].as_array().unwrap().iter().all(|s| s["kind"] != "create_network"));
}

#[test]
fn a_long_rehearsal_makes_progress_to_its_end() {
    let place = Place::new();
    let told = place.converges(&[&ours("manifests"), "--for", "10m", "--fault", "random:10"]);
    assert_eq!(told["length_ms"], 600_000);
    assert_eq!(told["markers"].as_array().unwrap().len(), 10);
}
