//! The ledger where it cannot be written, where much comes and goes, and across starts of the controller.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use evenkeel::control::intake::watch::WatchOptions;
use evenkeel::control::publish::Unobserved;
use evenkeel::control::{Actor, Answer, Operation, OperationError, Options, Request};
use evenkeel::decide::BreakerState;
use evenkeel::engine::sim::{Model, SimEngine};
use evenkeel::model::state::ProjectState;
use evenkeel::model::{ContainerId, ProjectName, Timestamp};
use evenkeel::rehearsal::{Stage, StageOptions, virtually};

struct House {
    dir: tempfile::TempDir,
    stage: Stage,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, state) = (dir.path().join("manifests"), dir.path().join("state"));
        std::fs::create_dir(&root).unwrap();
        let engine = SimEngine::new(1, Model::V28, Timestamp::UNIX_EPOCH);
        engine.with(|world| world.tag("i:1"));
        let watch = WatchOptions { root: root.clone(), environment: [].into(), rescan: Duration::from_secs(30) };
        let stage = Stage::new(engine, StageOptions { control: Options::of(root), watch, state });
        Self { dir, stage }
    }

    fn write(&self, services: &str) {
        let path = self.dir.path().join("manifests/shop.yaml");
        std::fs::write(path, format!("name: shop\nservices: {{{services}}}\n")).unwrap();
        self.stage.files_changed();
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("state/projects/shop")
    }

    /// The project's folder is there, or something else is in its place, so that nothing can be written.
    fn block(&self, blocked: bool) {
        let (folder, aside) = (self.folder(), self.dir.path().join("state/aside"));
        if blocked {
            std::fs::rename(&folder, &aside).unwrap();
            std::fs::write(&folder, "in the way").unwrap();
        } else {
            std::fs::remove_file(&folder).unwrap();
            std::fs::rename(&aside, &folder).unwrap();
        }
    }

    async fn ask(&self, operation: Operation) -> Result<Answer, OperationError> {
        self.stage.handle().unwrap().submit(Request::new(Actor::process(), operation)).await
    }

    async fn until(&self, state: ProjectState) {
        for _ in 0..2_000 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let snapshot = self.stage.handle().unwrap().snapshot();
            let project = snapshot.projects.get("shop");
            if project.is_some_and(|p| p.state == state && p.in_flight.is_empty() && p.steps.is_empty()) {
                return;
            }
        }
        panic!("not {state:?}: {:?}", self.stage.handle().unwrap().snapshot().projects);
    }

    fn container(&self) -> ContainerId {
        self.stage.engine.with(|world| world.containers().next().map(|c| c.id.clone())).unwrap()
    }

    fn runs(&self) -> bool {
        self.stage.engine.with(|world| world.containers().any(|c| c.is_running()))
    }
}

fn size(folder: &Path) -> usize {
    std::fs::metadata(folder.join("ledger.json")).map_or(0, |m| m.len() as usize)
}

#[test]
fn what_could_not_be_written_down_is_not_done_and_does_not_count() {
    virtually(async {
        let mut house = House::new();
        house.write("web: {image: 'i:1', restart: always, x-evenkeel: {supervise: controller}}");
        house.stage.start(Arc::new(Unobserved)).unwrap();
        house.until(ProjectState::Converged).await;
        house.block(true);
        let id = house.container();
        house.stage.engine.with(|world| world.kill(&id)).unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(!house.runs(), "without a note of it no step runs");
        let snapshot = house.stage.handle().unwrap().snapshot();
        assert!(snapshot.issues.iter().any(|i| i.contains("cannot be written")), "{:?}", snapshot.issues);
        // Neither is done what an operator asks for, and he is told.
        for operation in [
            Operation::Down { project: "shop".into(), volumes: false },
            Operation::Suspend { id: "shop".into() },
            Operation::Suspend { id: "web".into() },
        ] {
            let refused = house.ask(operation).await;
            assert!(matches!(refused, Err(OperationError::NotDurable { .. })), "{refused:?}");
        }
        house.block(false);
        house.until(ProjectState::Converged).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        house.until(ProjectState::Converged).await;
        let snapshot = house.stage.handle().unwrap().snapshot();
        let web = &snapshot.projects["shop"].services["web"];
        assert!(web.breaker == BreakerState::Closed && web.restarts == 1, "{web:?}");
        assert!(snapshot.issues.is_empty(), "{:?}", snapshot.issues);
    })
    .unwrap();
}

#[test]
fn what_is_remembered_of_what_is_gone_goes() {
    virtually(async {
        let mut house = House::new();
        house.write("a: {image: 'i:1'}");
        house.stage.start(Arc::new(Unobserved)).unwrap();
        house.until(ProjectState::Converged).await;
        let mut sizes = Vec::new();
        for n in 0..400 {
            // Another service each time, a job, and a container that somebody else removes.
            house.write(&format!(
                "s{n}: {{image: 'i:1', environment: {{N: '{n}'}}}}, j{n}: {{image: 'i:1', x-evenkeel: {{type: job}}}}"
            ));
            tokio::time::sleep(Duration::from_secs(4)).await;
            if n % 3 == 0 {
                let id = house.container();
                let _ = house.stage.engine.with(|world| world.kill(&id));
            }
            tokio::time::sleep(Duration::from_secs(4)).await;
            sizes.push(size(&house.folder()));
        }
        let (early, late) = (sizes[50..100].iter().max().unwrap(), sizes[350..].iter().max().unwrap());
        assert!(*late <= early + early / 4, "{early} bytes, and {late} after 300 changes more");
    })
    .unwrap();
}

#[test]
fn ids_of_events_never_start_again() {
    virtually(async {
        let mut house = House::new();
        house.write("web: {image: 'i:1'}");
        let mut last = 0;
        for _ in 0..3 {
            house.stage.start(Arc::new(Unobserved)).unwrap();
            house.until(ProjectState::Converged).await;
            let events = house.stage.handle().unwrap().snapshot().events.clone();
            let first = events.front().unwrap().id;
            assert!(first > last, "{first} after {last}");
            last = events.back().unwrap().id;
            house.stage.kill();
        }
    })
    .unwrap();
}

#[test]
fn a_damaged_ledger_of_one_project_keeps_nobody_from_starting() {
    virtually(async {
        let mut house = House::new();
        house.write("web: {image: 'i:1'}");
        house.stage.start(Arc::new(Unobserved)).unwrap();
        house.until(ProjectState::Converged).await;
        house.stage.kill();
        std::fs::write(house.folder().join("ledger.json"), "{\"version\": 2, ").unwrap();
        house.stage.start(Arc::new(Unobserved)).unwrap();
        house.until(ProjectState::Converged).await;
        let snapshot = house.stage.handle().unwrap().snapshot();
        let told = snapshot.events.iter().any(|e| e.message.contains("was damaged") && e.message.contains("set aside"));
        assert!(told, "{:?}", snapshot.events);
        assert!(snapshot.projects.contains_key(&ProjectName::trusted("shop")));
    })
    .unwrap();
}
