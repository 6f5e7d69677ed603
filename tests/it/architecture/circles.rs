//! No circles: neither between rooms, nor between what lies side by side in a folder.
//!
//! The rule: `a` leads to `b` where the code of a file in `a` names a path into `b`, both being files or folders of the same
//! folder. What a `mod.rs` gives on with `use` is where it comes from, not in the `mod.rs`. Between a folder and what lies in
//! it arrows may lead both ways: a child may use what its `mod.rs` defines, and the `mod.rs` puts its children together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Named, Source, code, paths, resolve, sources, spread_tree};

/// Folders in which there are circles still, to be cut with the next change of that room.
const CIRCLES_STILL: &[&str] = &["control"];

/// Arrows between rooms that are still to be turned.
const ARROWS_STILL: &[(&str, &str)] = &[];

/// The modules by their segments, and what each gives on under another path.
struct Modules<'s> {
    files: BTreeMap<Vec<String>, &'s Source>,
    given_on: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl<'s> Modules<'s> {
    fn of(sources: &'s [Source]) -> Self {
        // The binaries are crates of their own.
        let own = sources.iter().filter(|s| !s.path.starts_with("bin/") && s.path != "main.rs");
        let files: BTreeMap<_, _> = own.map(|s| (s.module(), s)).collect();
        let mut given_on = BTreeMap::new();
        for (module, source) in &files {
            for Named { path, name } in uses(source) {
                let mut target = segments(&path, module);
                if target.last().is_some_and(|last| last == "self") {
                    target.pop();
                }
                let name = if name == "self" { target.last().cloned().unwrap_or_default() } else { name };
                given_on.entry((module.clone(), name)).or_insert(target);
            }
        }
        Self { files, given_on }
    }

    /// The module that defines what a path names; `None`: none of ours.
    fn home(&self, path: &[String], depth: usize) -> Option<Vec<String>> {
        let known = (0..=path.len()).rev().find(|n| self.files.contains_key(&path[..*n]))?;
        let (module, rest) = path.split_at(known);
        if let Some((name, rest)) = rest.split_first()
            && let Some(target) = self.given_on.get(&(module.to_vec(), name.clone()))
            && depth < 8
            && target[..] != path[..=known]
        {
            let target: Vec<String> = target.iter().chain(rest).cloned().collect();
            return self.home(&target, depth + 1);
        }
        Some(module.to_vec())
    }
}

/// What a file takes in with `use`.
fn uses(source: &Source) -> Vec<Named> {
    let text: Vec<char> = code(&source.text).chars().collect();
    let words = |at: usize| text[at..].iter().take(4).collect::<String>();
    let mut found = Vec::new();
    for at in 0..text.len() {
        if words(at) == "use " && (at == 0 || text[at - 1].is_whitespace()) {
            spread_tree(&text, at + 4, String::new(), &mut found);
        }
    }
    let module = source.module();
    found.iter_mut().for_each(|named| named.path = resolve(&named.path, &module));
    found
}

/// The segments of a path from the crate on. One that does not begin there is looked for below the module.
fn segments(path: &str, module: &[String]) -> Vec<String> {
    let parts = path.split("::").map(str::to_owned);
    match path.strip_prefix("crate::") {
        Some(_) => parts.skip(1).collect(),
        None => module.iter().cloned().chain(parts).collect(),
    }
}

/// What lies side by side in a folder, and which leads to which, with a place that says so.
type Arrows = BTreeMap<Vec<String>, BTreeMap<String, BTreeMap<String, String>>>;

fn arrows(sources: &[Source]) -> Arrows {
    let modules = Modules::of(sources);
    let mut found = Arrows::new();
    for (module, source) in &modules.files {
        for (line, path) in paths(source).into_iter().filter(|(_, path)| path.starts_with("crate::")) {
            let Some(home) = modules.home(&segments(&path, module), 0) else { continue };
            let common = module.iter().zip(&home).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(common), home.get(common)) else { continue };
            let said = || format!("src/{}:{line}: `{path}`", source.path);
            let folder = found.entry(module[..common].to_vec()).or_default();
            folder.entry(from.clone()).or_default().entry(to.clone()).or_insert_with(said);
        }
    }
    found
}

