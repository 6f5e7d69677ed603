//! Where a rehearsal takes place: an engine, folders, and a controller that can end and be started again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::VirtualClock;
use crate::control::intake::watch::{News, WatchOptions, watch};
use crate::control::ledger::{LedgerError, Lock, LockError, Store};
use crate::control::publish::Observer;
use crate::control::{Controller, Decider, Faultless, Handle, Options, Parts};
use crate::engine::sim::{Client, SimEngine};

/// Requests for a reading that may wait for the watcher.
const REREADS: usize = 16;

/// Runs something in virtual time, on this thread alone.
///
/// # Errors
/// When the system gives no runtime.
pub fn virtually<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(work))
}

/// What a controller is started with.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// The options of the controller.
    pub control: Options,
    /// How the manifests directory is watched.
    pub watch: WatchOptions,
    /// The folder that the ledger is kept in.
    pub state: PathBuf,
}

/// A simulated Engine with a controller on it, and everything that is needed to start that again.
pub struct Stage {
    /// The simulated Engine.
    pub engine: SimEngine,
    /// The controller's clock.
    pub clock: Arc<VirtualClock>,
    /// Told when the engine decided that the controller ends.
    pub died: Arc<Notify>,
    options: StageOptions,
    decider: Arc<dyn Decider>,
    lock: Option<Lock>,
    running: Option<Running>,
}

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder is not to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What is remembered cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

struct Running {
    handle: Handle,
    client: Client,
    control: JoinHandle<()>,
    watcher: JoinHandle<()>,
    news: mpsc::Sender<()>,
}

impl Stage {
    /// A stage on which no controller runs yet.
    pub fn new(engine: SimEngine, options: StageOptions) -> Self {
        let clock = Arc::new(VirtualClock::new(engine.now()));
        Self { engine, clock, died: Arc::default(), options, decider: Arc::new(Faultless), lock: None, running: None }
    }

    /// With another one that decides: to show that a fault of it would be found.
    #[must_use]
    pub fn decided_by(mut self, decider: Arc<dyn Decider>) -> Self {
        self.decider = decider;
        self
    }

    /// Starts the controller, as a process that was not there before: all it knows stands on the disk.
    ///
    /// # Errors
    /// When the state folder cannot be had, or the ledger cannot be read.
    pub fn start(&mut self, observer: Arc<dyn Observer>) -> Result<Handle, StartError> {
        self.kill();
        // Held from one controller to the next: of this process there is one stage.
        let lock = match self.lock.take() {
            Some(lock) => lock,
            None => Lock::take(&self.options.state, "a simulation")?,
        };
        let store = Store::open(&lock);
        self.lock = Some(lock);
        let (rereads, asked) = mpsc::channel(REREADS);
        let (news, told) = mpsc::channel(1);
        let client = self.engine.client();
        let parts = Parts {
            clock: Arc::clone(&self.clock) as _,
            observer,
            prober: Arc::new(client.clone()),
            decider: Arc::clone(&self.decider),
            ..Parts::new(Arc::new(client.clone()), store?, rereads)
        };
        let options = Options { in_place: true, ..self.options.control.clone() };
        let (controller, handle) = Controller::new(options, parts)?;
        let (sink, watch_options) = (handle.clone(), self.options.watch.clone());
        let watcher = tokio::spawn(async move {
            let (mut asked, sink) = (asked, &sink);
            watch(watch_options, News::Told(told), &mut asked, |reading| sink.reading(reading)).await;
        });
        let control = tokio::spawn(controller.run());
        let killed = (control.abort_handle(), watcher.abort_handle());
        let died = Arc::clone(&self.died);
        self.engine.on_death(move || {
            killed.0.abort();
            killed.1.abort();
            died.notify_one();
        });
        self.running = Some(Running { handle: handle.clone(), client, control, watcher, news });
        Ok(handle)
    }

    /// Ends the controller at once, as SIGKILL does: calls that were begun go on or do not, and nothing more is written.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.client.die();
            running.control.abort();
            running.watcher.abort();
        }
    }

    /// Whether a controller runs.
    pub fn runs(&self) -> bool {
        self.running.as_ref().is_some_and(|r| r.client.is_alive() && !r.control.is_finished())
    }

    /// How the controller that ran last came to panic, if it did.
    pub async fn panicked(&mut self) -> Option<String> {
        let running = self.running.take_if(|r| r.control.is_finished())?;
        let error = running.control.await.err()?;
        let panic = error.try_into_panic().ok()?;
        let text = panic.downcast_ref::<String>().cloned();
        Some(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
    }

    /// A way to talk to the controller.
    pub fn handle(&self) -> Option<&Handle> {
        self.running.as_ref().map(|r| &r.handle)
    }

    /// Tells the controller that the files changed, as the file system does.
    pub fn files_changed(&self) {
        if let Some(running) = &self.running {
            // One that is waiting already says the same.
            let _ = running.news.try_send(());
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
    }
}
