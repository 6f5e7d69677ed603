//! A caller's connection: calls with their latencies, and what goes wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::oneshot;

use super::blueprint::Blueprint;
use super::call::{Call, Upset};
use super::container::no_such;
use super::world::World;
use super::{DISK_FULL, Shared, SimEngine, pace, refused};
use crate::engine::{
    BuildSpec, ContainerSpec, EndpointSpec, EngineError, EngineEvent, EngineEvents, EngineInfo, EngineRead,
    EngineUsage, EngineWrite, FileSpec, Listing, NetworkSpec, VolumeSpec, docker,
};
use crate::model::fields::Fields;
use crate::model::health::{Reach, Way};
use crate::model::observed::{Container, Image};
use crate::model::service::{Hook, ProbeKind};
use crate::model::setback::{Missing, Refusal};
use crate::model::usage::Usage;
use crate::model::{ContainerId, NetworkId, Timestamp};
use crate::probe::{Document, Outcome, Prober};

/// A caller's connection: what it began goes on without it, and nothing is answered any more once it is dead.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    alive: Arc<AtomicBool>,
}

fn gone_away() -> EngineError {
    EngineError::Unreachable { address: "simulated".to_owned(), reason: "connection refused".to_owned(), denied: false }
}

fn broken() -> EngineError {
    EngineError::NoAnswer("the connection was reset".to_owned())
}

/// There is no such thing, in the Engine's words where they are of a container.
fn missing(call: &Call) -> EngineError {
    call.container().map_or_else(|| refused(Refusal::NotFound(Missing::Other), "there is no such thing"), no_such)
}

/// How a call goes on.
struct Course {
    upset: Option<Upset>,
    before: Duration,
    after: Duration,
    /// The Engine's.
    epoch: u64,
}

