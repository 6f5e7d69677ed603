//! `!reset` and `!override`: what a file takes away from those before it.

use crate::manifest::document::{Node, Tag, Value};

/// Where a file's tags stand, each a path of keys.
#[derive(Debug, Default, Clone)]
pub(super) struct Resets(Vec<Vec<String>>);

impl Resets {
    /// Takes the tags out of a document: what is tagged `!reset` goes, what is tagged `!override` stays.
    pub(super) fn take(node: &mut Node) -> Self {
        let mut resets = Self::default();
        resets.walk(node, &mut Vec::new());
        resets
    }

    /// Whether the node itself stays.
    fn walk(&mut self, node: &mut Node, path: &mut Vec<String>) -> bool {
        match node.tag.take() {
            Some(Tag::Reset) => {
                self.0.push(path.clone());
                return false;
            }
            Some(Tag::Override) => {
                self.0.push(path.clone());
                untag(node);
                return true;
            }
            None => {}
        }
        match &mut node.value {
            // The elements of a list have no names by which an earlier file's could be found.
            Value::List(list) => list.retain_mut(|element| {
                path.push("[]".into());
                let stays = Self::default().walk(element, path);
                path.pop();
                stays
            }),
            Value::Map(map) => map.retain(|key, entry| {
                path.push(key.clone());
                let stays = self.walk(&mut entry.node, path);
                path.pop();
                stays
            }),
            _ => {}
        }
        true
    }

    /// Removes from what earlier files say everything that is named here.
    pub(super) fn apply(&self, node: &mut Node) {
        for path in &self.0 {
            remove(node, path);
        }
    }

    /// The part that is about one service, to be applied to that service alone.
    pub(super) fn apply_to_service(&self, name: &str, service: &mut Node) {
        for path in &self.0 {
            if let [section, of, rest @ ..] = path.as_slice()
                && section == "services"
                && of == name
            {
                remove(service, rest);
            }
        }
    }
}

fn remove(node: &mut Node, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            if let Some(map) = node.as_map_mut() {
                map.shift_remove(last);
            }
        }
        [first, rest @ ..] => {
            if let Some(inner) = node.get_mut(first) {
                remove(inner, rest);
            }
        }
    }
}

fn untag(node: &mut Node) {
    node.tag = None;
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(untag),
        Value::Map(map) => map.values_mut().for_each(|e| untag(&mut e.node)),
        _ => {}
    }
}
