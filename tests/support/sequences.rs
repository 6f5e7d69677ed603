//! Sequences of steps drawn from seeds, to be played on any Engine.

use evenkeel::model::service::RestartPolicy;
use std::collections::BTreeMap;
use std::fmt;

use super::scene::{Acts, Make, Scene};

/// The first seed.
pub const FIRST: u64 = 1;
const STEPS: usize = 20;
const SLOTS: [&str; 3] = ["a", "b", "c"];
const NETWORKS: [&str; 2] = ["n", "m"];
const VOLUMES: [&str; 2] = ["v", "w"];

/// What a drawn container's process does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Serves,
    Interrupted,
    Deaf,
    /// Ends at once, with this code.
    Ends(u8),
}

/// One step. Containers are meant by their slot: the one that was made there last.
#[derive(Debug, Clone)]
pub enum Step {
    Create {
        slot: &'static str,
        kind: Kind,
        policy: Option<RestartPolicy>,
        network: Option<&'static str>,
        volume: bool,
    },
    Start(&'static str),
    Stop(&'static str),
    Kill(&'static str, &'static str),
    Pause(&'static str),
    Unpause(&'static str),
    Remove(&'static str),
    RemoveByForce(&'static str),
    Rename(&'static str, &'static str),
    Connect(&'static str, &'static str),
    Disconnect(&'static str, &'static str),
    CreateNetwork(&'static str),
    RemoveNetwork(&'static str),
    CreateVolume(&'static str),
    RemoveVolume(&'static str),
    Update(&'static str),
}

pub struct Sequence {
    seed: u64,
    pub steps: Vec<Step>,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        self.steps.iter().enumerate().try_for_each(|(n, step)| writeln!(f, "  {:2} {step:?}", n + 1))
    }
}

pub fn draw(seed: u64) -> Sequence {
    let mut rng = fastrand::Rng::with_seed(seed);
    // What is there at first: most steps need something.
    let mut steps = vec![create(&mut rng, SLOTS[0]), Step::Start(SLOTS[0])];
    if rng.bool() {
        steps.insert(0, Step::CreateNetwork(NETWORKS[0]));
    }
    while steps.len() < STEPS {
        let slot = *rng.choice(&SLOTS).expect("a slot");
        let network = *rng.choice(&NETWORKS).expect("a network");
        let volume = *rng.choice(&VOLUMES).expect("a volume");
        steps.push(match rng.u32(0..100) {
            0..16 => create(&mut rng, slot),
            16..34 => Step::Start(slot),
            34..42 => Step::Stop(slot),
            42..46 => Step::Kill(slot, "KILL"),
            46..50 => Step::Kill(slot, "TERM"),
            50..56 => Step::Pause(slot),
            56..61 => Step::Unpause(slot),
            61..70 => Step::Remove(slot),
            70..73 => Step::RemoveByForce(slot),
            73..79 => Step::Rename(slot, rng.choice(["a", "b", "c", "d"]).expect("a name")),
            79..84 => Step::Connect(network, slot),
            84..88 => Step::Disconnect(network, slot),
            88..92 => Step::CreateNetwork(network),
            92..95 => Step::RemoveNetwork(network),
            95..97 => Step::CreateVolume(volume),
            97..99 => Step::RemoveVolume(volume),
            _ => Step::Update(slot),
        });
    }
    Sequence { seed, steps }
}

fn create(rng: &mut fastrand::Rng, slot: &'static str) -> Step {
    let kind = match rng.u32(0..10) {
        0..5 => Kind::Serves,
        5 | 6 => Kind::Interrupted,
        7 => Kind::Deaf,
        8 => Kind::Ends(0),
        _ => Kind::Ends(3),
    };
    let policy = match rng.u32(0..6) {
        0 | 1 => None,
        2 => Some(RestartPolicy::No),
        // What ends at once would be restarted for ever.
        3 if !matches!(kind, Kind::Ends(_)) => Some(RestartPolicy::Always),
        4 if !matches!(kind, Kind::Ends(_)) => Some(RestartPolicy::UnlessStopped),
        _ => Some(RestartPolicy::OnFailure { max: Some(1) }),
    };
    // A start on a network takes twice as long.
    let network = (rng.u32(0..4) == 0).then(|| *rng.choice(&NETWORKS).expect("a network"));
    Step::Create { slot, kind, policy, network, volume: rng.u32(0..6) == 0 }
}

/// The containers of a course: by slot the label of the last one, and what each one does.
#[derive(Default)]
struct Cast {
    count: u32,
    labels: BTreeMap<&'static str, String>,
    kinds: BTreeMap<String, Kind>,
}

impl Cast {
    fn label(&self, slot: &str) -> String {
        self.labels.get(slot).cloned().unwrap_or_else(|| "nobody".to_owned())
    }
}

pub async fn play(scene: &Scene, steps: &[Step]) {
    let mut cast = Cast::default();
    for step in steps {
        if let Some(label) = take(scene, &mut cast, step).await {
            settle(scene, &label, cast.kinds.get(&label).copied(), step).await;
            scene.look(&label).await;
        }
    }
    scene.say("at last");
    for label in cast.kinds.keys() {
        scene.look(label).await;
    }
}

/// Takes a step; which container it was about.
async fn take(scene: &Scene, cast: &mut Cast, step: &Step) -> Option<String> {
    match step {
        Step::Create { slot, kind, policy, network, volume } => {
            cast.count += 1;
            let label = format!("{slot}{}", cast.count);
            let mut make = Make::new(&label).named(slot).acts(match kind {
                Kind::Serves => Acts::default(),
                Kind::Interrupted => Acts::interrupted(),
                Kind::Deaf => Acts::deaf(),
                Kind::Ends(code) => Acts::job(*code),
            });
            make.service.restart = *policy;
            if let Some(network) = network {
                make = make.on(&[*network]);
            }
            if *volume {
                make = make.volume(VOLUMES[0]);
            }
            if scene.create(make).await {
                cast.labels.insert(*slot, label.clone());
                cast.kinds.insert(label, *kind);
            }
            return Some(cast.label(slot));
        }
        Step::CreateNetwork(network) => scene.create_network(network).await,
        Step::RemoveNetwork(network) => scene.remove_network(network).await,
        Step::CreateVolume(volume) => scene.create_volume(volume).await,
        Step::RemoveVolume(volume) => scene.remove_volume(volume).await,
        Step::Start(slot) => return about(cast, slot, async |l| scene.start(l).await).await,
        Step::Stop(slot) => return about(cast, slot, async |l| scene.stop(l, 1).await).await,
        Step::Kill(slot, signal) => return about(cast, slot, async |l| scene.kill(l, signal)).await,
        Step::Pause(slot) => return about(cast, slot, async |l| scene.pause(l)).await,
        Step::Unpause(slot) => return about(cast, slot, async |l| scene.unpause(l).await).await,
        Step::Remove(slot) => return about(cast, slot, async |l| scene.remove(l).await).await,
        Step::RemoveByForce(slot) => return about(cast, slot, async |l| scene.remove_by_force(l)).await,
        Step::Rename(slot, name) => return about(cast, slot, async |l| scene.rename(l, name).await).await,
        Step::Connect(network, slot) => return about(cast, slot, async |l| scene.connect(network, l).await).await,
        Step::Disconnect(network, slot) => return about(cast, slot, async |l| scene.disconnect(network, l)).await,
        Step::Update(slot) => return about(cast, slot, async |l| scene.update(l, 64 << 20, 500_000_000)).await,
    }
    None
}

async fn about(cast: &Cast, slot: &str, step: impl AsyncFn(&str)) -> Option<String> {
    let label = cast.label(slot);
    step(&label).await;
    Some(label)
}

/// Waits until nothing goes on by itself any more: the two Engines are at the same point when the next step comes.
async fn settle(scene: &Scene, label: &str, kind: Option<Kind>, step: &Step) {
    let state = async || scene.seen(label).await.map(|c| c.state.as_str());
    match step {
        Step::Start(_) | Step::Unpause(_) if matches!(kind, Some(Kind::Ends(_))) => {
            scene.wait("it ended", async || !matches!(state().await, Some("running" | "restarting"))).await;
        }
        Step::Start(_) if state().await == Some("running") => scene.hand.ready(&scene.id(label)),
        Step::Kill(_, signal) if *signal == "KILL" || kind != Some(Kind::Deaf) => {
            scene.wait("it ended", async || !matches!(state().await, Some("running" | "paused" | "restarting"))).await;
        }
        Step::Kill(_, "TERM") => scene.wait("it goes on", async || state().await != Some("paused")).await,
        Step::RemoveByForce(_) => scene.wait("it is gone", async || state().await.is_none()).await,
        _ => {}
    }
}
