//! One course of things on any Engine, and what is written down of it: answers, states, and events in their order. Ids, and
//! names that are this test's own, are replaced by labels, so that two Engines can be compared line by line.

mod hand;
mod make;
mod told;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::engine::sim::{Model, SimEngine};
use evenkeel::engine::{
    ContainerSpec, EndpointSpec, Engine, EngineError, EngineEvent, FileSpec, NetworkSpec, VolumeSpec,
};
use evenkeel::model::observed::Container;
use evenkeel::model::service::Attachment;
use evenkeel::model::{ContainerId, NetworkId, ProjectName, Timestamp, labels, project};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use hand::SimHand;
pub use hand::{Answer, Hand};
pub use make::{Acts, Make};

/// For whatever has to happen; on the real Engine beside other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// Volumes that only say that all events up to now have been told.
const MARKS: [&str; 2] = ["mark-begin", "mark-end"];

pub struct Scene {
    pub engine: Arc<dyn Engine>,
    pub hand: Box<dyn Hand>,
    pub port: u16,
    pub image: String,
    project: ProjectName,
    ids: RefCell<BTreeMap<String, ContainerId>>,
    networks: RefCell<BTreeMap<String, NetworkId>>,
    lines: RefCell<Vec<String>>,
    /// All events as they came.
    pub events: Arc<Mutex<Vec<EngineEvent>>>,
    listener: tokio::task::JoinHandle<()>,
}

/// Plays it on a simulated Engine.
pub fn on_the_simulated(model: Model, seed: u64, course: impl AsyncFn(&Scene)) -> String {
    let played = evenkeel::rehearsal::virtually(async {
        let epoch = Timestamp::from_second(1_700_000_000).expect("a time");
        let engine = SimEngine::new(seed, model, epoch);
        let hand = SimHand::new(engine.clone(), "evenkeel-it:demo");
        let scene = Scene::new(Arc::new(engine.client()), Box::new(hand), "it0x0s", "evenkeel-it:demo").await;
        course(&scene).await;
        scene.written_down().await
    });
    played.expect("a runtime")
}

impl Scene {
    /// `project` and `image` are the test's own on a real Engine.
    pub async fn new(engine: Arc<dyn Engine>, hand: Box<dyn Hand>, project: &str, image: &str) -> Self {
        let info = engine.info().await.expect("the Engine tells about itself");
        let events = Arc::new(Mutex::new(Vec::new()));
        let (mut told, kept) = (engine.events(info.time), Arc::clone(&events));
        let listener = tokio::spawn(async move {
            while let Some(event) = told.next().await {
                kept.lock().expect("the events").push(event.expect("an event"));
            }
        });
        let scene = Self {
            port: hand.free_port(),
            engine,
            hand,
            image: image.to_owned(),
            project: ProjectName::trusted(project),
            ids: RefCell::default(),
            networks: RefCell::default(),
            lines: RefCell::default(),
            events,
            listener,
        };
        scene.mark(MARKS[0]).await;
        scene
    }

