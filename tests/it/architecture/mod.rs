//! The arrows between the rooms that must never exist, circles among them, and the sizes of files: read off the sources.

mod circles;
mod sizes;

use std::path::{Path, PathBuf};

/// From these rooms nothing of those may be named, and why.
const FORBIDDEN: &[(&[&str], &[&str], &str)] = &[
    (
        &["decide", "model"],
        &[
            "crate::engine",
            "crate::control",
            "tokio",
            "tracing",
            "std::env",
            "std::fs",
            "std::thread",
            "std::net",
            "rand",
            "uuid",
        ],
        "`decide` and `model` know no engine, no control, no clock, no environment and no disk",
    ),
    (
        &["manifest"],
        &["crate::decide", "crate::engine", "crate::control"],
        "`manifest` does not lead to decide, engine or control",
    ),
    (&["engine"], &["crate::decide", "crate::control"], "`engine` does not lead to decide or control"),
    (
        &["api", "telemetry", "notify", "history"],
        &["crate::engine"],
        "what shows things reads what control publishes, never the engine",
    ),
    (&["*"], &["crate::cli", "crate::main"], "nobody leads to `cli` or `main`"),
];

/// Words that only one place may say, and why.
const WORDS: &[(&str, &[&str], &[&str], &str)] = &[
    ("bollard", &["*"], &["engine/docker"], "bollard stays behind `engine::docker`"),
    ("std::env::var", &["*"], &["settings"], "only `settings` reads the environment"),
    ("env::var", &["*"], &["settings"], "only `settings` reads the environment"),
    ("fs::", &["manifest"], &["manifest/read/source.rs"], "only `manifest::source` reads files of manifests"),
    ("File::open", &["manifest"], &["manifest/read/source.rs"], "only `manifest::source` reads files of manifests"),
    ("SystemTime", &["model", "decide", "manifest"], &[], "the time is passed in"),
    ("Timestamp::now", &["model", "decide", "manifest"], &[], "the time is passed in"),
    ("Instant::now", &["model", "decide", "manifest"], &[], "the time is passed in"),
    (".unwrap()", &["*"], &[], "no panics outside tests"),
    (".expect(", &["*"], &[], "no panics outside tests"),
    ("panic!(", &["*"], &[], "no panics outside tests"),
    ("todo!(", &["*"], &[], "no panics outside tests"),
    ("unimplemented!(", &["*"], &[], "no panics outside tests"),
    ("install_default", &["*"], &["main.rs", "bin/"], "the program installs the one provider of TLS, in `main`"),
    ("println!(", &["cli"], &[], "`outln!` and `errln!` do not panic when nobody reads"),
];

/// A file of the library or a binary, with its path below `src`.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn room(&self) -> &str {
        let head = self.path.split('/').next().unwrap_or_default();
        head.strip_suffix(".rs").unwrap_or(head)
    }

    /// The module it is, as segments from the crate on.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').map(str::to_owned).filter(|s| s != "lib" && s != "main").collect()
    }
}

/// The text without comments, the insides of strings, and everything from the tests on. Lines stay where they are.
fn code(text: &str) -> String {
    let text = text.split_once("#[cfg(test)]").map_or(text, |(code, _)| code);
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut kept = String::new();
        let (mut quoted, mut escaped) = (false, false);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            if quoted {
                quoted = escaped || c != '"';
                escaped = c == '\\' && !escaped;
                continue;
            }
            match c {
                '"' => quoted = true,
                '\'' if chars.peek() == Some(&'"') => drop(chars.next()),
                '/' if chars.peek() == Some(&'/') => break,
                c => kept.push(c),
            }
        }
        lines.push(kept);
    }
    lines.join("\n")
}

/// Every path that the code names, with its line: `use` trees spread out, `super` and `self` resolved.
fn paths(source: &Source) -> Vec<(usize, String)> {
    let text = code(&source.text);
    let mut found = Vec::new();
    let mut line = 1;
    let bytes: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    while at < bytes.len() {
        let c = bytes[at];
        line += usize::from(c == '\n');
        let begins = is_word(c) && (at == 0 || !is_word(bytes[at - 1]));
        if begins && !(at >= 2 && bytes[at - 1] == ':' && bytes[at - 2] == ':') {
            let mut spread = Vec::new();
            spread_tree(&bytes, at, String::new(), &mut spread);
            found.extend(spread.into_iter().map(|named| (line, resolve(&named.path, &source.module()))));
        }
        at += 1;
    }
    found
}

/// A path, and the name by which it is known where it is used.
struct Named {
    path: String,
    name: String,
}

