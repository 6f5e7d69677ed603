//! What `use_api_socket` stands for: a mount, a variable and a config, as Compose adds them before it makes a container.

use std::borrow::Cow;

use crate::manifest::attributes::order_service;
use crate::manifest::document::{Entry, Map, Node, Value};

/// The Engine's socket, on the host and in the container.
pub(in crate::manifest) const SOCKET: &str = "/var/run/docker.sock";
/// The config's key: no key of a manifest, it cannot be written in one.
pub(in crate::manifest) const KEY: &str = "#apisocket";
/// Where the client in the container looks for its configuration.
pub(in crate::manifest) const FOLDER: &str = "/run/secrets/docker";

/// What `use_api_socket` stands for is hashed on a container, as Compose adds it before it makes one.
pub(in crate::manifest) fn with_api_socket(service: &Node) -> Cow<'_, Node> {
    if !service.get("use_api_socket").is_some_and(Node::is_true) {
        return Cow::Borrowed(service);
    }
    let mut owned = service.clone();
    let service = &mut owned;
    let span = service.span;
    let text = |key: &str, value: &str| (key.to_owned(), Entry { key: span, node: Node::text(value, span) });
    let add = |service: &mut Node, key: &str, value: Map| {
        if service.get(key).is_none() {
            service.set(key, Value::List(Vec::new()));
        }
        if let Some(list) = service.get_mut(key).and_then(Node::as_list_mut) {
            list.push(Node::new(Value::Map(value), span));
        }
    };
    add(service, "volumes", Map::from_iter([text("type", "bind"), text("source", SOCKET), text("target", SOCKET)]));
    let config = format!("{}/config.json", FOLDER);
    add(service, "configs", Map::from_iter([text("source", KEY), text("target", &config)]));
    if service.get("environment").is_none() {
        service.set("environment", Value::Map(Map::default()));
    }
    if let Some(variables) = service.get_mut("environment").and_then(Node::as_map_mut) {
        let (key, value) = text("DOCKER_CONFIG", FOLDER);
        variables.entry(key).or_insert(value);
        variables.sort_unstable_keys();
    }
    order_service(service);
    Cow::Owned(owned)
}
