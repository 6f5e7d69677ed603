//! Who decides what goes wrong, and sees everything that happens.

use super::World;
use crate::engine::sim::call::{Call, Fate, Upset};
use crate::engine::{EngineError, EngineEvent};

/// Decides what goes wrong, and sees everything. Default: nothing does, and nobody looks.
pub trait Director: Send {
    /// A call begins: what goes wrong with it.
    fn upset(&mut self, call: &Call, world: &World) -> Option<Upset> {
        let _ = (call, world);
        None
    }

    /// What becomes of this event for whoever listens.
    fn fate(&mut self, event: &EngineEvent) -> Fate {
        let _ = event;
        Fate::Told
    }

    /// A call is about to take effect.
    fn taking_effect(&mut self, call: &Call, world: &World) {
        let _ = (call, world);
    }

    /// A call took effect, or was refused.
    fn took_effect(&mut self, call: &Call, world: &World, error: Option<&EngineError>) {
        let _ = (call, world, error);
    }

    /// Something happened by itself or by somebody else's hand.
    fn happened(&mut self, event: &EngineEvent, world: &World) {
        let _ = (event, world);
    }
}

/// A director that lets everything go well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm;
impl Director for Calm {}