/// Follows `a::b::{c, d::e as f}` from a position; gives where it ends.
fn spread_tree(text: &[char], start: usize, prefix: String, found: &mut Vec<Named>) -> usize {
    let mut at = start;
    let mut path = prefix;
    loop {
        while text.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        if text.get(at) == Some(&'{') {
            at += 1;
            while at < text.len() && text[at] != '}' {
                let before = at;
                at = spread_tree(text, at, path.clone(), found);
                while text.get(at).is_some_and(|c| c.is_whitespace() || *c == ',') {
                    at += 1;
                }
                // Whatever is no name, such as `*`, is passed over.
                at += usize::from(at == before);
            }
            return at + 1;
        }
        let word: String = text[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
        at += word.len();
        path.push_str(&word);
        let next = text.get(at..at + 2).map(|c| c.iter().collect::<String>());
        if word.is_empty() || next.as_deref() != Some("::") {
            let rest: String = text[at..].iter().take(80).collect();
            let name = match rest.trim_start().strip_prefix("as ") {
                Some(alias) => {
                    at += rest.len() - rest.trim_start().len() + "as ".len();
                    let alias: String = alias.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    at += alias.len();
                    alias
                }
                None => word,
            };
            found.push(Named { path, name });
            return at;
        }
        path.push_str("::");
        at += 2;
    }
}

fn resolve(path: &str, module: &[String]) -> String {
    let mut base = module.to_vec();
    let mut rest = path;
    if let Some(tail) = rest.strip_prefix("self::") {
        rest = tail;
    } else if !rest.starts_with("super::") {
        return path.to_owned();
    }
    while let Some(tail) = rest.strip_prefix("super::") {
        base.pop();
        rest = tail;
    }
    let base: String = base.iter().map(|s| format!("{s}::")).collect();
    format!("crate::{base}{rest}")
}

fn leads_to(path: &str, forbidden: &str) -> bool {
    path.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn offences(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let room = source.room();
    let concerns = |rooms: &[&str]| rooms.contains(&room) || (rooms == ["*"]);
    // The verbs and the entry know each other.
    let at_the_top = matches!(room, "cli" | "main" | "lib" | "bin");
    for (rooms, targets, why) in
        FORBIDDEN.iter().filter(|(rooms, ..)| concerns(rooms) && !(rooms == &["*"] && at_the_top))
    {
        for (line, path) in paths(source) {
            if let Some(target) = targets.iter().find(|t| leads_to(&path, t)) {
                found.push(format!("src/{}:{line}: `{path}` leads to `{target}` from {rooms:?}: {why}", source.path));
            }
        }
    }
    for (word, _, except, why) in WORDS.iter().filter(|(_, rooms, ..)| concerns(rooms)) {
        // The search is a test that has a program of its own.
        if source.path.starts_with("bin/search/") && why.starts_with("no panics") {
            continue;
        }
        if except.iter().any(|e| source.path.starts_with(e)) {
            continue;
        }
        for (n, line) in code(&source.text).lines().enumerate().filter(|(_, line)| line.contains(word)) {
            found.push(format!("src/{}:{}: `{word}` in `{}`: {why}", source.path, n + 1, line.trim()));
        }
    }
    found
}

fn sources() -> Vec<Source> {
    fn search(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                search(&path, root, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(root).unwrap().display().to_string(), text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    search(&root, &root, &mut found);
    found
}

#[test]
fn no_arrow_leads_where_none_may() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files", sources.len());
    let found: Vec<String> = sources.iter().flat_map(offences).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let found = offences(&Source { path: path.to_owned(), text: text.to_owned() });
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_forbidden_arrow_is_found() {
    check(
        "decide/slots.rs",
        "//! x\nuse crate::{model::Project, engine::{Engine, docker}};\n",
        &[
            "src/decide/slots.rs:2: `crate::engine::Engine` leads to `crate::engine`",
            "src/decide/slots.rs:2: `crate::engine::docker` leads to `crate::engine`",
        ],
    );
    check(
        "model/names.rs",
        "fn f() {\n    super::super::control::now();\n}",
        &["src/model/names.rs:2: `crate::control::now`"],
    );
    check("manifest/mod.rs", "use super::{decide,\n    model};", &["src/manifest/mod.rs:1: `crate::decide`"]);
    check("manifest/typed.rs", "use std::fs;\nlet x = fs::read(p);", &["src/manifest/typed.rs:2: `fs::`"]);
    check("api/mod.rs", "fn f() { let x = crate::engine::docker::Docker::new(); }", &["src/api/mod.rs:1:"]);
    check("control/mod.rs", "use crate::cli;", &["src/control/mod.rs:1:"]);
    check("engine/mod.rs", "use bollard::Docker;", &["src/engine/mod.rs:1: `bollard`"]);
    check(
        "cli/run.rs",
        "let x = std::env::var(\"A\");",
        &["src/cli/run.rs:1: `std::env::var`", "src/cli/run.rs:1: `env::var`"],
    );
    check(
        "decide/mod.rs",
        "let now = Timestamp::now();\nx.unwrap();",
        &["src/decide/mod.rs:1:", "src/decide/mod.rs:2:"],
    );
}

#[test]
fn what_is_no_arrow_is_not_found() {
    check("decide/mod.rs", "// use crate::engine;\nlet x = \"tokio::spawn crate::engine\";\nuse crate::model;", &[]);
    check(
        "decide/mod.rs",
        "let engine_restarts = c.engine_restarts;\n#[cfg(test)]\nmod tests { use tokio; x.unwrap(); }",
        &[],
    );
    check("engine/docker/mod.rs", "use bollard::Docker;", &[]);
    check("cli/mod.rs", "use crate::cli::run;", &[]);
}