impl Client {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self { shared, alive: Arc::new(AtomicBool::new(true)) }
    }

    /// The caller ends: its calls go on without it.
    pub fn die(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }

    /// Whether it still is there.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Does something in the world and says when something is due sooner.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        SimEngine { shared: Arc::clone(&self.shared) }.with(work)
    }

    /// Waits for ever where nobody is there to hear.
    async fn answer<T>(&self, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn begin(&self, call: &Call) -> Result<Course, EngineError> {
        self.with(|world| {
            if world.away {
                return Err(gone_away());
            }
            let upset = world.ask(|director, world| director.upset(call, world)).flatten();
            if matches!(call, Call::Start { .. }) {
                world.starting += 1;
            }
            let starting = world.starting;
            let (before, after) = pace::of(call, starting, &mut world.draw);
            let before = match upset {
                Some(Upset::Slow { by }) => before + by,
                _ => before,
            };
            Ok(Course { upset, before, after, epoch: world.epoch })
        })
    }

    async fn read<T>(&self, call: Call, look: impl FnOnce(&World, Duration) -> T) -> Result<T, EngineError> {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
        let course = match self.begin(&call) {
            Ok(course) => course,
            Err(error) => {
                // Refused at once, but not in no time: a caller that tries over and over must not stop the clock.
                tokio::time::sleep(Duration::from_millis(1)).await;
                return self.answer(Err(error)).await;
            }
        };
        tokio::time::sleep(course.before).await;
        let lag = if matches!(call, Call::List) { pace::LIST_LAG } else { Duration::ZERO };
        let answer = self.with(|world| {
            if world.away || world.epoch != course.epoch {
                return Err(broken());
            }
            match course.upset {
                Some(Upset::Behind { by }) => Ok(look(world, by.max(lag))),
                Some(Upset::Fails { .. }) => Err(refused(Refusal::ServerError, "something went wrong")),
                Some(Upset::Missing) => Err(missing(&call)),
                Some(Upset::Silent { .. }) => Err(EngineError::NoAnswer("timed out".to_owned())),
                Some(Upset::Dies { .. }) => {
                    self.ends();
                    Err(broken())
                }
                Some(Upset::Slow { .. }) | None => Ok(look(world, lag)),
            }
        });
        if matches!(answer, Err(EngineError::NoAnswer(_))) && matches!(course.upset, Some(Upset::Silent { .. })) {
            tokio::time::sleep(pace::PATIENCE / 4).await;
        }
        self.answer(answer).await
    }

    /// The caller's end, decided by the director.
    fn ends(&self) {
        self.die();
        if let Some(told) = &*self.shared.on_death.lock().unwrap_or_else(PoisonError::into_inner) {
            told();
        }
    }

    /// A call that changes something. It goes on whether or not the caller is still there to hear.
    async fn write<T: Send + 'static>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut World) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
        let course = match self.begin(&call) {
            Ok(course) => course,
            Err(error) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                return self.answer(Err(error)).await;
            }
        };
        let (sender, receiver) = oneshot::channel();
        let client = self.clone();
        tokio::spawn(async move {
            let answer = client.carry_out(call, course, effect).await;
            let _ = sender.send(answer);
        });
        let answer = receiver.await.unwrap_or_else(|_| Err(broken()));
        self.answer(answer).await
    }

    async fn carry_out<T>(
        &self,
        call: Call,
        course: Course,
        effect: impl FnOnce(&mut World) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        tokio::time::sleep(course.before).await;
        let effective = !matches!(
            course.upset,
            Some(
                Upset::Fails { effect: false, .. }
                    | Upset::Silent { effect: false }
                    | Upset::Dies { effect: false }
                    | Upset::Missing
            )
        );
        let answer = self.with(|world| {
            if world.away || world.epoch != course.epoch {
                return Err(broken());
            }
            if matches!(call, Call::Start { .. }) {
                world.starting = world.starting.saturating_sub(1);
            }
            // What a caller that is gone had asked for is done or not, as it comes.
            if !effective || (!self.is_alive() && world.draw.bool()) {
                return Err(broken());
            }
            world.ask(|director, world| director.taking_effect(&call, world));
            let answer = effect(world);
            let error = answer.as_ref().err().cloned();
            world.ask(|director, world| director.took_effect(&call, world, error.as_ref()));
            answer
        });
        match course.upset {
            Some(Upset::Dies { .. }) => self.ends(),
            Some(Upset::Silent { .. }) => tokio::time::sleep(pace::PATIENCE).await,
            _ => tokio::time::sleep(course.after).await,
        }
        // The Engine may have gone away before it answered.
        let lost = self.with(|world| world.away || world.epoch != course.epoch);
        match course.upset {
            _ if lost => Err(broken()),
            Some(Upset::Fails { .. }) => Err(refused(Refusal::ServerError, "something went wrong")),
            Some(Upset::Silent { .. }) => Err(EngineError::NoAnswer("timed out".to_owned())),
            Some(Upset::Missing) => Err(missing(&call)),
            _ => answer,
        }
    }

    /// Returns when the world is so; an error when the Engine went away meanwhile.
    async fn until(&self, first_look: Duration, is_so: impl Fn(&World) -> bool) -> Result<(), EngineError> {
        let epoch = self.with(|world| world.epoch);
        let mut pause = first_look;
        loop {
            tokio::time::sleep(pause).await;
            let (lost, so) = self.with(|world| (world.away || world.epoch != epoch, is_so(world)));
            if lost || so || !self.is_alive() {
                return self.answer(if lost { Err(broken()) } else { Ok(()) }).await;
            }
            pause = Duration::from_millis(50);
        }
    }
}

