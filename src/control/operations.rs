//! What operators ask for.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Controller;
use super::tracked::Tracked;
use crate::model::event::{EventType, Severity};
use crate::model::ledger::{Down, Subject};
use crate::model::{ProjectName, ServiceId, ServiceName};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// How everything is.
    Status,
    /// The unfolded plan of a project.
    Plan {
        /// Which.
        project: String,
    },
    /// Leave a project or service alone.
    Suspend {
        /// `PROJECT`, `PROJECT.SERVICE`, or a service's name where only one has it.
        id: String,
    },
    /// Take it up again.
    Resume {
        /// The same.
        id: String,
    },
    /// Take everything up again.
    ResumeAll,
    /// Let what vanished go.
    Confirm,
    /// Remove a project's containers and networks.
    Down {
        /// Which.
        project: String,
        /// Its volumes too.
        volumes: bool,
    },
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Refused(pub String);

/// The answer.
pub type Reply = Result<Value, Refused>;

/// What an id names.
enum Named {
    Project(ProjectName),
    Service(ServiceId),
}

impl Controller {
    pub(super) fn operate(&mut self, operation: Operation) -> Reply {
        match operation {
            Operation::Status => {
                self.publish();
                let snapshot = self.published.borrow().clone();
                Ok(super::view::status_json(&snapshot))
            }
            Operation::Plan { project } => self.plan(&self.project(&project)?),
            Operation::Suspend { id } => self.set_suspended(&id, true),
            Operation::Resume { id } => self.set_suspended(&id, false),
            Operation::ResumeAll => self.resume_all(),
            Operation::Confirm => self.confirm(),
            Operation::Down { project, volumes } => {
                let name = self.project(&project)?;
                if let Some(tracked) = self.projects.get_mut(&name) {
                    tracked.ledger.down = Some(Down { volumes });
                    tracked.unsaved = true;
                }
                self.remember(&name)?;
                // Who waits for its end has to see its beginning, also where no manifest declares it.
                self.publish();
                Ok(json!({"message": format!("{name} is being removed")}))
            }
        }
    }

    /// Writes a project's ledger before the operator is told that it is done.
    fn remember(&mut self, name: &ProjectName) -> Result<(), Refused> {
        self.dirty.insert(name.clone());
        self.stale_views.insert(name.clone());
        let Some(tracked) = self.projects.get_mut(name) else { return Ok(()) };
        self.store.save(name, &tracked.ledger).map_err(|e| Refused(e.to_string()))?;
        tracked.unsaved = false;
        Ok(())
    }

    fn project(&self, text: &str) -> Result<ProjectName, Refused> {
        if let Some(tracked) = self.projects.get(text) {
            return Ok(tracked.name.clone());
        }
        // Compose's own projects can be taken down too.
        let name = ProjectName::parse(text).map_err(|e| Refused(e.to_string()))?;
        let known: Vec<_> = self.projects.keys().map(ProjectName::as_str).collect();
        let help = crate::manifest::diagnostic::suggestion(text, known.iter().copied())
            .unwrap_or_else(|| format!("known are: {}", known.join(", ")));
        Err(Refused(format!("there is no project `{name}`; {help}")))
    }

    fn named(&self, id: &str) -> Result<Named, Refused> {
        if self.projects.contains_key(id) {
            return self.project(id).map(Named::Project);
        }
        let services =
            |t: &Tracked| -> Vec<ServiceName> { t.target.iter().flat_map(|p| p.services.keys().cloned()).collect() };
        let found: Vec<ServiceId> = self
            .projects
            .values()
            .flat_map(|t| services(t).into_iter().map(|service| ServiceId { project: t.name.clone(), service }))
            .filter(|s| s.service.as_str() == id || s.to_string() == id)
            .collect();
        match found.as_slice() {
            [one] => Ok(Named::Service(one.clone())),
            [] => Err(Refused(format!("there is no project or service `{id}`; `evenkeel status` lists them"))),
            several => {
                let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(Refused(format!("`{id}` names several services; write one of {}", names.join(", "))))
            }
        }
    }

