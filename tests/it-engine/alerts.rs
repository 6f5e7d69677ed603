//! The alert rules of `deploy/prometheus`: as promtool sees them, and one of them in a Prometheus that runs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Controller, SOON, World, can_run, wait_for, wait_until};

const WEB: &str = "x-evenkeel: {drift: report}\nservices: {web: {image: IMAGE, network_mode: none, cpus: 0.5}}\n";

/// Where the files are.
fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join("prometheus")
}

/// A running Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Prometheus {
    /// Starts one over a configuration and waits until it is ready.
    #[track_caller]
    fn start(folder: &Path) -> Self {
        // Between the search for a free port and its use somebody else may take it.
        for _ in 0..5 {
            let mut prometheus = Self::spawn(folder);
            if prometheus.is_ready() {
                return prometheus;
            }
        }
        panic!("Prometheus does not stay: {}", fs::read_to_string(folder.join("prometheus.log")).unwrap_or_default());
    }

    #[track_caller]
    fn spawn(folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let log = folder.join("prometheus.log");
        let said = File::create(&log).expect("a log");
        let child = Command::new("prometheus")
            .current_dir(folder)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={free}"))
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a log"))
            .stderr(said)
            .spawn()
            .expect("Prometheus starts");
        Self { child, address: free.to_string(), log }
    }

    /// Waits until it answers; not ready is one that ended.
    #[track_caller]
    fn is_ready(&mut self) -> bool {
        wait_for(SOON, "Prometheus is ready", || {
            if self.child.try_wait().expect("a child's state").is_some() {
                return Some(false);
            }
            self.answer("/-/ready").is_some_and(|(status, _)| status == 200).then_some(true)
        })
    }

    /// Asks it: status and body; `None`: it does not answer. By HTTP/1.0, so that the body comes in one piece.
    fn answer(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The list in the answer's data.
    #[track_caller]
    fn list(&self, path: &str, key: &str) -> Vec<Value> {
        let (status, body) = self.answer(path).unwrap_or_else(|| panic!("{path}: no answer"));
        assert_eq!(status, 200, "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        answer["data"][key].as_array().cloned().unwrap_or_default()
    }

    /// The last sample of a metric of a project.
    #[track_caller]
    fn sample(&self, metric: &str, project: &str) -> Option<String> {
        let samples = self.list(&format!("/api/v1/query?query={metric}"), "result");
        let sample = samples.iter().find(|sample| sample["metric"]["project"] == project)?;
        sample["value"][1].as_str().map(str::to_owned)
    }

    /// The alerts that fire, whatever they are about.
    #[track_caller]
    fn firing(&self) -> Vec<Value> {
        let mut alerts = self.list("/api/v1/alerts", "alerts");
        alerts.retain(|alert| alert["state"] == "firing");
        alerts
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Prometheus said\n{}---", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The rules, with drift told of sooner than anybody would want to hear of it.
fn impatient(rules: &str) -> String {
    let (before, rule) = rules.split_once("- alert: EvenkeelDrift\n").expect("the rule");
    let (expr, rest) = rule.split_once("for: ").expect("its patience");
    let (_, rest) = rest.split_once('\n').expect("more of it");
    format!("{before}- alert: EvenkeelDrift\n{expr}for: 500ms\n{rest}")
}

/// A Prometheus that looks at a controller five times a second.
#[track_caller]
fn watch(world: &World, controller: &Controller) -> Prometheus {
    let folder = world.dir().join("prometheus");
    fs::create_dir(&folder).expect("a folder for Prometheus");
    let rules = fs::read_to_string(files().join("alerts.yml")).expect("the rules");
    fs::write(folder.join("alerts.yml"), impatient(&rules)).expect("the rules are written");
    let log = controller.log();
    let target = log.lines().rev().find_map(|line| line.strip_prefix("API: http://")).expect("where its API is").trim();
    let config = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
         rule_files: [alerts.yml]\n\
         scrape_configs: [{{job_name: evenkeel, static_configs: [{{targets: ['{target}']}}]}}]\n"
    );
    fs::write(folder.join("prometheus.yml"), config).expect("the configuration is written");
    Prometheus::start(&folder)
}

#[test]
fn the_rules_are_valid_and_fire_when_they_should() {
    if !can_run("promtool") {
        return;
    }
    for line in ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"] {
        let ended =
            Command::new("promtool").current_dir(files()).args(line.split(' ')).output().expect("promtool runs");
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "promtool {line}: {out}{err}");
    }
}

#[test]
fn drift_that_is_only_reported_fires_until_somebody_puts_it_right() {
    if !can_run("prometheus") {
        return;
    }
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, WEB);
    let controller = world.run();
    controller.converged(&shop);
    let prometheus = watch(&world, &controller);
    wait_until(SOON, "Prometheus knows the project", || {
        prometheus.sample("evenkeel_converged", &shop).as_deref() == Some("1")
    });
    assert_eq!(prometheus.sample("evenkeel_drift_fields", &shop).as_deref(), Some("0"));
    assert_eq!(prometheus.firing(), Vec::<Value>::new(), "all is well");

    let update = format!("/containers/{}/update", world.engine.container(&shop, "web").id);
    world.engine.call("POST", &update, Some(&json!({"NanoCpus": 250_000_000})));
    let alert = wait_for(SOON, "the alert fires", || prometheus.firing().pop());
    let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default();
    assert_eq!((label("alertname"), label("project"), label("severity")), ("EvenkeelDrift", shop.as_str(), "warning"));
    let words = alert["annotations"]["description"].as_str().unwrap_or_default();
    assert!(words.starts_with("1 field") && words.contains(&format!("`evenkeel drift {shop}`")), "{words}");

    world.engine.call("POST", &update, Some(&json!({"NanoCpus": 500_000_000})));
    wait_until(SOON, "the alert is over", || prometheus.firing().is_empty());
    wait_until(SOON, "Prometheus sees that all is well", || {
        prometheus.sample("evenkeel_converged", &shop).as_deref() == Some("1")
    });
    assert_eq!(prometheus.sample("evenkeel_drift_fields", &shop).as_deref(), Some("0"));
}