    /// The Engine's name for something of this test.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.project)
    }

    /// A container by its label; one that was never made has an id that nobody has.
    pub fn id(&self, label: &str) -> ContainerId {
        let nobody = || ContainerId::trusted("f".repeat(64));
        self.ids.borrow().get(label).cloned().unwrap_or_else(nobody)
    }

    /// A network by its label: its name, and its number where it is not the first one of that name.
    pub fn network(&self, label: &str) -> NetworkId {
        let nobody = || NetworkId::trusted("e".repeat(64));
        self.networks.borrow().get(label).cloned().unwrap_or_else(nobody)
    }

    fn labels(&self, kind: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(labels::PROJECT.to_owned(), self.project.to_string()), (kind.to_owned(), "x".to_owned())])
    }

    /// Writes a line down.
    pub fn say(&self, line: impl Display) {
        self.lines.borrow_mut().push(line.to_string());
    }

    fn answered<T>(&self, what: impl Display, answer: &Result<T, EngineError>) {
        match answer {
            Ok(_) => self.say(format_args!("{what}: ok")),
            Err(EngineError::Refused { reason, message }) if message.contains("network endpoints: ") => {
                // The names come in any order.
                let (words, names) = message.split_once("endpoints: ").expect("names");
                let mut names: Vec<&str> = names.split(", ").collect();
                names.sort_unstable();
                self.say(format_args!("{what}: {reason:?}: {words}endpoints: {}", names.join(", ")));
            }
            Err(EngineError::Refused { reason, message }) => self.say(format_args!("{what}: {reason:?}: {message}")),
            Err(other) => panic!("{what}: {other}"),
        }
    }

    /// Whether it was made.
    pub async fn create(&self, make: Make) -> bool {
        let mut service = make.service.clone();
        if service.image.is_empty() {
            service.image.clone_from(&self.image);
        }
        self.hand.behave(&self.project, &service.name, &make.acts);
        let mut with = self.labels(labels::SERVICE);
        with.insert(labels::SERVICE.to_owned(), make.label.clone());
        let attachment = Attachment::default();
        let endpoint = || EndpointSpec { attachment: &attachment, aliases: Vec::new(), links: Vec::new() };
        // An id stands for itself.
        let engine_name = |n: &String| if n.len() == 64 { n.clone() } else { self.name(n) };
        let volumes: BTreeMap<&str, String> = make.volumes.iter().map(|v| (v.as_str(), self.name(v))).collect();
        let nothing = BTreeMap::new();
        let peers = BTreeMap::new();
        let name = self.name(&make.name);
        let spec = ContainerSpec {
            name: &name,
            service: &service,
            labels: with,
            networks: make.networks.iter().map(|n| (engine_name(n), endpoint())).collect(),
            volumes: volumes.iter().map(|(key, name)| (*key, name.as_str())).collect(),
            inherited: BTreeMap::new(),
            configs: &nothing,
            secrets: &nothing,
            peers: &peers,
            links: Vec::new(),
        };
        let answer = self.engine.create_container(&spec).await;
        self.answered(format_args!("create {}", make.label), &answer);
        let made = answer.is_ok();
        if let Ok(id) = answer {
            self.ids.borrow_mut().insert(make.label, id);
        }
        made
    }

    /// Makes a container of no project.
    pub fn create_foreign(&self, label: &str) {
        let answer = self.hand.foreign(&self.name(label), &self.image);
        self.answered(format_args!("by hand: create {label}"), &answer);
        if let Ok(id) = answer {
            self.ids.borrow_mut().insert(label.to_owned(), id);
        }
    }

    pub async fn start(&self, label: &str) {
        self.answered(format_args!("start {label}"), &self.engine.start(&self.id(label)).await);
    }

    /// Starts it, and waits until its process listens to signals.
    pub async fn up(&self, label: &str) {
        self.start(label).await;
        self.hand.ready(&self.id(label));
    }

    /// Makes and starts it, and waits until its process listens to signals.
    pub async fn run(&self, make: Make) {
        let label = make.label.clone();
        self.create(make).await;
        self.up(&label).await;
    }

    pub async fn stop(&self, label: &str, grace: u64) {
        let answer = self.engine.stop(&self.id(label), Some(Duration::from_secs(grace))).await;
        self.answered(format_args!("stop {label}"), &answer);
    }

    pub async fn remove(&self, label: &str) {
        self.answered(format_args!("remove {label}"), &self.engine.remove(&self.id(label)).await);
    }

    pub async fn rename(&self, label: &str, name: &str) {
        let answer = self.engine.rename(&self.id(label), &self.name(name)).await;
        self.answered(format_args!("rename {label} to {name}"), &answer);
    }

    pub async fn unpause(&self, label: &str) {
        let answer = self.engine.unpause(&self.id(label)).await;
        if answer.is_ok() {
            self.hand.heard();
        }
        self.answered(format_args!("unpause {label}"), &answer);
    }

    pub async fn connect(&self, network: &str, label: &str) {
        let attachment = Attachment::default();
        let endpoint = EndpointSpec { attachment: &attachment, aliases: Vec::new(), links: Vec::new() };
        let answer = self.engine.connect(&self.network(network), &self.id(label), &endpoint).await;
        self.answered(format_args!("connect {label} to {network}"), &answer);
    }

    pub async fn copy_into(&self, label: &str) {
        let file = FileSpec { path: "/etc/it.conf".to_owned(), content: "x", mode: 0o444, owner: None };
        let answer = self.engine.copy_into(&self.id(label), &[file]).await;
        self.answered(format_args!("copy into {label}"), &answer);
    }

    pub async fn create_network(&self, name: &str) {
        let network = project::Network {
            name: self.name(name),
            external: false,
            driver: None,
            driver_opts: BTreeMap::new(),
            internal: false,
            attachable: false,
            enable_ipv4: None,
            enable_ipv6: None,
            ipam: None,
            labels: BTreeMap::new(),
            config_hash: None,
        };
        let spec = NetworkSpec { network: &network, labels: self.labels(labels::NETWORK) };
        let answer = self.engine.create_network(&spec).await;
        self.answered(format_args!("create network {name}"), &answer);
        self.look_at_networks().await;
    }

    /// Gives new networks their labels.
    async fn look_at_networks(&self) {
        let mut listed = self.engine.list().await.expect("a list").networks;
        listed.sort_by_key(|n| n.created);
        let mut known = self.networks.borrow_mut();
        for network in listed {
            let Some(name) = network.name.strip_prefix(&format!("{}-", self.project)) else { continue };
            if known.values().any(|id| *id == network.id) {
                continue;
            }
            let labels = (1..).map(|n| if n == 1 { name.to_owned() } else { format!("{name}{n}") });
            let label = labels.into_iter().find(|l| !known.contains_key(l)).expect("a label");
            known.insert(label, network.id);
        }
    }

    pub async fn remove_network(&self, label: &str) {
        let answer = self.engine.remove_network(&self.network(label)).await;
        self.answered(format_args!("remove network {label}"), &answer);
    }

    pub async fn create_volume(&self, name: &str) {
        let answer = self.try_volume(name).await;
        self.answered(format_args!("create volume {name}"), &answer);
    }

    async fn try_volume(&self, name: &str) -> Answer {
        let volume = project::Volume {
            name: self.name(name),
            external: false,
            driver: None,
            driver_opts: BTreeMap::new(),
            labels: BTreeMap::new(),
            config_hash: None,
        };
        self.engine.create_volume(&VolumeSpec { volume: &volume, labels: self.labels(labels::VOLUME) }).await
    }

    pub async fn remove_volume(&self, name: &str) {
        let answer = self.engine.remove_volume(&self.name(name)).await;
        self.answered(format_args!("remove volume {name}"), &answer);
    }

    pub async fn image(&self, reference: &str) {
        let found = self.engine.image(reference).await;
        self.answered(format_args!("image {reference}"), &found);
        self.say(if found.ok().flatten().is_some() { "  found" } else { "  none" });
    }

    pub fn kill(&self, label: &str, signal: &str) {
        let answer = self.hand.kill(&self.id(label), signal);
        self.answered(format_args!("by hand: kill {label} with {signal}"), &answer);
    }

    pub fn remove_by_force(&self, label: &str) {
        let answer = self.hand.remove(&self.id(label));
        self.answered(format_args!("by hand: remove {label}"), &answer);
    }

    pub fn pause(&self, label: &str) {
        let answer = self.hand.pause(&self.id(label));
        if answer.is_ok() {
            self.hand.heard();
        }
        self.answered(format_args!("by hand: pause {label}"), &answer);
    }

    pub fn update(&self, label: &str, memory: u64, nano_cpus: i64) {
        let answer = self.hand.update(&self.id(label), memory, nano_cpus);
        self.answered(format_args!("by hand: update {label}"), &answer);
        if answer.is_ok() {
            self.say(format_args!("  limits {:?}", self.hand.limits(&self.id(label))));
        }
    }

    pub fn disconnect(&self, network: &str, label: &str) {
        let answer = self.hand.disconnect(&self.name(network), &self.id(label));
        self.answered(format_args!("by hand: disconnect {label} from {network}"), &answer);
    }

    /// The container as an inspect tells; while the Engine is busy making or removing it, it may not.
    pub async fn seen(&self, label: &str) -> Option<Container> {
        let id = self.id(label);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.engine.inspect(&id).await {
                Ok(found) => return found,
                Err(error) => assert!(Instant::now() < deadline, "{label}: {error}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a container is as it should be, and writes its state down.
    pub async fn until(&self, label: &str, what: &str, is_so: impl Fn(&Container) -> bool) {
        self.wait(&format!("{label} is {what}"), async || self.seen(label).await.is_some_and(|c| is_so(&c))).await;
        self.look(label).await;
    }

    /// Waits until the Engine's word for its state is this one, and writes its state down.
    pub async fn until_it_is(&self, label: &str, state: &str) {
        self.until(label, state, |c| c.state.as_str() == state).await;
    }

    /// Waits until a container is gone.
    pub async fn until_gone(&self, label: &str) {
        self.wait(&format!("{label} is gone"), async || self.seen(label).await.is_none()).await;
        self.say(format_args!("  {label}: gone"));
    }

    /// Waits until an event was told so often.
    pub async fn until_told(&self, event: &str, times: usize) {
        let what = format!("`{event}` is told {times} times");
        self.wait(&what, async || self.told().iter().filter(|e| *e == event).count() >= times).await;
    }

    pub async fn wait(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            if Instant::now() >= deadline {
                panic!("not in time: {what}\n{}", self.text());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes a container's state down.
    pub async fn look(&self, label: &str) {
        let seen = self.seen(label).await;
        let state = seen.map_or_else(|| "gone".to_owned(), |c| self.state(&c));
        self.say(format_args!("  {label}: {state}"));
    }

    /// Writes all events since then down, as a new listener hears them.
    pub async fn hear_again(&self, since: Timestamp) {
        self.mark("mark-again").await;
        let mut told = self.engine.events(since);
        let mut heard = Vec::new();
        let all = async {
            while let Some(event) = told.next().await {
                heard.extend(self.event(&event.expect("an event")));
                if heard.last().is_some_and(|e| e == "volume mark-again: made") {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("what happened is told again");
        heard.retain(|e| !e.contains("mark-"));
        self.say(format_args!("told again: {}", heard.join(", ")));
    }

    /// The time of the last event that was told.
    pub fn last_event(&self) -> Timestamp {
        self.events.lock().expect("the events").iter().rfind(|e| self.event(e).is_some()).expect("an event").time
    }

    /// Waits until all events up to now have been told.
    pub async fn mark(&self, name: &str) {
        self.try_volume(name).await.expect("a volume");
        self.until_told(&format!("volume {name}: made"), 1).await;
    }

    fn text(&self) -> String {
        let mut events: Vec<String> = self.told().into_iter().filter(|e| !e.contains("mark-")).collect();
        // A container comes to its networks, and leaves them, in any order.
        let of = |e: &String| {
            e.split_once(": ").filter(|(_, what)| what.ends_with("comes or goes")).map(|(_, w)| w.to_owned())
        };
        for run in events.chunk_by_mut(|a, b| of(a).is_some() && of(a) == of(b)) {
            run.sort();
        }
        let mut text = self.lines.borrow().join("\n");
        text += "\n--- events\n";
        text += &events.join("\n");
        self.without_ids(&text).trim_end().to_owned() + "\n"
    }

    pub async fn written_down(self) -> String {
        self.look_at_networks().await;
        self.mark(MARKS[1]).await;
        self.text()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
