//! What verbs work with: settings, folders, the engine, the loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::Common;
use crate::control::intake::watch::{News, WatchOptions, watch};
use crate::control::ledger::{Lock, Store};
use crate::control::{Controller, Handle, Options, Parts, Scope, supervise};
use crate::engine::EngineError;
use crate::engine::docker::{Address, DockerEngine};
use crate::model::policy::HostPolicy;
use crate::settings::Settings;

/// Requests for a reading that may wait for the watcher; one more says the same.
const REREADS: usize = 16;

/// Settings with the arguments over them.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) state: PathBuf,
    take_over: bool,
}

/// A loop that runs beside the verb.
pub(super) struct Running {
    pub(super) handle: Handle,
    socket: JoinHandle<()>,
    _watcher: AbortOnDropHandle<()>,
    control: JoinHandle<()>,
    _lock: Lock,
}

impl Context {
    pub(super) fn new(common: &Common, environment: BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut settings = Settings::load(common.config.as_deref(), &environment)?;
        if let Some(path) = &common.manifests {
            settings.manifests.path.clone_from(path);
        }
        if let Some(url) = &common.engine {
            settings.engine.url = Some(url.clone());
        }
        if let Some(dir) = &common.state {
            settings.state.dir = Some(dir.clone());
        }
        let state = settings.state_dir(&environment);
        let state = std::path::absolute(&state).unwrap_or(state);
        let take_over = common.take_over || settings.reconcile.take_over;
        Ok(Self { settings, environment, state, take_over })
    }

    /// The manifests: the path that was named, else the directory of the settings. It need not be there.
    pub(super) fn scope(&self, path: Option<&Path>) -> Scope {
        let root = path.unwrap_or(&self.settings.manifests.path);
        let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let root = absolute.canonicalize().unwrap_or(absolute);
        let found = crate::manifest::source::discover(&root);
        let single = path.is_some() && found.is_ok_and(|f| matches!(f.as_slice(), [one] if one.path == root));
        if single { Scope::manifest(root) } else { Scope::directories(vec![root]) }
    }

    pub(super) fn watch_options(&self, scope: &Scope) -> WatchOptions {
        WatchOptions {
            root: scope.root().to_owned(),
            environment: self.environment.clone(),
            rescan: self.settings.manifests.rescan.0,
        }
    }

    pub(super) fn address(&self) -> anyhow::Result<Address> {
        Ok(Address::find(self.settings.engine.url.as_deref(), &self.environment)?)
    }

    /// The engine, which answers.
    pub(super) async fn engine(&self) -> anyhow::Result<(DockerEngine, String)> {
        let address = self.address()?;
        let engine = DockerEngine::new(&address)?;
        engine.ping().await?;
        Ok((engine, address.to_string()))
    }

    pub(super) fn recovery(&self) -> crate::decide::RecoveryPolicy {
        self.settings.recovery_policy()
    }

    pub(super) fn take_over(&self) -> bool {
        self.take_over
    }

    /// How the Engine's host is looked at: one that is reached over the network is another one. `stays`: by one that stays,
    /// and can give back what it takes.
    pub(super) fn host(&self, address: &str, stays: bool) -> Option<HostPolicy> {
        address.starts_with("unix:").then(|| self.settings.host_options(stays))
    }

    /// Takes the lock and starts the loop with its watcher and its socket. `follow` begins to follow what it tells, before it
    /// tells anything.
    pub(super) fn start(
        &self,
        verb: &str,
        scope: Scope,
        engine: DockerEngine,
        address: String,
        follow: impl FnOnce(&Handle) -> anyhow::Result<()>,
    ) -> anyhow::Result<Running> {
        let lock = Lock::take(&self.state, &format!("`evenkeel {verb}` (pid {})", std::process::id()))?;
        let store = Store::open(&lock)?.written_as(self.settings.state.format);
        let watch_options = self.watch_options(&scope);
        let options = Options {
            parallel: self.settings.reconcile.parallel,
            start_delay: self.settings.reconcile.start_delay.0,
            resync: self.settings.reconcile.resync.0,
            take_over: self.take_over,
            recovery: self.recovery(),
            health: self.settings.health_options(),
            host: self.host(&address, verb == "run"),
            stats: self.settings.health.stats,
            address,
            ..Options::scoped(scope)
        };
        let (rereads, asked) = mpsc::channel(REREADS);
        let (controller, handle) = Controller::new(options, Parts::new(Arc::new(engine), store, rereads))?;
        follow(&handle)?;
        let socket = crate::control::socket::serve(&self.state, handle.clone())
            .with_context(|| format!("cannot make the control socket in {}", self.state.display()))?;
        let watcher = self.watcher(watch_options, handle.clone(), asked);
        let control = tokio::spawn(controller.run());
        Ok(Running { handle, socket, _watcher: watcher, control, _lock: lock })
    }

    /// Watches the manifests for as long as the controller runs.
    fn watcher(
        &self,
        options: WatchOptions,
        handle: Handle,
        asked: mpsc::Receiver<tokio::time::Instant>,
    ) -> AbortOnDropHandle<()> {
        let (asked, sink) = (Arc::new(tokio::sync::Mutex::new(asked)), handle.clone());
        let is_watching = self.settings.manifests.watch;
        supervise("watcher of the manifests", handle, move || {
            let (options, asked, sink) = (options.clone(), Arc::clone(&asked), sink.clone());
            async move {
                let news = if is_watching { News::FileSystem } else { News::None };
                let found = move |reading| {
                    let sink = sink.clone();
                    async move { sink.reading(reading).await }
                };
                watch(options, news, &mut *asked.lock().await, found).await;
            }
        })
    }
}

impl Running {
    /// Ends the loop: running steps are finished, the ledger is written.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.handle.shut_down().await;
        let ended = self.control.await;
        self.socket.abort();
        ended.context("the control loop broke off")
    }

    /// Whether the loop has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.control.is_finished()
    }
}

/// The one line that says what to do about an engine that cannot be spoken to.
pub(super) fn refuse_for_good(error: &EngineError) -> anyhow::Result<()> {
    match error {
        EngineError::Unreachable { denied: true, .. } => bail!("{error}"),
        _ => Ok(()),
    }
}
