//! An engine in memory: what is asked for happens at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use evenkeel::engine::{
    BuildSpec, ContainerEvent, ContainerSpec, EndpointSpec, EngineError, EngineEvent, EngineEvents, EngineInfo,
    EngineRead, EngineUsage, EngineWrite, EventKind, FileSpec, ListedContainer, Listing, NetworkSpec, VolumeSpec,
    docker,
};
use evenkeel::model::fields::Fields;
use evenkeel::model::observed::{Capabilities, Container, ContainerState, Health, Image, Network, Observed, Volume};
use evenkeel::model::service::Hook;
use evenkeel::model::usage::Usage;
use evenkeel::model::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, ServiceName, Timestamp, labels};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast;

type Answer<T> = Result<T, EngineError>;

pub struct Fake {
    state: Mutex<Observed>,
    events: Mutex<broadcast::Sender<EngineEvent>>,
    made: AtomicU64,
    pub away: AtomicBool,
    /// Starts are refused with these words.
    pub refusal: Mutex<Option<String>>,
}

impl Fake {
    pub fn new() -> Self {
        let events = Mutex::new(broadcast::channel(1_000).0);
        Self {
            state: Mutex::default(),
            events,
            made: AtomicU64::new(1),
            away: AtomicBool::new(false),
            refusal: Mutex::default(),
        }
    }

    /// It goes away: the stream of events breaks off.
    pub fn leave(&self) {
        self.away.store(true, Ordering::SeqCst);
        *self.events.lock().unwrap() = broadcast::channel(1_000).0;
    }

    fn answers(&self) -> Answer<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(EngineError::Unreachable {
                address: "memory".into(),
                reason: "it is away".into(),
                denied: false,
            });
        }
        Ok(())
    }

    fn id(&self) -> String {
        format!("{:0>12}", self.made.fetch_add(1, Ordering::SeqCst))
    }

    fn change(&self, id: &ContainerId, event: ContainerEvent, change: impl FnOnce(&mut Container)) -> Answer<()> {
        self.answers()?;
        let mut state = self.state.lock().unwrap();
        let missing = || docker::refused(404, &format!("No such container: {id}"), Some(id));
        let container = state.containers.get_mut(id).ok_or_else(missing)?;
        change(container);
        self.tell(container, event);
        Ok(())
    }

    fn tell(&self, container: &Container, action: ContainerEvent) {
        let kind = EventKind::Container { id: container.id.clone(), project: container.project.clone(), action };
        let _ = self.events.lock().unwrap().send(EngineEvent { time: Timestamp::now(), kind });
    }

    /// A container comes to its end by itself.
    pub fn exit(&self, name: &str, code: i64) {
        let id = self.find(name);
        self.change(&id, ContainerEvent::Died { code }, |c| end(c, code)).unwrap();
    }

    /// A container's check says something else.
    pub fn set_health(&self, name: &str, health: Health) {
        let id = self.find(name);
        self.change(&id, ContainerEvent::Health(health), |c| c.health = health).unwrap();
    }

    fn find(&self, name: &str) -> ContainerId {
        let state = self.state.lock().unwrap();
        state.containers.values().find(|c| c.name == name).expect("there is such a container").id.clone()
    }
}

fn end(container: &mut Container, code: i64) {
    let now = Timestamp::now();
    let started = match container.state {
        ContainerState::Running { since } => since,
        _ => now,
    };
    container.state = ContainerState::Exited { code, oom: false, started, finished: now };
    container.health = Health::None;
}

#[async_trait]
impl EngineRead for Fake {
    async fn info(&self) -> Answer<EngineInfo> {
        self.answers()?;
        let capabilities = Capabilities { api: (1, 44) };
        Ok(EngineInfo { version: "1.2.3".into(), capabilities, time: Timestamp::now(), memory: None })
    }

    async fn list(&self) -> Answer<Listing> {
        self.answers()?;
        let state = self.state.lock().unwrap();
        let listed = |c: &Container| ListedContainer {
            id: c.id.clone(),
            project: c.project.clone(),
            state: c.state.as_str().to_owned(),
        };
        Ok(Listing {
            published: Vec::new(),
            containers: state.containers.values().map(listed).collect(),
            networks: state.networks.values().cloned().collect(),
            volumes: state.volumes.values().cloned().collect(),
        })
    }

    async fn inspect(&self, id: &ContainerId) -> Answer<Option<Container>> {
        self.answers()?;
        Ok(self.state.lock().unwrap().containers.get(id).cloned())
    }

    async fn image(&self, reference: &str) -> Answer<Option<Image>> {
        self.answers()?;
        Ok(Some(Image {
            id: ImageId::trusted(format!("sha256:{reference}")),
            fields: Fields::default(),
            volumes: BTreeSet::new(),
        }))
    }

    fn fields(&self, _: &ContainerSpec<'_>) -> Answer<Fields> {
        Ok(Fields::default())
    }
}

