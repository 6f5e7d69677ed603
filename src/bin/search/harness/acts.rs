//! What others do: people, Docker Compose, the host, and whoever writes the manifests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evenkeel::control::{Actor, Operation, Request};
use evenkeel::engine::sim::{Blueprint, SimEngine};
use evenkeel::model::observed::{Container, ContainerState};
use evenkeel::model::{ContainerId, labels};
use evenkeel::rehearsal::Stage;

use super::court::Clerk;
use super::recipe::Version;
use super::scenario::{Act, Scenario};

/// Where a run takes place.
pub struct Place {
    pub folder: PathBuf,
    pub clerk: Clerk,
}

impl Place {
    pub fn manifests(&self) -> PathBuf {
        self.folder.join("manifests")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn manifest(&self, project: usize) -> PathBuf {
        self.manifests().join(format!("p{project}.yaml"))
    }

    /// Writes a manifest as deployments do: beside it, then renamed over it.
    pub fn write(&self, project: usize, text: &str) {
        let aside = self.folder.join("aside");
        let written = std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, self.manifest(project)));
        written.expect("a manifest is written");
    }

    /// Writes over what is there, as editors do.
    fn write_in_place(&self, project: usize, text: &str) {
        std::fs::write(self.manifest(project), text).expect("a manifest is written");
    }

    pub fn delete(&self, project: usize) {
        let _ = std::fs::remove_file(self.manifest(project));
    }

    /// The ledger's disk takes nothing any more, or does again.
    pub fn fill_ledger(&self, full: bool) {
        let (there, away) = (self.state().join("projects"), self.state().join("projects.away"));
        if full && !away.exists() {
            std::fs::rename(&there, &away).and_then(|()| std::fs::write(&there, "")).expect("the ledger is taken away");
        } else if !full && away.exists() {
            std::fs::remove_file(&there).and_then(|()| std::fs::rename(&away, &there)).expect("the ledger is back");
        }
    }
}

/// The text of a version.
pub fn text(scenario: &Scenario, project: usize, version: &Version) -> String {
    version.text(project, &scenario.projects[project].natures)
}

/// What is to be done later because of what was done now.
pub enum Later {
    ControllerBack,
    EngineBack,
    EngineDiskFree,
    LedgerDiskFree,
    Rest { project: usize, version: usize },
    Well(ContainerId),
    RemoveForeign(String),
    Resume(String),
}

/// A container of our projects that it may happen to.
fn pick(engine: &SimEngine, pick: u8, may: impl Fn(&Container) -> bool) -> Option<ContainerId> {
    engine.with(|world| {
        let mut found: Vec<_> = world
            .containers()
            .filter(|c| c.project.as_str().starts_with('p') && !c.oneoff && may(c))
            .map(|c| (c.name.clone(), c.id.clone()))
            .collect();
        found.sort();
        let count = found.len();
        (count > 0).then(|| found.swap_remove(usize::from(pick) % count).1)
    })
}

