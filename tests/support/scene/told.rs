//! States and events in words.

use evenkeel::engine::{ContainerEvent, EngineEvent, EventKind};
use evenkeel::model::ContainerId;
use evenkeel::model::observed::{Container, ContainerState, Health};

use super::Scene;

impl Scene {
    /// The events of this test so far.
    pub(super) fn told(&self) -> Vec<String> {
        self.events.lock().expect("the events").iter().filter_map(|e| self.event(e)).collect()
    }

    fn label(&self, id: &ContainerId) -> String {
        let ids = self.ids.borrow();
        ids.iter().find(|(_, known)| *known == id).map_or_else(|| "somebody".to_owned(), |(label, _)| label.clone())
    }

    /// An event in words; `None`: it is not of this test. Networks that the Engine itself made, as `none`, are not either.
    pub(super) fn event(&self, event: &EngineEvent) -> Option<String> {
        let prefix = format!("{}-", self.project);
        match &event.kind {
            EventKind::Container { id, project, action } => {
                let action = match action {
                    ContainerEvent::Died { code } => format!("died {code}"),
                    ContainerEvent::Health(health) => health.as_str().to_owned(),
                    other => format!("{other:?}").to_lowercase(),
                };
                (*project == self.project).then(|| format!("{}: {action}", self.label(id)))
            }
            EventKind::Network { id, name, destroyed, container } => {
                let name = name.strip_prefix(&prefix)?;
                let label = self.networks.borrow().iter().find(|(_, known)| *known == id).map(|(l, _)| l.clone());
                let label = label.unwrap_or_else(|| name.to_owned());
                Some(match container {
                    Some(container) => format!("network {label}: {} comes or goes", self.label(container)),
                    None if *destroyed => format!("network {label}: gone"),
                    None => format!("network {label}: made"),
                })
            }
            EventKind::Volume { name, destroyed } => {
                let name = name.strip_prefix(&prefix)?;
                Some(format!("volume {name}: {}", if *destroyed { "gone" } else { "made" }))
            }
            EventKind::Image => None,
        }
    }

    /// What an inspect tells, in words.
    pub(super) fn state(&self, container: &Container) -> String {
        let mut words = vec![match container.state {
            ContainerState::Exited { code, oom, .. } => {
                format!("exited {code}{}", if oom { " for want of memory" } else { "" })
            }
            state => state.as_str().to_owned(),
        }];
        if container.health != Health::None {
            words.push(container.health.as_str().to_owned());
        }
        if container.restart_count > 0 {
            words.push(format!("{} restarts", container.restart_count));
        }
        let prefix = format!("{}-", self.project);
        if container.name != format!("{prefix}{}", self.label(&container.id)) {
            words.push(format!("named {}", container.name));
        }
        let known = self.networks.borrow();
        let mut networks: Vec<String> = Vec::new();
        for network in &container.networks {
            let label = known.iter().find(|(_, id)| id.as_str() == network).map(|(label, _)| format!("id of {label}"));
            // The Engine's own networks are not of this test.
            let of_this_test = || network.strip_prefix(&prefix).map(str::to_owned);
            networks.extend(label.or_else(of_this_test));
        }
        if !networks.is_empty() {
            networks.sort();
            words.push(format!("on {}", networks.join(" and ")));
        }
        if let Some(error) = &container.error {
            words.push(format!("error: {error}"));
        }
        words.join(", ")
    }

    /// A text with labels in place of ids, and without what is this run's own.
    pub(super) fn without_ids(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (label, id) in self.ids.borrow().iter() {
            text = text.replace(id.as_str(), &format!("<{label}>"));
        }
        for (label, id) in self.networks.borrow().iter() {
            text = text.replace(id.as_str(), &format!("<{label}>"));
        }
        let text = text.replace(&format!("{}-", self.project), "").replace(&format!(":{}", self.port), ":PORT");
        without_hex(&text.replace(&self.image, "IMAGE"))
    }
}

/// 64 hexadecimal digits that nobody knows: an endpoint's, a container's that was never made.
fn without_hex(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        out.push_str(if digits.len() == 64 { "<id>" } else { &digits });
        digits.clear();
        out.push(c);
    }
    out.pop();
    out
}
