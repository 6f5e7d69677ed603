//! The controller as a child process, and its API.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::metrics::Metrics;
use super::program::evenkeel;
use super::{SOON, wait_for, wait_until};

/// How a controller is started.
#[derive(Clone, Debug)]
pub struct Start {
    dir: PathBuf,
    manifests: PathBuf,
    state: PathBuf,
    log: PathBuf,
    engine: String,
    env: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Start {
    pub fn new(dir: &Path, engine: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            manifests: dir.join("manifests"),
            state: dir.join("state"),
            log: dir.join("controller.log"),
            engine: engine.to_owned(),
            env: Vec::new(),
            arguments: Vec::new(),
        }
    }

    pub fn engine(mut self, url: &str) -> Self {
        self.engine = url.to_owned();
        self
    }

    /// Another state folder, and so another instance.
    pub fn state(mut self, name: &str) -> Self {
        self.state = self.dir.join(name);
        self.log = self.dir.join(format!("{name}.log"));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it and waits until the Engine and the manifests were looked at.
    #[track_caller]
    pub fn start(self) -> Controller {
        let mut controller = Controller { start: self, child: None, address: String::new() };
        controller.spawn();
        controller
    }
}

/// A running controller; killed when dropped.
pub struct Controller {
    start: Start,
    child: Option<Child>,
    /// Where its API is.
    address: String,
}

impl Controller {
    #[track_caller]
    fn spawn(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.start.log).expect("a log");
        let begin = usize::try_from(log.metadata().expect("a log").len()).expect("a log that fits");
        let mut command = evenkeel(&self.start.dir);
        command
            .arg("run")
            .arg("--manifests")
            .arg(&self.start.manifests)
            .arg("--state")
            .arg(&self.start.state)
            .args(["--engine", &self.start.engine, "--listen", "127.0.0.1:0"])
            .args(&self.start.arguments)
            .envs(self.start.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
        self.address = wait_for(SOON, "the controller says where its API is", || {
            self.expect_alive();
            let text = self.log();
            let line = text.get(begin..)?.lines().find(|line| line.starts_with("API: http://"))?;
            Some(line.trim_start_matches("API: http://").trim().to_owned())
        });
        wait_until(SOON, "the controller is ready", || {
            self.expect_alive();
            self.answer("/readyz").is_some_and(|(status, _)| status == 200)
        });
    }

    #[track_caller]
    fn expect_alive(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        assert!(ended.is_none(), "the controller ended: {ended:?}");
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.start.log).unwrap_or_default()).into_owned()
    }

    /// Asks the API: status and body; `None`: it does not answer.
    pub fn answer(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// A document of the API.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.answer(path).unwrap_or_else(|| panic!("{path}: no answer"));
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {status}, {error}: {body}"))
    }

    pub fn project(&self, name: &str) -> Value {
        self.get(&format!("/api/projects/{name}"))
    }

    pub fn service(&self, project: &str, service: &str) -> Value {
        self.get(&format!("/api/services/{project}.{service}"))
    }

    /// The events of a type about a project, the oldest first.
    pub fn events(&self, project: &str, event_type: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/events?project={project}&event_type={event_type}&limit=500"));
        answer["events"].as_array().cloned().unwrap_or_default()
    }

    pub fn metrics(&self) -> Metrics {
        let (status, text) = self.answer("/metrics").expect("metrics");
        assert_eq!(status, 200, "{text}");
        Metrics::parse(&text)
    }

    /// One metric of its own namespace.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.metrics().get(&format!("evenkeel_{name}"), labels)
    }

    /// Waits until everything of a project is as its manifest says.
    #[track_caller]
    pub fn converged(&self, project: &str) {
        wait_until(SOON, &format!("{project} is converged"), || self.project(project)["state"] == "converged");
    }

    /// Waits until a service is in a state.
    #[track_caller]
    pub fn in_state(&self, project: &str, service: &str, state: &str) -> Value {
        wait_for(SOON, &format!("{project}.{service} is {state}"), || {
            Some(self.service(project, service)).filter(|s| s["state"] == state)
        })
    }

    /// Waits until a revision other than `before` is in force and everything is as it says.
    #[track_caller]
    pub fn converged_anew(&self, project: &str, before: &str) {
        wait_until(SOON, &format!("a new revision of {project} is in force and converged"), || {
            let view = self.project(project);
            view["revision"] != before && view["state"] == "converged"
        });
    }

    /// The revision in force.
    pub fn revision(&self, project: &str) -> String {
        self.project(project)["revision"].as_str().unwrap_or_default().to_owned()
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM: how it ended, and how long that took.
    #[track_caller]
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let mut child = self.child.take().expect("a running controller");
        let pid = rustix::process::Pid::from_child(&child);
        let began = Instant::now();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let status = wait_for(SOON, "the controller ends", || child.try_wait().expect("a child's state"));
        (status, began.elapsed())
    }

    /// Starts it again as it was.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.spawn();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let projects = self.answer("/api/projects").map_or_else(|| "no answer".to_owned(), |(_, body)| body);
            eprintln!("--- the controller said\n{}--- its projects\n{projects}\n---", self.log());
        }
        self.kill9();
    }
}