/// Does it; what is to follow, and in how many milliseconds. `None`: there was nothing that it could happen to.
pub async fn act(scenario: &Scenario, stage: &mut Stage, place: &Place, act: &Act) -> Option<Vec<(u64, Later)>> {
    let engine = stage.engine.clone();
    // Who would use the Engine finds it away, too.
    if act.needs_engine() && engine.with(|world| world.is_away()) {
        return None;
    }
    let runs = |c: &Container| matches!(c.state, ContainerState::Running { .. });
    let mut later = Vec::new();
    match *act {
        Act::Write { project, version } => {
            let (project, version) = (usize::from(project), usize::from(version));
            write(scenario, stage, place, project, version)?;
        }
        Act::Torn { project, version, percent, rest_ms } => {
            let (project, number) = (usize::from(project), usize::from(version));
            let version = scenario.projects.get(project)?.versions.get(number)?;
            let text = text(scenario, project, version);
            place.clerk.court().torn.insert(project);
            place.write_in_place(project, &text[..text.len() * usize::from(percent) / 100]);
            // Half a file can be valid: for over a second it counts as a version, and nobody can tell it from one.
            if rest_ms > 700 {
                place.clerk.court().versions[project].push(None);
            }
            stage.files_changed();
            later.push((u64::from(rest_ms), Later::Rest { project, version: number }));
        }
        Act::Broken { project } => {
            scenario.projects.get(usize::from(project))?;
            place.write(usize::from(project), &format!("name: p{project}\nservices: [\n"));
            stage.files_changed();
        }
        Act::Delete { project } => {
            scenario.projects.get(usize::from(project))?;
            place.clerk.court().versions[usize::from(project)].push(None);
            place.delete(usize::from(project));
            stage.files_changed();
        }
        Act::KillController { down_ms } => {
            place.clerk.court().leaves();
            stage.kill();
            later.push((u64::from(down_ms), Later::ControllerBack));
        }
        Act::EngineRestart { away_ms, containers } => {
            place.clerk.court().deaf = true;
            engine.with(|world| world.go_away(containers));
            later.push((u64::from(away_ms), Later::EngineBack));
        }
        Act::ClockJump { seconds } => stage.clock.jump(i64::from(seconds) * 1_000),
        Act::EngineDiskFull { for_ms } => {
            engine.with(|world| world.fill_disk(true));
            later.push((u64::from(for_ms), Later::EngineDiskFree));
        }
        Act::LedgerDiskFull { for_ms } => {
            place.clerk.court().forgetful = true;
            place.clerk.court().down();
            place.fill_ledger(true);
            later.push((u64::from(for_ms), Later::LedgerDiskFree));
        }
        Act::Kill { pick: n } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| world.kill(&id)).ok()?;
        }
        Act::Stop { pick: n } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| world.ask_to_end(&id, None)).ok()?;
        }
        Act::Start { pick: n } => {
            let id = pick(&engine, n, |c| matches!(c.state, ContainerState::Exited { .. }))?;
            engine.with(|world| world.start(&id)).ok()?;
        }
        Act::Pause { pick: n } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| world.pause(&id)).ok()?;
        }
        Act::Crash { pick: n, code } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| world.crash(&id, code.into(), false));
        }
        Act::OutOfMemory { pick: n } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| world.crash(&id, 137, true));
        }
        Act::Remove { pick: n } => {
            let id = pick(&engine, n, |_| true)?;
            engine.with(|world| world.remove(&id, true)).ok()?;
        }
        Act::Rename { pick: n } => {
            let id = pick(&engine, n, |_| true)?;
            engine.with(|world| world.rename(&id, &format!("renamed-{n}"))).ok()?;
        }
        Act::Update { pick: n } => {
            let id = pick(&engine, n, |_| true)?;
            engine.with(|world| world.update(&id, Some(32 << 20), Some(100_000_000))).ok()?;
        }
        Act::Disconnect { pick: n } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| {
                let attached = world.container(&id).map(|c| c.networks.clone()).unwrap_or_default();
                let name = world.networks().find(|n| attached.contains(n.id.as_str())).map(|n| n.name.clone())?;
                world.disconnect(&name, &id).ok()
            })?;
        }
        Act::Sick { pick: n, for_ms } => {
            let id = pick(&engine, n, runs)?;
            engine.with(|world| world.sicken(&id, true));
            later.push((u64::from(for_ms), Later::Well(id)));
        }
        Act::ComposeUp { project } => compose_up(&engine, project)?,
        Act::ComposeDown { project } => compose_down(&engine, project)?,
        Act::ForeignName { project, pick: n, for_ms } => {
            let name = foreign_name(scenario, project, n)?;
            let made_of = Blueprint { name: name.clone(), image: "i0:1".to_owned(), ..Blueprint::default() };
            engine.with(|world| world.create(made_of)).ok()?;
            later.push((u64::from(for_ms), Later::RemoveForeign(name)));
        }
        Act::ForeignPort { pick: n, for_ms } => {
            let ports: Vec<u16> = scenario
                .projects
                .iter()
                .enumerate()
                .flat_map(|(p, s)| s.versions.iter().flat_map(move |v| v.services.iter().map(move |r| (p, r))))
                .filter_map(|(p, r)| Some(r.port? + p as u16 * 100))
                .collect();
            let port = *ports.get(usize::from(n) % ports.len().max(1))?;
            let name = format!("port-{port}-{n}");
            let made_of = Blueprint {
                name: name.clone(),
                image: "i0:1".to_owned(),
                ports: vec![(port.to_string(), "tcp".to_owned(), String::new())],
                ..Blueprint::default()
            };
            engine.with(|world| world.create(made_of).and_then(|id| world.start(&id))).ok()?;
            later.push((u64::from(for_ms), Later::RemoveForeign(name)));
        }
        Act::RemoveNetwork { pick: n } => engine.with(|world| {
            let found: Vec<_> = world.networks().filter(|n| n.project.is_some()).map(|n| n.id.clone()).collect();
            let id = found.get(usize::from(n) % found.len().max(1))?;
            world.remove_network(id).ok()
        })?,
        Act::DoubleNetwork { project } => engine.with(|world| {
            let name = format!("p{project}_default");
            world.networks().find(|n| n.name == name)?;
            let with = [(labels::PROJECT, format!("p{project}")), (labels::NETWORK, "default".to_owned())];
            world.create_network(&name, &with.map(|(k, v)| (k.to_owned(), v)).into()).ok().map(|_| ())
        })?,
        Act::Untag { pick: n } => engine.with(|world| {
            let reference = format!("i{}:1", n % 3);
            world.images().contains_key(&reference).then_some(())?;
            world.untag(&reference);
            Some(())
        })?,
        Act::Retag { pick: n } => engine.with(|world| {
            let reference = format!("i{}:1", n % 3);
            let id = world.tag(&reference);
            world.publish_as(&reference, id);
        }),
        Act::Suspend { project, for_ms } => {
            let id = format!("p{project}");
            ask(stage, Operation::Suspend { id: id.clone() }).await?;
            later.push((u64::from(for_ms), Later::Resume(id)));
        }
        Act::Plan { project } => {
            ask(stage, Operation::Plan { project: format!("p{project}") }).await?;
        }
    }
    Some(later)
}