    fn set_suspended(&mut self, id: &str, suspended: bool) -> Reply {
        let named = self.named(id)?;
        let name = match &named {
            Named::Project(name) => name.clone(),
            Named::Service(service) => service.project.clone(),
        };
        if let Some(tracked) = self.projects.get_mut(&name) {
            match &named {
                Named::Project(_) => {
                    tracked.ledger.suspended = suspended;
                    if !suspended {
                        tracked.ledger.down = None;
                    }
                }
                Named::Service(id) if suspended => {
                    tracked.ledger.suspended_services.insert(id.service.clone());
                }
                Named::Service(id) => {
                    tracked.ledger.suspended_services.remove(&id.service);
                    let of =
                        |subject: &Subject| matches!(subject, Subject::Replica(service, _) if *service == id.service);
                    let slots = tracked.ledger.slots.iter_mut().filter(|(subject, _)| of(subject));
                    slots.for_each(|(_, slot)| slot.forget_restarts());
                }
            }
        }
        if let (Named::Project(name), false) = (&named, suspended) {
            self.try_again(name);
        }
        self.remember(&name)?;
        let word = if suspended { "suspended: it is watched and not touched" } else { "resumed" };
        self.event(EventType::SystemAlert, Severity::Info, Some(&name), None, format!("{id} is {word}"));
        Ok(json!({"message": format!("{id} is {word}")}))
    }

    fn resume_all(&mut self) -> Reply {
        let suspended = |t: &&Tracked| t.ledger.suspended || !t.ledger.suspended_services.is_empty();
        let names: Vec<ProjectName> = self.projects.values().filter(suspended).map(|t| t.name.clone()).collect();
        for name in &names {
            if let Some(tracked) = self.projects.get_mut(name) {
                tracked.ledger.suspended = false;
                tracked.ledger.suspended_services.clear();
            }
            self.remember(name)?;
            self.event(EventType::SystemAlert, Severity::Info, Some(name), None, format!("{name} is resumed"));
        }
        let names: Vec<_> = names.iter().map(ProjectName::as_str).collect();
        let message = match names.as_slice() {
            [] => "nothing is suspended".to_owned(),
            names => format!("{} resumed", names.join(", ")),
        };
        Ok(json!({"message": message}))
    }

    fn confirm(&mut self) -> Reply {
        let Some(reason) = self.guard.reason().map(str::to_owned) else {
            return Ok(json!({"message": "there is nothing to confirm"}));
        };
        let unreadable = self.reading.as_ref().and_then(|r| r.manifests.as_ref().err().cloned());
        if let Some(error) = unreadable {
            return Err(Refused(format!("{error}: while the directory cannot be read, nothing can be confirmed")));
        }
        // Another device is the right one now; what is on it is looked at afresh.
        if let Some(reading) = self.reading.take() {
            self.remember_device(&reading);
            self.on_reading(reading);
        }
        let vanished: Vec<ProjectName> = self
            .projects
            .values()
            .filter(|t| t.manifest.is_none() && t.ledger.root == self.options.root)
            .map(|t| t.name.clone())
            .collect();
        for name in &vanished {
            if let Some(tracked) = self.projects.get_mut(name) {
                tracked.ledger.removal_confirmed = true;
            }
            self.remember(name)?;
        }
        self.guard.set(None);
        self.unpublished = true;
        let names: Vec<_> = vanished.iter().map(ProjectName::as_str).collect();
        let message = match names.as_slice() {
            [] => format!("confirmed: {reason}"),
            names => format!("confirmed: {reason}; {} will be removed, volumes are kept", names.join(", ")),
        };
        self.event(EventType::SystemAlert, Severity::Warning, None, None, message.clone());
        Ok(json!({"message": message}))
    }
}