#[async_trait]
impl EngineWrite for Fake {
    async fn create_network(&self, network: &NetworkSpec<'_>) -> Answer<()> {
        self.answers()?;
        let id = NetworkId::trusted(self.id());
        let made = Network {
            made: None,
            id: id.clone(),
            name: network.network.name.clone(),
            created: Timestamp::now(),
            project: network.labels.get(labels::PROJECT).map(|p| ProjectName::trusted(p.as_str())),
            key: network.labels.get(labels::NETWORK).cloned(),
        };
        self.state.lock().unwrap().networks.insert(id, made);
        Ok(())
    }

    async fn remove_network(&self, id: &NetworkId) -> Answer<()> {
        self.answers()?;
        self.state.lock().unwrap().networks.remove(id);
        Ok(())
    }

    async fn create_volume(&self, volume: &VolumeSpec<'_>) -> Answer<()> {
        self.answers()?;
        let name = volume.volume.name.clone();
        let project = volume.labels.get(labels::PROJECT).map(|p| ProjectName::trusted(p.as_str()));
        self.state.lock().unwrap().volumes.insert(name.clone(), Volume { name, project, key: None, made: None });
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Answer<()> {
        self.answers()?;
        self.state.lock().unwrap().volumes.remove(name);
        Ok(())
    }

    async fn check(&self, _: &ContainerId, _: &[String], _: Duration) -> Answer<Option<String>> {
        self.answers().map(|()| Some("it fails".to_owned()))
    }

    async fn pull(&self, _: &str, _: Option<&str>) -> Answer<()> {
        self.answers()
    }

    async fn build(&self, _: &BuildSpec<'_>) -> Answer<()> {
        self.answers()
    }

    async fn create_container(&self, spec: &ContainerSpec<'_>) -> Answer<ContainerId> {
        self.answers()?;
        let id = ContainerId::trusted(self.id());
        let mut networks = BTreeSet::new();
        for (name, _) in &spec.networks {
            // As an inspect tells it: the name and the id.
            networks.insert(name.clone());
            let state = self.state.lock().unwrap();
            networks.extend(state.networks.values().filter(|n| n.name == *name).map(|n| n.id.to_string()));
        }
        let label = |key: &str| spec.labels.get(key).cloned().unwrap_or_default();
        let container = Container {
            service: Some(ServiceName::trusted(label(labels::SERVICE))),
            number: label(labels::CONTAINER_NUMBER).parse().unwrap(),
            config_hash: Some(label(labels::CONFIG_HASH)),
            image: ImageId::trusted(format!("sha256:{}", spec.service.image)),
            instance: Some(InstanceId::trusted(label(labels::INSTANCE))),
            networks,
            ..Container::made(id.clone(), spec.name, ProjectName::trusted(label(labels::PROJECT)), Timestamp::now())
        };
        self.state.lock().unwrap().containers.insert(id.clone(), container.clone());
        self.tell(&container, ContainerEvent::Changed);
        Ok(id)
    }

    async fn connect(&self, network: &NetworkId, id: &ContainerId, _: &EndpointSpec<'_>) -> Answer<()> {
        self.change(id, ContainerEvent::Changed, |c| c.networks.extend([network.to_string()]))
    }

    async fn disconnect(&self, _: &NetworkId, _: &ContainerId) -> Answer<()> {
        self.answers()
    }

    async fn update(&self, _: &ContainerId, _: &BTreeMap<String, Option<String>>) -> Answer<()> {
        self.answers()
    }

    async fn copy_into(&self, _: &ContainerId, _: &[FileSpec<'_>]) -> Answer<()> {
        self.answers()
    }

    async fn start(&self, id: &ContainerId) -> Answer<()> {
        if let Some(message) = self.refusal.lock().unwrap().clone() {
            return Err(docker::refused(400, &message, Some(id)));
        }
        self.change(id, ContainerEvent::Started, |c| c.state = ContainerState::Running { since: Timestamp::now() })
    }

    async fn stop(&self, id: &ContainerId, _: Option<Duration>) -> Answer<()> {
        self.change(id, ContainerEvent::Died { code: 0 }, |c| end(c, 0))
    }

    async fn remove(&self, id: &ContainerId) -> Answer<()> {
        self.change(id, ContainerEvent::Destroyed, |_| {})?;
        self.state.lock().unwrap().containers.remove(id);
        Ok(())
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Answer<()> {
        self.change(id, ContainerEvent::Changed, |c| name.clone_into(&mut c.name))
    }

    async fn unpause(&self, id: &ContainerId) -> Answer<()> {
        self.change(id, ContainerEvent::Unpaused, |c| c.state = ContainerState::Running { since: Timestamp::now() })
    }

    async fn run_hook(&self, _: &ContainerId, _: &Hook, _: Duration) -> Answer<()> {
        Ok(())
    }

    async fn signal(&self, id: &ContainerId, _: &str) -> Answer<()> {
        self.change(id, ContainerEvent::Changed, |_| {})
    }
}

impl EngineUsage for Fake {
    fn usage(&self, _: &ContainerId) -> BoxStream<'static, Answer<Usage>> {
        stream::pending().boxed()
    }
}

impl EngineEvents for Fake {
    fn events(&self, _: Timestamp) -> BoxStream<'static, Answer<EngineEvent>> {
        let receiver = self.events.lock().unwrap().subscribe();
        stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        })
        .boxed()
    }
}