#[async_trait]
impl EngineRead for Client {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.read(Call::Info, |world, _| EngineInfo {
            version: if world.api >= (1, 44) { "28.5.1" } else { "20.10.24" }.to_owned(),
            capabilities: world.capabilities(),
            time: world.now(),
            memory: None,
        })
        .await
    }

    async fn list(&self) -> Result<Listing, EngineError> {
        self.read(Call::List, |world, behind| world.listing(behind)).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, EngineError> {
        let call = Call::Inspect { id: id.clone() };
        let locked = self.with(|world| world.containers.get(id).is_some_and(|c| c.just_died(world.now)));
        if locked {
            tokio::time::sleep(pace::LOCKED).await;
        }
        let found = self.read(call, |world, behind| {
            let found = world.containers.get(id).filter(|c| c.in_project());
            found.map(|c| c.behind(world.now, behind).clone())
        });
        match found.await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let call = Call::Image { reference: reference.to_owned() };
        match self.read(call, |world, _| world.images.get(reference).cloned()).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => Ok(other?.map(|id| Image { id, fields: Fields::default(), volumes: BTreeSet::new() })),
        }
    }

    fn fields(&self, spec: &ContainerSpec<'_>) -> Result<Fields, EngineError> {
        docker::fields::desired(spec, self.with(|world| world.api))
    }
}

