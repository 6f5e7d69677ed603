//! What people do to an Engine by hand, and how they do it to the simulated one.

use evenkeel::engine::EngineError;
use evenkeel::engine::sim::{Blueprint, SimEngine};
use evenkeel::model::{ContainerId, ImageId, ProjectName, ServiceName};

use super::make::Acts;

pub type Answer = Result<(), EngineError>;

/// What a person does, and what the Engines need to be told apart for.
pub trait Hand {
    /// Says what a service's containers will do, where the image does not.
    fn behave(&self, project: &ProjectName, service: &ServiceName, acts: &Acts);
    /// Waits until a process that was started listens to signals.
    fn ready(&self, id: &ContainerId);
    /// `docker kill --signal`.
    fn kill(&self, id: &ContainerId, signal: &str) -> Answer;
    /// `docker rm --force`.
    fn remove(&self, id: &ContainerId) -> Answer;
    /// `docker pause`.
    fn pause(&self, id: &ContainerId) -> Answer;
    /// Waits until the Engine has heard of a container's being frozen, or of its going on, from its own runtime. What it
    /// hears after the next call of that kind it takes for news, and tells once more; nothing shows that it has heard.
    fn heard(&self);
    /// `docker update --memory --cpus`.
    fn update(&self, id: &ContainerId, memory: u64, nano_cpus: i64) -> Answer;
    /// What `docker update` changed: memory and billionths of a CPU.
    fn limits(&self, id: &ContainerId) -> (u64, i64);
    /// `docker network disconnect`.
    fn disconnect(&self, network: &str, id: &ContainerId) -> Answer;
    /// A container of no project.
    fn foreign(&self, name: &str, image: &str) -> Result<ContainerId, EngineError>;
    /// Makes its check fail, or pass again.
    fn sicken(&self, id: &ContainerId, sick: bool);
    /// A port of the host that nobody has.
    fn free_port(&self) -> u16;
}

/// The simulated Engine's.
pub struct SimHand(pub SimEngine);

impl SimHand {
    pub fn new(engine: SimEngine, image: &str) -> Self {
        engine.with(|world| world.tag_as(image, ImageId::trusted("sha256:demo")));
        Self(engine)
    }
}

impl Hand for SimHand {
    fn behave(&self, project: &ProjectName, service: &ServiceName, acts: &Acts) {
        self.0.with(|world| world.script(project, service, acts.script.clone()));
    }

    fn ready(&self, _: &ContainerId) {}

    fn kill(&self, id: &ContainerId, signal: &str) -> Answer {
        self.0.with(|world| if signal == "KILL" { world.kill(id) } else { world.terminate(id) })
    }

    fn remove(&self, id: &ContainerId) -> Answer {
        self.0.with(|world| world.remove(id, true)).map(|_| ())
    }

    fn pause(&self, id: &ContainerId) -> Answer {
        self.0.with(|world| world.pause(id))
    }

    fn heard(&self) {}

    fn update(&self, id: &ContainerId, memory: u64, nano_cpus: i64) -> Answer {
        self.0.with(|world| world.update(id, Some(memory), Some(nano_cpus)))
    }

    fn limits(&self, id: &ContainerId) -> (u64, i64) {
        self.0.with(|world| {
            let made_of = world.simulated(id).map(|c| c.made_of.clone()).unwrap_or_default();
            (made_of.memory.unwrap_or(0), made_of.nano_cpus.unwrap_or(0))
        })
    }

    fn disconnect(&self, network: &str, id: &ContainerId) -> Answer {
        self.0.with(|world| world.disconnect(network, id))
    }

    fn foreign(&self, name: &str, image: &str) -> Result<ContainerId, EngineError> {
        let made_of = Blueprint { name: name.to_owned(), image: image.to_owned(), ..Blueprint::default() };
        self.0.with(|world| world.create(made_of))
    }

    fn sicken(&self, id: &ContainerId, sick: bool) {
        self.0.with(|world| world.sicken(id, sick));
    }

    fn free_port(&self) -> u16 {
        40_000
    }
}
