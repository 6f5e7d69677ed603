//! A test's own place: a folder for manifests and state, project names that nobody else has, and the cleaning up.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::controller::{Controller, Start};
use super::engine::Engine;
use super::image::image;
use super::program::evenkeel;
use super::proxy::Proxy;

/// What a verb said and how it ended.
#[derive(Debug)]
pub struct Verb {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Held by every test that uses the Engine, exclusively by one that cannot bear others beside it.
static ENGINE: RwLock<()> = RwLock::new(());

enum Turn {
    Shared(#[allow(dead_code)] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code)] RwLockWriteGuard<'static, ()>),
}

pub struct World {
    pub engine: Engine,
    pub image: &'static str,
    dir: TempDir,
    prefix: String,
    projects: RefCell<Vec<String>>,
    _turn: Turn,
}

impl World {
    /// `None`: there is no Engine, and the test is skipped.
    pub fn new() -> Option<Self> {
        Self::with(|| Turn::Shared(ENGINE.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The same, while no other test of this program uses the Engine.
    pub fn alone() -> Option<Self> {
        Self::with(|| Turn::Alone(ENGINE.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn with(turn: impl FnOnce() -> Turn) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let engine = Engine::find()?;
        let turn = turn();
        let prefix = format!("it{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // A short path: sockets live in it.
        let dir = tempfile::Builder::new().prefix("it-").tempdir().expect("a folder for the test");
        for folder in ["manifests", "state"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder for the test");
        }
        Some(Self { image: image(&engine), engine, dir, prefix, projects: RefCell::default(), _turn: turn })
    }

    /// A project's name of this test, which is cleaned up after it.
    pub fn project(&self, name: &str) -> String {
        let name = format!("{}{name}", self.prefix);
        let mut projects = self.projects.borrow_mut();
        if !projects.contains(&name) {
            projects.push(name.clone());
        }
        name
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn manifests(&self) -> PathBuf {
        self.dir.path().join("manifests")
    }

    /// Where a project's manifest is.
    pub fn path(&self, project: &str) -> PathBuf {
        self.manifests().join(format!("{project}.yaml"))
    }

    /// A manifest's text: `IMAGE` stands for the demo image.
    pub fn text(&self, project: &str, body: &str) -> String {
        format!("name: {project}\n{}", body.replace("IMAGE", self.image))
    }

    /// Writes a project's manifest as editors and deployments do: beside it, then renamed over it.
    pub fn write(&self, project: &str, body: &str) {
        self.write_raw(project, &self.text(project, body));
    }

    /// The same with the text as it is.
    pub fn write_raw(&self, project: &str, text: &str) {
        let aside = self.manifests().join(format!(".{project}.new"));
        fs::write(&aside, text).and_then(|()| fs::rename(&aside, self.path(project))).expect("the manifest is written");
    }

    /// Removes a project's manifest.
    pub fn delete(&self, project: &str) {
        fs::remove_file(self.path(project)).expect("the manifest is removed");
    }

    /// A proxy before the Engine, for calls to be counted and faults to be made.
    pub fn proxy(&self) -> Proxy {
        Proxy::start(self.engine.socket().to_owned(), self.dir.path())
    }

    /// How a controller over this world's folders is started.
    pub fn controller(&self) -> Start {
        Start::new(self.dir.path(), &self.engine.url())
    }

    /// A controller that is ready.
    #[track_caller]
    pub fn run(&self) -> Controller {
        self.controller().start()
    }

    /// A controller that speaks to the Engine through the proxy.
    #[track_caller]
    pub fn run_through(&self, proxy: &Proxy) -> Controller {
        self.controller().engine(&proxy.url()).start()
    }

    /// Runs a verb over this world's folders, to its end.
    #[track_caller]
    pub fn verb(&self, arguments: &[&str]) -> Verb {
        self.verb_at(&self.engine.url(), arguments)
    }

    /// The same, with the Engine at `url`.
    #[track_caller]
    pub fn verb_at(&self, url: &str, arguments: &[&str]) -> Verb {
        self.verb_in(url, &[], arguments)
    }

    /// The same, with these variables set.
    #[track_caller]
    pub fn verb_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Verb {
        self.verb_in(&self.engine.url(), variables, arguments)
    }

    #[track_caller]
    fn verb_in(&self, url: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Verb {
        let folder = |name: &str| self.dir.path().join(name).display().to_string();
        let common = ["--manifests", &folder("manifests"), "--state", &folder("state"), "--engine", url];
        let mut command = evenkeel(self.dir.path());
        command.envs(variables.iter().copied());
        command.args(arguments).args(common).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // What it says is little: it fits into the pipes.
        let deadline = Instant::now() + Duration::from_secs(90);
        let mut late = false;
        while !late && child.try_wait().expect("a child's state").is_none() {
            std::thread::sleep(Duration::from_millis(10));
            late = Instant::now() >= deadline;
        }
        if late {
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("what it said");
        let said = Verb {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!late, "`evenkeel {}` does not end; it said {said:?}", arguments.join(" "));
        said
    }

    /// A folder of its own for a project's files, outside the manifests directory.
    pub fn folder(&self, project: &str) -> PathBuf {
        let folder = self.dir.path().join(project);
        fs::create_dir_all(&folder).expect("a folder for the project");
        folder
    }

    /// Whether the plan for one manifest finds nothing to do.
    #[track_caller]
    pub fn expect_nothing_to_do_in(&self, manifest: &Path) {
        let plan = self.verb(&["plan", &manifest.display().to_string()]);
        assert_eq!(plan.code, Some(0), "the plan is not empty: {}{}", plan.out, plan.err);
    }

    /// Whether another decision finds nothing to do.
    #[track_caller]
    pub fn expect_nothing_to_do(&self) {
        let plan = self.verb(&["plan"]);
        assert_eq!(plan.code, Some(0), "the plan is not empty: {}{}", plan.out, plan.err);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for project in self.projects.borrow().iter() {
            let kept = self.engine.remove_project(project);
            if !kept.is_empty() {
                // Engine 20.10 at times miscounts the endpoints of a network, and keeps an empty one.
                eprintln!("note: the Engine keeps {}", kept.join(", "));
            }
            self.engine.remove_images(project);
        }
    }
}