#[async_trait]
impl EngineWrite for Client {
    async fn create_network(&self, network: &NetworkSpec<'_>) -> Result<(), EngineError> {
        let (name, labels) = (network.network.name.clone(), network.labels.clone());
        let call = Call::CreateNetwork { name: name.clone() };
        self.write(call, move |world| world.create_network(&name, &labels).map(|_| ())).await
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        let network = id.clone();
        let call = Call::RemoveNetwork { id: id.clone() };
        match self.write(call, move |world| world.remove_network(&network)).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn create_volume(&self, volume: &VolumeSpec<'_>) -> Result<(), EngineError> {
        let (name, labels) = (volume.volume.name.clone(), volume.labels.clone());
        let call = Call::CreateVolume { name: name.clone() };
        self.write(call, move |world| world.create_volume(&name, &labels)).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let volume = name.to_owned();
        let call = Call::RemoveVolume { name: name.to_owned() };
        match self.write(call, move |world| world.remove_volume(&volume)).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn pull(&self, reference: &str, _: Option<&str>) -> Result<(), EngineError> {
        let image = reference.to_owned();
        let call = Call::Pull { reference: reference.to_owned() };
        self.write(call, move |world| world.pull(&image)).await
    }

    async fn build(&self, build: &BuildSpec<'_>) -> Result<(), EngineError> {
        let image = build.image.to_owned();
        let call = Call::Build { reference: image.clone() };
        self.write(call, move |world| world.build(&image)).await
    }

    async fn create_container(&self, container: &ContainerSpec<'_>) -> Result<ContainerId, EngineError> {
        let api = self.with(|world| world.api);
        let made_of = Blueprint::of(container, api);
        let call = Call::CreateContainer { name: made_of.name.clone() };
        self.write(call, move |world| world.create(made_of)).await
    }

    async fn connect(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        endpoint: &EndpointSpec<'_>,
    ) -> Result<(), EngineError> {
        let (to, id) = (network.clone(), container.clone());
        let (api, name) = self.with(|world| (world.api, world.networks.get(network).map(|n| n.name.clone())));
        let more = name.and_then(|name| docker::fields::attached(&name, endpoint, None, api).ok()).unwrap_or_default();
        let call = Call::Connect { network: network.clone(), id: container.clone() };
        let connect = move |world: &mut World| {
            world.connect(&to, &id)?;
            world.change_fields(&id, |fields| fields.extend(&more));
            Ok(())
        };
        self.write(call, connect).await
    }

    async fn disconnect(&self, network: &NetworkId, container: &ContainerId) -> Result<(), EngineError> {
        let (from, id) = (network.clone(), container.clone());
        let call = Call::Disconnect { network: network.clone(), id: container.clone() };
        let disconnect = move |world: &mut World| {
            let name = world.networks.get(&from).map_or_else(|| from.to_string(), |n| n.name.clone());
            world.disconnect(&name, &id)
        };
        match self.write(call, disconnect).await {
            Err(EngineError::Refused { reason: Refusal::NotAttached, .. }) => Ok(()),
            other => other,
        }
    }

    async fn update(&self, id: &ContainerId, changes: &BTreeMap<String, Option<String>>) -> Result<(), EngineError> {
        let (container, changes) = (id.clone(), changes.clone());
        self.write(Call::Update { id: id.clone() }, move |world| world.update_fields(&container, &changes)).await
    }

    async fn copy_into(&self, id: &ContainerId, _: &[FileSpec<'_>]) -> Result<(), EngineError> {
        let container = id.clone();
        let call = Call::CopyInto { id: id.clone() };
        self.write(call, move |world| {
            if world.full {
                return Err(refused(DISK_FULL, "no space left on device"));
            }
            world.container(&container).map(|_| ()).ok_or_else(|| no_such(&container))
        })
        .await
    }

    async fn check(&self, id: &ContainerId, test: &[String], timeout: Duration) -> Result<Option<String>, EngineError> {
        let ended = self.command(id, test, timeout).await;
        self.with(|world| {
            if world.away {
                return Err(gone_away());
            }
            Ok(ended.err().or_else(|| (!world.would_pass(id)).then(|| "it fails".to_owned())))
        })
    }

    async fn run_hook(&self, id: &ContainerId, hook: &Hook, timeout: Duration) -> Result<(), EngineError> {
        let container = id.clone();
        self.write(Call::Hook { id: id.clone() }, move |world| world.signal(&container)).await?;
        if self.with(|world| world.commands_take(id)).is_some() {
            let ended = self.command(id, &hook.command, timeout).await;
            return self.answer(ended.map_err(EngineError::CommandFailed)).await;
        }
        Ok(())
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let container = id.clone();
        self.write(Call::Start { id: id.clone() }, move |world| world.start(&container)).await
    }

    async fn stop(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError> {
        let container = id.clone();
        let asked = move |world: &mut World| {
            let run = world.simulated(&container).map(|c| c.run);
            world.ask_to_end(&container, grace).map(|takes| takes.map(|takes| (takes, run)))
        };
        match self.write(Call::Stop { id: id.clone() }, asked).await {
            // Waited for is the end of this run, whatever somebody begins after it.
            Ok(Some((takes, run))) => {
                let runs =
                    |world: &World| world.simulated(id).is_some_and(|c| Some(c.run) == run && c.seen.is_running());
                self.until(takes, |world| !runs(world)).await
            }
            Ok(None) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        let container = id.clone();
        match self.write(Call::Remove { id: id.clone() }, move |world| world.remove(&container, false)).await {
            Ok(true) => self.until(Duration::from_millis(20), |world| world.container(id).is_none()).await,
            Ok(false) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let (container, to) = (id.clone(), name.to_owned());
        let call = Call::Rename { id: id.clone(), name: name.to_owned() };
        self.write(call, move |world| world.rename(&container, &to)).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), EngineError> {
        let container = id.clone();
        self.write(Call::Unpause { id: id.clone() }, move |world| world.unpause(&container)).await
    }

    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let container = id.clone();
        let call = Call::Signal { id: id.clone(), signal: signal.to_owned() };
        self.write(call, move |world| world.signal(&container)).await
    }
}

impl EngineUsage for Client {
    fn usage(&self, _: &ContainerId) -> BoxStream<'static, Result<Usage, EngineError>> {
        // Simulated processes use nothing.
        stream::pending().boxed()
    }
}

#[async_trait]
impl Prober for Client {
    async fn probe(&self, container: &ContainerId, _: &ProbeKind, _: Duration, _: &Reach, _: Option<Way>) -> Outcome {
        tokio::time::sleep(super::pace::PROBE).await;
        let (passes, at) = self.with(|world| (!world.away && world.would_answer(container), world.now));
        let result = if passes { Ok(Document::default()) } else { Err("it does not answer".to_owned()) };
        Outcome { result, latency: super::pace::PROBE, way: Some(Way::Address), reached: true, at }
    }
}

impl EngineEvents for Client {
    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let (away, receiver) = self.with(|world| (world.away, world.events.listen(since)));
        if away {
            return stream::once(std::future::ready(Err(gone_away()))).boxed();
        }
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) })
            .boxed()
    }
}