/// Where each of the circles is, one line an arrow.
fn circles(arrows: &Arrows) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, arrows) in arrows {
        if CIRCLES_STILL.contains(&folder.join("/").as_str()) {
            continue;
        }
        let leads = |from: &str, to: &str| !(folder.is_empty() && ARROWS_STILL.contains(&(from, to)));
        let mut reached: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for start in arrows.keys() {
            let (seen, mut next) = (reached.entry(start).or_default(), vec![start]);
            while let Some(from) = next.pop() {
                let targets = arrows.get(from).into_iter().flatten().map(|(to, _)| to).filter(|to| leads(from, to));
                next.extend(targets.filter(|to| seen.insert(*to)));
            }
        }
        for (from, targets) in arrows {
            for (to, said) in targets.iter().filter(|(to, _)| leads(from, to)) {
                if reached.get(to).is_some_and(|reached| reached.contains(from)) {
                    let folder = if folder.is_empty() { "src".to_owned() } else { folder.join("/") };
                    found.push(format!("{folder}: a circle: {from} -> {to}: {said}"));
                }
            }
        }
    }
    found
}

#[test]
fn nothing_goes_in_circles() {
    let arrows = arrows(&sources());
    assert!(arrows.values().flatten().count() > 100, "the arrows are not found");
    let found = circles(&arrows);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn what_is_still_allowed_is_still_needed() {
    let arrows = arrows(&sources());
    for (from, to) in ARROWS_STILL {
        let there = arrows.get(&[][..]).and_then(|rooms| rooms.get(*from)?.get(*to));
        assert!(there.is_some(), "{from} does not lead to {to} any more: take it off the list");
    }
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let source = |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
    let sources: Vec<Source> = files.iter().map(source).collect();
    let found = circles(&arrows(&sources));
    assert_eq!(found, expected);
}

#[test]
fn a_circle_is_found() {
    check(
        &[("decide/a.rs", "use super::b::B;"), ("decide/b.rs", "\nfn f() { super::a::A::new() }")],
        &[
            "decide: a circle: a -> b: src/decide/a.rs:1: `crate::decide::b::B`",
            "decide: a circle: b -> a: src/decide/b.rs:2: `crate::decide::a::A::new`",
        ],
    );
    // Over three rooms, and through what is given on.
    check(
        &[
            ("decide/mod.rs", "mod x;\npub use x::{X as Y, Z};"),
            ("decide/x.rs", "use crate::model::M;"),
            ("model/mod.rs", "use crate::engine::{self, E};"),
            ("engine/mod.rs", "use crate::decide::Y;"),
        ],
        &[
            "src: a circle: decide -> model: src/decide/x.rs:1: `crate::model::M`",
            "src: a circle: engine -> decide: src/engine/mod.rs:1: `crate::decide::Y`",
            "src: a circle: model -> engine: src/model/mod.rs:1: `crate::engine::self`",
        ],
    );
    check(
        &[
            ("decide/mod.rs", "mod a;\nmod b;\npub use b::B as C;"),
            ("decide/a.rs", "use super::C;"),
            ("decide/b.rs", "use crate::decide::a;"),
        ],
        &[
            "decide: a circle: a -> b: src/decide/a.rs:1: `crate::decide::C`",
            "decide: a circle: b -> a: src/decide/b.rs:1: `crate::decide::a`",
        ],
    );
}

#[test]
fn what_is_no_circle_is_not_found() {
    // A child and its parent, and what the parent defines itself.
    check(
        &[
            ("decide/mod.rs", "mod a;\nmod b;\npub struct Input;\nfn f() { a::go(); b::go(); }"),
            ("decide/a.rs", "use super::Input;\nuse super::b::B;"),
            ("decide/b.rs", "use crate::decide::Input;"),
        ],
        &[],
    );
}
