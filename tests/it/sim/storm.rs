//! Storms: hundreds of services that fall at once come back in order, a few at a time, and none more than once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::control::Options;
use evenkeel::control::intake::watch::WatchOptions;
use evenkeel::control::publish::Observer;
use evenkeel::decide::{Action, RecoveryPolicy, Step};
use evenkeel::engine::EngineError;
use evenkeel::engine::sim::{Call, Director, Model, SimEngine, Upset, World};
use evenkeel::model::state::ProjectState;
use evenkeel::model::{ProjectName, Timestamp};
use evenkeel::rehearsal::{Stage, StageOptions, virtually};

const PROJECTS: usize = 10;
const SERVICES: usize = 50;

/// What was seen.
#[derive(Default)]
struct Seen {
    /// When each container was started, by name.
    starts: BTreeMap<String, Vec<Timestamp>>,
    looks: BTreeMap<&'static str, usize>,
    /// Recoveries under way, and the most of them at a time.
    under_way: usize,
    most: usize,
}

#[derive(Clone, Default)]
struct Lookout(Arc<Mutex<Seen>>);

impl Director for Lookout {
    fn took_effect(&mut self, call: &Call, world: &World, error: Option<&EngineError>) {
        let mut seen = self.0.lock().unwrap();
        if let (Call::Start { id }, None) = (call, error) {
            let name = world.container(id).map(|c| c.name.clone()).unwrap_or_default();
            seen.starts.entry(name).or_default().push(world.now());
        }
    }

    fn upset(&mut self, call: &Call, _: &World) -> Option<Upset> {
        let kind = match call {
            Call::List => "list",
            Call::Inspect { .. } => "inspect",
            Call::Image { .. } => "image",
            _ => return None,
        };
        *self.0.lock().unwrap().looks.entry(kind).or_default() += 1;
        None
    }
}

impl Observer for Lookout {
    fn begins(&self, _: &ProjectName, step: &Step) {
        assert!(!matches!(step.action, Action::RemoveContainer { .. }), "{step} in a storm");
        if step.cause.attempt().is_some() {
            let mut seen = self.0.lock().unwrap();
            seen.under_way += 1;
            seen.most = seen.most.max(seen.under_way);
        }
    }

    fn ended(&self, _: &ProjectName, step: &Step, _: Option<&str>) {
        if step.cause.attempt().is_some() {
            self.0.lock().unwrap().under_way -= 1;
        }
    }
}

/// Each service needs the one with half its number; the first one of each project is critical.
fn manifest(project: usize) -> String {
    let mut text = format!("name: p{project}\nx-evenkeel: {{}}\nservices:\n");
    for n in 0..SERVICES {
        let needs = if n == 0 { String::new() } else { format!(", depends_on: [s{}]", n / 2) };
        writeln!(
            text,
            "  s{n}: {{image: 'i:1'{}, x-evenkeel: {{supervise: controller, critical: {}}}}}",
            if n == 0 { "" } else { &needs },
            n == 0
        )
        .unwrap();
    }
    text
}

fn stage(dir: &Path, lookout: &Lookout) -> Stage {
    let (root, state) = (dir.join("manifests"), dir.join("state"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&state).unwrap();
    for project in 0..PROJECTS {
        std::fs::write(root.join(format!("p{project}.yaml")), manifest(project)).unwrap();
    }
    let engine = SimEngine::new(1, Model::V28, Timestamp::UNIX_EPOCH);
    engine.with(|world| {
        world.tag("i:1");
        world.directed_by(Box::new(lookout.clone()));
    });
    let control = Options {
        recovery: RecoveryPolicy { max_parallel: 4, ..RecoveryPolicy::default() },
        ..Options::of(root.clone())
    };
    let watch = WatchOptions { root, environment: [].into(), rescan: Duration::from_secs(30) };
    Stage::new(engine, StageOptions { control, watch, state })
}

async fn converged(stage: &Stage) {
    let is_so = || {
        let snapshot = stage.handle().unwrap().snapshot();
        let all = snapshot.projects.values();
        snapshot.projects.len() == PROJECTS && all.clone().all(|p| p.state == ProjectState::Converged)
    };
    for _ in 0..3_600 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if is_so() {
            return;
        }
    }
    panic!("not within half an hour of virtual time");
}

#[test]
fn five_hundred_services_come_back_from_a_reboot_in_order_a_few_at_a_time_and_each_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let lookout = Lookout::default();
    virtually(async {
        let mut stage = stage(dir.path(), &lookout);
        stage.start(Arc::new(lookout.clone())).unwrap();
        converged(&stage).await;
        tokio::time::sleep(Duration::from_secs(20)).await;

        // At rest a resync is the lists, and nothing else.
        lookout.0.lock().unwrap().looks.clear();
        tokio::time::sleep(Duration::from_secs(300)).await;
        let looks = lookout.0.lock().unwrap().looks.clone();
        assert_eq!(looks, [("list", 5)].into(), "500 containers for five minutes");

        lookout.0.lock().unwrap().starts.clear();
        stage.engine.with(|world| world.go_away(true));
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.engine.with(World::come_back);
        tokio::time::sleep(Duration::from_secs(5)).await;
        converged(&stage).await;
    })
    .unwrap();
    let seen = lookout.0.lock().unwrap();
    assert_eq!(seen.starts.len(), PROJECTS * SERVICES);
    for (name, times) in &seen.starts {
        assert_eq!(times.len(), 1, "{name}: {times:?}");
        let (project, rest) = name.split_once('-').unwrap();
        let n: usize = rest.trim_start_matches('s').split_once('-').unwrap().0.parse().unwrap();
        if n > 0 {
            let needed = &seen.starts[&format!("{project}-s{}-1", n / 2)];
            assert!(needed[0] < times[0], "{name} before what it needs");
        }
    }
    assert!(seen.most <= 4, "{} at a time", seen.most);
}