/// Asks the controller, if there is one that answers soon.
pub async fn ask(stage: &Stage, operation: Operation) -> Option<()> {
    let handle = stage.handle().filter(|_| stage.runs())?.clone();
    let answer =
        tokio::time::timeout(Duration::from_secs(5), handle.submit(Request::new(Actor::process(), operation))).await;
    answer.ok()?.ok().map(|_| ())
}

pub fn write(scenario: &Scenario, stage: &Stage, place: &Place, project: usize, version: usize) -> Option<()> {
    let version = scenario.projects.get(project)?.versions.get(version)?;
    place.clerk.court().versions[project].push(Some(version.clone()));
    place.write(project, &text(scenario, project, version));
    stage.files_changed();
    Some(())
}

/// Does what was left for later.
pub async fn finish(scenario: &Scenario, stage: &mut Stage, place: &Place, later: Later) {
    let engine = stage.engine.clone();
    match later {
        Later::ControllerBack => {}
        Later::EngineBack => engine.with(evenkeel::engine::sim::World::come_back),
        Later::EngineDiskFree => engine.with(|world| world.fill_disk(false)),
        Later::LedgerDiskFree => {
            place.clerk.court().forgetful = false;
            place.clerk.court().down();
            place.fill_ledger(false);
        }
        Later::Rest { project, version } => {
            let version = &scenario.projects[project].versions[version];
            place.clerk.court().versions[project].push(Some(version.clone()));
            place.write_in_place(project, &text(scenario, project, version));
            stage.files_changed();
        }
        Later::Well(id) => engine.with(|world| world.sicken(&id, false)),
        Later::RemoveForeign(name) => engine.with(|world| {
            if let Some(id) = world.find(&name).cloned() {
                let _ = world.remove(&id, true);
            }
        }),
        Later::Resume(id) => {
            // A controller that cannot write it down now is asked again; one that does not know the project has no need to.
            for _ in 0..120 {
                if !stage.runs() {
                    return;
                }
                if ask(stage, Operation::Resume { id: id.clone() }).await.is_some() {
                    // What failed is tried again at once: that is asked for.
                    place.clerk.court().asked_again(&id);
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn foreign_name(scenario: &Scenario, project: u8, pick: u8) -> Option<String> {
    let sketch = scenario.projects.get(usize::from(project))?;
    let name = super::recipe::service((usize::from(pick) % sketch.natures.len()) as u8);
    Some(format!("p{project}-{name}-1"))
}

/// `docker compose up -d` where everything is made already: what is down is started.
fn compose_up(engine: &SimEngine, project: u8) -> Option<()> {
    let project = format!("p{project}");
    engine.with(|world| {
        let down: Vec<ContainerId> = world
            .containers()
            .filter(|c| c.project.as_str() == project && !c.oneoff && !c.is_running())
            .filter(|c| !matches!(c.state, ContainerState::Removing))
            .map(|c| c.id.clone())
            .collect();
        (!down.is_empty()).then_some(())?;
        for id in down {
            let _ = world.start(&id);
        }
        Some(())
    })
}

/// `docker compose down`.
fn compose_down(engine: &SimEngine, project: u8) -> Option<()> {
    let project = format!("p{project}");
    engine.with(|world| {
        let all: Vec<ContainerId> =
            world.containers().filter(|c| c.project.as_str() == project).map(|c| c.id.clone()).collect();
        (!all.is_empty()).then_some(())?;
        for id in all {
            let _ = world.remove(&id, true);
        }
        let networks: Vec<_> = world
            .networks()
            .filter(|n| n.project.as_ref().is_some_and(|p| p.as_str() == project))
            .map(|n| n.id.clone())
            .collect();
        for id in networks {
            let _ = world.remove_network(&id);
        }
        Some(())
    })
}

/// Makes the folders.
pub fn prepare(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    for name in ["manifests", "state"] {
        std::fs::create_dir_all(folder.join(name)).expect("a folder for the run");
    }
}
