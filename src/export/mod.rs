//! Running containers back into a Compose file: what is said of each, less what its image and the Engine say by
//! themselves.

mod service;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::fields::Fields;
use crate::model::observed::Container;
use crate::model::{ProjectName, ServiceName};

/// A project as its containers tell it.
#[derive(Debug, Default)]
pub struct Exported {
    /// The Compose file.
    pub file: Value,
    /// What there is no word for here, by service.
    pub left_out: BTreeMap<ServiceName, BTreeSet<String>>,
}

/// What is known of a container.
#[derive(Debug)]
pub struct Known {
    /// The container as it was inspected.
    pub container: Container,
    /// What its image contributes.
    pub image: Fields,
}

/// Makes a Compose file from the containers of a project. Of several replicas the first one speaks for all.
pub fn project(name: &ProjectName, known: &[Known]) -> Exported {
    let mut by_service: BTreeMap<&ServiceName, Vec<&Known>> = BTreeMap::new();
    for one in known.iter().filter(|k| !k.container.oneoff) {
        if let Some(service) = &one.container.service {
            by_service.entry(service).or_default().push(one);
        }
    }
    let owners: BTreeMap<&str, &ServiceName> =
        known.iter().filter_map(|k| Some((k.container.id.as_str(), k.container.service.as_ref()?))).collect();
    let mut exported = Exported::default();
    let (mut services, mut networks, mut volumes) = (Map::new(), Map::new(), Map::new());
    for (service, mut replicas) in by_service {
        // Of two containers of one replica the one that runs; the other one is on its way in or out.
        replicas.sort_by_key(|k| (k.container.number, !k.container.is_running(), k.container.created));
        replicas.dedup_by_key(|k| k.container.number);
        let Some(first) = replicas.first() else { continue };
        let scope = service::Scope { project: name.as_str(), service: service.as_str(), owners: &owners };
        let mut made = service::of(&scope, first);
        if replicas.len() > 1 {
            made.attributes.insert("scale".into(), json!(replicas.len()));
        }
        services.insert(service.to_string(), Value::Object(made.attributes));
        networks.extend(made.networks.into_iter().map(|network| top_level(name, &network)));
        volumes.extend(made.volumes.into_iter().map(|volume| top_level(name, &volume)));
        if !made.left_out.is_empty() {
            exported.left_out.insert(service.clone(), made.left_out);
        }
    }
    let mut file = json!({"name": name.as_str(), "services": services});
    networks.retain(|key, value| key != "default" || !value.is_null());
    for (section, entries) in [("networks", networks), ("volumes", volumes)] {
        if !entries.is_empty() {
            file[section] = Value::Object(entries);
        }
    }
    exported.file = file;
    exported
}

/// The key of a network or volume in a file, and what is said of it there: one that bears the project's name is the
/// project's own, any other one somebody else's.
fn top_level(project: &ProjectName, name: &str) -> (String, Value) {
    let key = key_of(project.as_str(), name);
    let own = key != name;
    (key, if own { Value::Null } else { json!({"name": name, "external": true}) })
}

fn key_of(project: &str, name: &str) -> String {
    let own = name.strip_prefix(project).and_then(|rest| rest.strip_prefix('_')).filter(|rest| !rest.is_empty());
    own.unwrap_or(name).to_owned()
}
