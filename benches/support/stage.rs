//! Where the measurements play: projects of their own names, the programs under measurement as children, and the
//! cleaning up after both, whichever way it ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{self, Connection};
use crate::proxy::Proxy;

pub struct Stage {
    pub socket: PathBuf,
    pub image: String,
    temp: TempDir,
    count: AtomicUsize,
    open: Mutex<Open>,
}

/// What has to be undone at the end.
#[derive(Default)]
struct Open {
    stopping: bool,
    projects: Vec<String>,
    children: Vec<Arc<Mutex<Child>>>,
}

impl Stage {
    pub fn new(socket: PathBuf, image: String) -> Result<Arc<Self>> {
        // A short path: it also holds sockets.
        let temp = tempfile::Builder::new().prefix("bench-").tempdir().context("no temporary folder")?;
        let stage = Arc::new(Stage { socket, image, temp, count: AtomicUsize::new(0), open: Mutex::default() });
        let mut engine = stage.engine()?;
        let image = engine.call("GET", &format!("/images/{}/json", stage.image), None)?;
        ensure!(
            image.status == 200,
            "the Engine has no image {}: the Makefile builds it (--image names another one)",
            stage.image
        );
        stage.watch_signals()?;
        Ok(stage)
    }

    pub fn engine(&self) -> Result<Connection> {
        Connection::open(&self.socket)
    }

    pub fn engine_version(&self) -> Result<Value> {
        self.engine()?.call("GET", "/version", None)?.success("asking for the version")
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A new project, with a folder of its own, that will be removed when it is dropped.
    pub fn project(self: &Arc<Self>) -> Result<Project> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("bench-{}-{number}", std::process::id());
        let dir = self.temp.path().join(&name);
        for part in ["manifests", "state"] {
            fs::create_dir_all(dir.join(part))?;
        }
        let mut open = self.open();
        ensure!(!open.stopping, "stopped");
        open.projects.push(name.clone());
        Ok(Project { name, dir, stage: self.clone() })
    }

    /// Starts a program whose output goes to `log`. It runs in an empty folder and without any settings
    /// in its environment but those that the command gives.
    pub fn spawn(self: &Arc<Self>, mut command: Command, log: PathBuf) -> Result<Running> {
        let given: Vec<OsString> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name) && !given.contains(name)) {
            command.env_remove(name);
        }
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.current_dir(log.parent().expect("a log has a folder"));
        let what = command.get_program().to_string_lossy().into_owned();
        let mut open = self.open();
        ensure!(!open.stopping, "stopped");
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("{what} does not start"))?;
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        open.children.push(child.clone());
        Ok(Running { child, pid, what, log, began, stage: self.clone() })
    }

    /// Ctrl-C and a request to terminate clean up before the end.
    fn watch_signals(self: &Arc<Self>) -> Result<()> {
        let stage = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let mut interrupt = signal(SignalKind::interrupt()).expect("a handler for SIGINT");
                let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM");
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            eprintln!("stopped: removing what was made");
            stage.open().stopping = true;
            stage.clean_up();
            std::process::exit(130);
        })?;
        Ok(())
    }

    /// Ends every child and removes every project that is still there, and the temporary folder.
    pub fn clean_up(&self) {
        let (projects, children) = {
            let open = self.open();
            (open.projects.clone(), open.children.clone())
        };
        for child in children {
            let mut child = child.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let _ = child.kill();
            let _ = child.wait();
        }
        for project in projects {
            if let Err(error) = self.remove(&project) {
                eprintln!("project {project} is not removed: {error:#}");
            }
        }
        let _ = fs::remove_dir_all(self.temp.path());
    }

    /// Whether a signal ended it; the thread that cleans up then ends the program.
    pub fn stopping(&self) -> bool {
        self.open().stopping
    }

    /// Removes a project's containers and networks by force, past whatever made them.
    fn remove(&self, project: &str) -> Result<()> {
        let mut engine = self.engine()?;
        // A call of a killed program may still take effect after a first look: nothing twice is nothing.
        let (mut empty, mut refused) = (0, 0);
        for _ in 0..100 {
            let containers = list(&mut engine, "/containers/json?all=1&", project)?;
            let networks = list(&mut engine, "/networks?", project)?;
            empty = if containers.is_empty() && networks.is_empty() { empty + 1 } else { 0 };
            if empty == 2 {
                self.open().projects.retain(|name| name != project);
                return Ok(());
            }
            let next = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..containers.len().min(8) {
                    scope.spawn(|| {
                        let Ok(mut engine) = self.engine() else {
                            return;
                        };
                        while let Some(container) = containers.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let id = container["Id"].as_str().unwrap_or("-");
                            let _ = engine.call("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
                        }
                    });
                }
            });
            let mut miscounted = None;
            for network in networks {
                let id = network["Id"].as_str().unwrap_or("-");
                if let Ok(answer) = engine.call("DELETE", &format!("/networks/{id}"), None)
                    && String::from_utf8_lossy(&answer.body).contains("has active endpoints")
                {
                    miscounted = network["Name"].as_str().map(str::to_owned);
                }
            }
            // Engine 20.10 at times miscounts the endpoints of a network under load, and then keeps an empty one until
            // the daemon is restarted. That is no reason to lose the measurement.
            if let Some(name) = miscounted.filter(|_| containers.is_empty()) {
                refused += 1;
                if refused > 40 {
                    self.open().projects.retain(|name| name != project);
                    eprintln!("note: the Engine keeps the empty network {name}: it says that it has active endpoints");
                    return Ok(());
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("the Engine still has parts of it")
    }
}

fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["EVENKEEL_", "COMPOSE_", "DOCKER_"].iter().any(|prefix| name.starts_with(prefix))
}

fn list(engine: &mut Connection, path: &str, project: &str) -> Result<Vec<Value>> {
    let filter = json!({ "label": [format!("com.docker.compose.project={project}")] }).to_string();
    let answer = engine.call("GET", &format!("{path}filters={}", http::quote(&filter)), None)?.success("listing")?;
    answer.as_array().cloned().context("a list that is none")
}

pub struct Container {
    pub id: String,
    pub service: String,
}

pub struct Project {
    pub name: String,
    pub dir: PathBuf,
    pub stage: Arc<Stage>,
}

impl Project {
    pub fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    pub fn manifest(&self) -> PathBuf {
        self.manifests().join(format!("{}.yaml", self.name))
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A manifest of `count` services; `generations` is an environment value of each, to have something to change.
    pub fn text(&self, count: usize, chain: bool, generations: &[usize]) -> String {
        let mut text = format!("name: {}\nservices:\n", self.name);
        for number in 1..=count {
            text +=
                &format!("  s{number:02}:\n    image: {}\n    environment:\n      PORT: \"8080\"\n", self.stage.image);
            if let Some(generation) = generations.get(number - 1) {
                text += &format!("      GENERATION: \"{generation}\"\n");
            }
            if chain && number > 1 {
                text += &format!("    depends_on: [s{:02}]\n", number - 1);
            }
        }
        text
    }

    /// Writes beside the manifest and renames over it, as editors and deployments do. Returns the instant before the
    /// rename.
    pub fn save(&self, text: &str) -> Result<Instant> {
        let aside = self.manifests().join(format!(".{}.yaml.new", self.name));
        fs::write(&aside, text)?;
        let at = Instant::now();
        fs::rename(&aside, self.manifest())?;
        Ok(at)
    }

    pub fn running(&self) -> Result<Vec<Container>> {
        let mut engine = self.stage.engine()?;
        let containers = list(&mut engine, "/containers/json?", &self.name)?;
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let mut containers: Vec<_> = containers
            .iter()
            .filter(|container| container["State"] == "running")
            .map(|container| Container {
                id: text(&container["Id"]),
                service: text(&container["Labels"]["com.docker.compose.service"]),
            })
            .collect();
        containers.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(containers)
    }

    /// Says so where not exactly `count` containers run.
    pub fn expect_running(&self, count: usize) -> Result<()> {
        let running = self.running()?.len();
        ensure!(running == count, "{running} of {count} containers run");
        Ok(())
    }

    /// Waits until `count` containers run and no call has changed anything for `quiet`.
    pub fn wait_settled(
        &self,
        controller: &Running,
        proxy: &Proxy,
        count: usize,
        quiet: Duration,
    ) -> Result<Vec<Container>> {
        let began = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(50));
            controller.expect_alive()?;
            // A call without an answer goes on, unless its connection ended long ago.
            let changes = proxy.calls().into_iter().filter(|call| call.mutates());
            let ends = changes.map(|call| match call.answered {
                Some(answered) => answered,
                None if call.at.elapsed() < Duration::from_secs(60) => Instant::now(),
                None => call.at,
            });
            let last = ends.max();
            if last.unwrap_or(began).elapsed() >= quiet {
                let running = self.running()?;
                if running.len() == count {
                    return Ok(running);
                }
            }
            if began.elapsed() > Duration::from_secs(180) {
                bail!(
                    "not settled after 180 s: {} of {count} containers run{}",
                    self.running()?.len(),
                    controller.tail()
                );
            }
        }
    }

    /// Removes everything of it, and says so where that fails.
    pub fn finish(self) -> Result<()> {
        self.stage.remove(&self.name)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.stage.open().projects.contains(&self.name)
            && let Err(error) = self.stage.remove(&self.name)
        {
            eprintln!("project {} is not removed: {error:#}", self.name);
        }
    }
}

/// A program under measurement; it ends when this is dropped.
pub struct Running {
    child: Arc<Mutex<Child>>,
    pub pid: u32,
    what: String,
    log: PathBuf,
    began: Instant,
    stage: Arc<Stage>,
}

impl Running {
    fn exited(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).try_wait()?)
    }

    /// Waits for the end and returns the time since the start. An exit code other than 0 is an error with the last
    /// lines of the output.
    pub fn wait(&self, limit: Duration) -> Result<Duration> {
        loop {
            if let Some(status) = self.exited()? {
                let took = self.began.elapsed();
                ensure!(status.success(), "{}: {status}{}", self.what, self.tail());
                return Ok(took);
            }
            ensure!(self.began.elapsed() < limit, "{} has not ended after {limit:?}{}", self.what, self.tail());
            thread::sleep(Duration::from_micros(500));
        }
    }

    pub fn expect_alive(&self) -> Result<()> {
        match self.exited()? {
            Some(status) => bail!("{} ended too early: {status}{}", self.what, self.tail()),
            None => Ok(()),
        }
    }

    pub fn output(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].iter().map(|line| format!("\n    {line}")).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = child.kill();
        let _ = child.wait();
        drop(child);
        self.stage.open().children.retain(|other| !Arc::ptr_eq(other, &self.child));
    }
}

/// A port that was free just now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub fn unix_url(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}
