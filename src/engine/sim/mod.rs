//! A simulated Engine behind the same traits as the real one: containers that follow scripts, in virtual time, from a seed.
//!
//! # Guarantees
//! With tokio's clock stopped, on one thread, the same seed and the same calls give the same answers, states and events
//! at the same times. What it answers and tells is what the real Engine does, as far as one test-suite that runs against
//! both can tell.
//!
//! # Assumptions
//! It runs in a runtime of its own: [`SimEngine::new`] starts the task that lets its time pass.

mod blueprint;
mod call;
mod client;
mod commands;
mod container;
mod events;
mod pace;
mod script;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use blueprint::{Blueprint, Check};
pub use call::{Call, Fate, Upset};
pub use client::Client;
pub use container::Simulated;
pub use script::{End, OnStop, Script};
pub use world::{Calm, Director, Model, World};

use super::EngineError;
use crate::model::Timestamp;
use crate::model::setback::{Refusal, Resource};

/// A simulated Engine; a clone is the same one.
#[derive(Clone)]
pub struct SimEngine {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    /// Something is due earlier than before.
    sooner: Notify,
    began: Instant,
    epoch: Timestamp,
    /// Told when a caller's end is decided.
    on_death: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Shared {
    fn time(&self) -> Timestamp {
        self.epoch.checked_add(self.began.elapsed()).unwrap_or(self.epoch)
    }

    /// The world, at the present time.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.time());
        world
    }
}

impl SimEngine {
    /// An empty Engine at this time, in the present runtime.
    pub fn new(seed: u64, model: Model, epoch: Timestamp) -> Self {
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(seed, model, epoch)),
            sooner: Notify::new(),
            began: Instant::now(),
            epoch,
            on_death: Mutex::new(None),
        });
        tokio::spawn(pass_time(Arc::clone(&shared)));
        Self { shared }
    }

    /// Looks at the world, or does something to it by hand.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.shared.world();
        let before = world.next_due();
        let answer = work(&mut world);
        let sooner = world.next_due() < before || before.is_none();
        drop(world);
        if sooner {
            self.shared.sooner.notify_one();
        }
        answer
    }

    /// The Engine's time, which is virtual.
    pub fn now(&self) -> Timestamp {
        self.shared.time()
    }

    /// A new caller.
    pub fn client(&self) -> Client {
        Client::of(Arc::clone(&self.shared))
    }

    /// Says who is told when [`Upset::Dies`] ends a caller.
    pub fn on_death(&self, told: impl Fn() + Send + 'static) {
        *self.shared.on_death.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(told));
    }
}

/// Lets what is due happen at its time.
async fn pass_time(shared: Arc<Shared>) {
    loop {
        let next = shared.world().next_due();
        let Some(next) = next else {
            shared.sooner.notified().await;
            continue;
        };
        let wait = Duration::try_from(next.duration_since(shared.epoch)).unwrap_or_default();
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(shared.began + wait) => {}
            () = shared.sooner.notified() => {}
        }
    }
}

/// The Engine's clear no.
fn refused(reason: Refusal, message: impl Into<String>) -> EngineError {
    EngineError::Refused { reason, message: message.into() }
}

const DISK_FULL: Refusal = Refusal::OutOf(Resource::Disk);
