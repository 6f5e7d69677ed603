//! What containers are made with, changed in place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::World;
use crate::engine::sim::container::no_such;
use crate::engine::{ContainerEvent, EngineError};
use crate::model::ContainerId;
use crate::model::fields::{ATTACHED, Fields};

impl World {
    /// Changes limits and the restart policy, as `docker update` does. By paths of [`Fields`].
    pub fn update_fields(
        &mut self,
        id: &ContainerId,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), EngineError> {
        if !self.containers.contains_key(id) {
            return Err(no_such(id));
        }
        self.change_fields(id, |fields| {
            for (path, value) in changes {
                match value {
                    Some(value) => fields.set(path.clone(), value.as_str()),
                    // Nothing else can be unset.
                    None if matches!(path.as_str(), "pids_limit" | "restart") => fields.unset(path),
                    None => {}
                }
            }
        });
        let container = self.get(id)?;
        for (path, value) in changes {
            let Some(value) = value else { continue };
            match path.as_str() {
                "mem_limit" => container.made_of.memory = value.parse().ok(),
                "cpus" => {
                    container.made_of.nano_cpus = value.parse::<f64>().ok().map(|cpus| (cpus * 1e9).round() as i64)
                }
                _ => {}
            }
        }
        self.emit_of(id, ContainerEvent::Changed);
        Ok(())
    }

    pub(in crate::engine::sim) fn change_fields(&mut self, id: &ContainerId, change: impl FnOnce(&mut Fields)) {
        if let Ok(container) = self.get(id)
            && let Some(fields) = &mut container.seen.fields
        {
            change(Arc::make_mut(fields));
        }
    }

    /// The networks of an inspect: `names` are those that it is attached to.
    pub(super) fn show_attachments(&mut self, id: &ContainerId, names: &BTreeSet<String>) {
        self.change_fields(id, |fields| {
            let known: Vec<String> = fields.networks().map(str::to_owned).collect();
            for name in known.iter().filter(|name| !names.contains(*name)) {
                fields.unset_all(&format!("networks.{name}"));
            }
            for name in names.iter().filter(|name| !known.contains(*name)) {
                fields.set(format!("networks.{name}"), ATTACHED);
            }
        });
    }
}
