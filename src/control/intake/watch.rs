//! Watching the manifests directory: the file system's events settle into one read, and a periodic rescan catches what
//! they lost. Reading is done beside the loop.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::manifest::interpolate::Variables;
use crate::manifest::source::{self, is_ignored};
use crate::manifest::{Loaded, load_all};

/// No read begins while files changed within this time: one `git checkout` is one read.
const QUIET: Duration = Duration::from_millis(100);
/// A directory that never comes to rest is read all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found in the manifests directory.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The manifests directory.
    pub root: PathBuf,
    /// When the reading was begun. Not the time of day: that can be set while somebody writes.
    pub at: Instant,
    /// The manifests, or why the directory cannot be read.
    pub manifests: Result<Vec<Arc<Loaded>>, String>,
    /// Git is in the middle of changing the directory.
    pub busy: bool,
    /// The device it is on.
    pub device: Option<u64>,
    /// The commit it is at.
    pub commit: Option<String>,
}

/// How a directory is watched.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The manifests directory, or one manifest.
    pub root: PathBuf,
    /// Variables for interpolation: the process's own environment.
    pub environment: Variables,
    /// Between two rescans.
    pub rescan: Duration,
}

/// Where the news come from that something changed.
#[derive(Debug)]
pub enum News {
    /// The file system's events.
    FileSystem,
    /// Somebody tells. Reading is then done in place, so that nothing depends on how threads are scheduled.
    Told(mpsc::Receiver<()>),
    /// From nowhere: the rescan alone finds changes.
    None,
}

/// Reads the directory now.
pub fn read(options: &WatchOptions, previous: &[Arc<Loaded>]) -> Reading {
    let at = Instant::now();
    let busy = source::git_is_busy(&options.root);
    let manifests = load_all(&options.root, &options.environment, previous).map_err(|e| e.to_string());
    Reading {
        root: options.root.clone(),
        at,
        manifests,
        busy: busy || source::git_is_busy(&options.root),
        device: source::device(&options.root),
        commit: source::git_commit(&options.root),
    }
}

/// What a reading that broke off says: nothing is removed for it, and the next one is made at the next change or rescan.
fn broken(options: &WatchOptions, error: &tokio::task::JoinError) -> Reading {
    let root = options.root.clone();
    let reason =
        format!("{} could not be read: the loader broke off, which is a mistake in evenkeel: {error}", root.display());
    Reading { root, at: Instant::now(), manifests: Err(reason), busy: false, device: None, commit: None }
}

/// Watches until the receiver of readings is gone. A message on `asked` asks for one reading at that time. `found` takes a
/// reading; `false`: nobody wants more.
pub async fn watch<F: Future<Output = bool>>(
    options: WatchOptions,
    news: News,
    asked: &mut mpsc::Receiver<Instant>,
    found: impl Fn(Reading) -> F,
) {
    let (sender, own_events) = mpsc::channel::<()>(1);
    let (look, in_place) = (matches!(news, News::FileSystem), matches!(news, News::Told(_)));
    let mut events = if let News::Told(told) = news { told } else { own_events };
    let mut eyes: Option<Eyes> = None;
    let mut previous: Vec<Arc<Loaded>> = Vec::new();
    let mut next = Instant::now();
    let mut rescan_at = Instant::now();
    loop {
        // A request may name a time, an event means as soon as it is quiet.
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(next) => {}
            Some(()) = events.recv() => settle(&mut events).await,
            at = asked.recv() => match at {
                Some(at) => {
                    next = next.min(at);
                    continue;
                }
                None => return,
            },
        }
        if look && !in_place {
            eyes = opened(eyes, &options.root, &sender).await;
        }
        // What changes while the reading goes on causes another.
        while events.try_recv().is_ok() {}
        let reading = if in_place {
            read(&options, &previous)
        } else {
            let (all, before) = (options.clone(), previous.clone());
            let reading = tokio::task::spawn_blocking(move || read(&all, &before)).await;
            reading.unwrap_or_else(|error| broken(&options, &error))
        };
        if let Ok(manifests) = &reading.manifests {
            previous.clone_from(manifests);
        }
        if !found(reading).await {
            return;
        }
        if Instant::now() >= rescan_at {
            rescan_at = Instant::now() + options.rescan;
        }
        next = rescan_at;
    }
}

/// The file system's events of this directory: those that are heard already, or new ones where it is another directory now.
async fn opened(eyes: Option<Eyes>, root: &Path, sender: &mpsc::Sender<()>) -> Option<Eyes> {
    let (root, sender) = (root.to_owned(), sender.clone());
    // The file system may hang.
    let opening = tokio::task::spawn_blocking(move || match eyes {
        Some(eyes) if eyes.sees(&root) => Some(eyes),
        _ => Eyes::open(&root, sender),
    });
    opening.await.ok().flatten()
}

/// Returns when nothing has happened for a while.
async fn settle(events: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + PATIENCE;
    while Instant::now() < latest {
        match tokio::time::timeout(QUIET, events.recv()).await {
            Ok(Some(())) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// The file system's events of one directory.
struct Eyes {
    identity: Option<(u64, u64)>,
    _watcher: RecommendedWatcher,
}

fn identity(root: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(root).ok().map(|m| (m.dev(), m.ino()))
}

impl Eyes {
    fn open(root: &Path, sender: mpsc::Sender<()>) -> Option<Self> {
        // A single manifest is watched through its folder: editors replace files.
        let folder = if root.is_dir() { root } else { root.parent()? };
        let base = folder.to_owned();
        let handler = move |event: notify::Result<notify::Event>| {
            // An overflow or error may hide anything, so it counts as a change.
            if event.map_or(true, |event| matters(&event, &base)) {
                // One that is waiting already says the same.
                let _ = sender.try_send(());
            }
        };
        let opened = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match opened {
            Ok(watcher) => Some(Self { identity: identity(root), _watcher: watcher }),
            Err(error) => {
                tracing::warn!(%error, root = %root.display(), "cannot watch; the rescan alone finds changes");
                None
            }
        }
    }

    fn sees(&self, root: &Path) -> bool {
        // A single file is another one after each rename-over, its folder is not.
        !root.is_dir() || self.identity == identity(root)
    }
}

fn matters(event: &notify::Event, base: &Path) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        EventKind::Access(_) => return false,
        _ => {}
    }
    event.paths.is_empty()
        || event.paths.iter().any(|path| {
            let inner = path.strip_prefix(base).unwrap_or(path);
            inner.components().all(|part| !is_ignored(&part.as_os_str().to_string_lossy()))
        })
}
