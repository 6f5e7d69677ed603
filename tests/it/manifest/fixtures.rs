//! Every fixture below tests/fixtures/compose: `render` prints what Docker Compose prints, or rejects what it rejects.
//!
//! What Docker Compose does is recorded beside the files; tests/fixtures/compose/record says how and describes the form
//! of the folders. With `FIXTURES=TEXT` in the environment only fixtures with that text in their name are run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

/// Where hashes are recorded, as they cover absolute paths.
const STAGE: &str = "/srv/evenkeel-fixtures";
/// What was recorded, as against the input of a fixture.
const RECORDED: [&str; 3] = ["expected.json", "hashes.txt", "rejected.txt"];
/// How many mismatches are shown in full.
const DETAILED: usize = 20;

/// How `render` is run on a fixture.
struct Case {
    files: Vec<String>,
    variables: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// Whether the message of a rejected fixture has a line to point at.
    line: bool,
}

impl Case {
    fn read(folder: &Path) -> Self {
        let value: Value = match fs::read(folder.join("case.json")) {
            Ok(text) => serde_json::from_slice(&text).expect("case.json is JSON"),
            Err(_) => Value::Null,
        };
        let text = |value: &Value| value.as_str().expect("a text in case.json").to_owned();
        let texts = |key: &str| value.get(key).and_then(Value::as_array).map(|all| all.iter().map(text).collect());
        let variables = value.get("env").and_then(Value::as_object);
        Self {
            files: texts("files").unwrap_or_else(|| vec!["compose.yaml".to_owned()]),
            variables: variables.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect(),
            arguments: texts("args").unwrap_or_default(),
            line: value.get("line").is_none_or(|line| line != false),
        }
    }

    /// Run `render` in the folder, with nothing in its environment but what the records were made with.
    fn render(&self, place: &Path, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .arg("render")
            .args(arguments)
            .args(self.files.iter().flat_map(|file| ["-f", file]))
            .args(&self.arguments)
            .current_dir(place)
            .env_clear()
            .env("HOME", "/root")
            .env("PATH", "/usr/bin:/bin")
            .envs(&self.variables)
            .output()
            .expect("the program starts");
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        if messages.contains("panicked at") {
            return Err(format!("a panic: {messages}"));
        }
        if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(messages) }
    }
}

/// The paths of the files below a folder, relative to it and sorted.
fn files_below(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.insert(path.strip_prefix(folder).expect("below the folder").to_owned());
            }
        }
    }
    Ok(found)
}

fn is_input(file: &Path) -> bool {
    !RECORDED.iter().any(|name| file == Path::new(name))
}

/// Make a folder hold the input of a fixture and nothing else. What is right already is not touched, so that tests that
/// run at the same time do not take each other's files away.
fn stage(fixture: &Path, place: &Path) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let files = files_below(fixture)?;
    for file in files_below(place)?.iter().filter(|file| !files.contains(*file) || !is_input(file)) {
        fs::remove_file(place.join(file))?;
    }
    for file in files.iter().filter(|file| is_input(file)) {
        let (content, target) = (fs::read(fixture.join(file))?, place.join(file));
        if fs::read(&target).is_ok_and(|there| there == content) {
            continue;
        }
        fs::create_dir_all(target.parent().expect("a file has a folder"))?;
        fs::write(target, content)?;
    }
    Ok(())
}

/// The first place where two values differ: numbers do when one is written as a fraction and the other is not.
fn difference(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            keys.into_iter().find_map(|key| {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => difference(&at, left, right),
                    (Some(left), None) => Some(format!("{at}: {left} is missing")),
                    (None, right) => Some(format!("{at}: {} is too much", right.unwrap_or(&Value::Null))),
                }
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            pairs.into_iter().find_map(|(index, (left, right))| difference(&format!("{at}[{index}]"), left, right))
        }
        _ if expected == found => None,
        _ => Some(format!("{at}: {found} instead of {expected}")),
    }
}

/// Whether a message names one of the fixture's files and a line.
fn names_a_place(message: &str, files: &BTreeSet<PathBuf>) -> bool {
    files.iter().filter(|file| is_input(file)).any(|file| {
        let name = file.file_name().expect("a file has a name").to_string_lossy();
        message.match_indices(&*name).any(|(start, _)| {
            let rest = &message[start + name.len()..];
            rest.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    })
}

/// What is wrong with `render` on a fixture, if anything is. Hashes are compared where the paths are the recorded ones.
fn mismatch(fixture: &Path, place: &Path, root: &Path, hashes: bool) -> Option<String> {
    let case = Case::read(fixture);
    let rendered = case.render(place, &["--format", "json"]);

    if let Ok(reason) = fs::read_to_string(fixture.join("rejected.txt")) {
        let files = files_below(fixture).expect("the fixture can be read");
        return match rendered {
            Ok(_) => Some(format!("accepted, where Docker Compose says: {}", reason.trim())),
            Err(message) if message.trim().is_empty() => Some("rejected without a message".to_owned()),
            Err(message) if message.starts_with("a panic") => Some(message),
            Err(message) if case.line && !names_a_place(&message, &files) => {
                Some(format!("the message names no file and line: {}", message.trim()))
            }
            Err(_) => None,
        };
    }

    let Ok(expected) = fs::read(fixture.join("expected.json")) else {
        return Some("nothing is recorded for this fixture".to_owned());
    };
    let expected: Value = serde_json::from_slice(&expected).expect("expected.json is JSON");
    let text = match rendered {
        Ok(text) => text,
        Err(message) => return Some(format!("rejected: {}", message.trim())),
    };
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let text = text.replace(&path(place), "@ROOT@").replace(&path(root), "@FIXTURES@");
    let found: Value = match serde_json::from_str(&text) {
        Ok(found) => found,
        Err(error) => return Some(format!("the output is no JSON: {error}")),
    };
    if let Some(difference) = difference("", &expected, &found) {
        return Some(difference);
    }

    let expected = fs::read_to_string(fixture.join("hashes.txt")).ok().filter(|_| hashes)?;
    match case.render(place, &["--hash"]) {
        Ok(found) => {
            let found: BTreeSet<&str> = found.lines().collect();
            let missing = expected.lines().find(|line| !found.contains(line));
            let missing = missing.map(|line| format!("the hash is not `{line}` but one of {found:?}"));
            let count = expected.lines().count();
            missing.or_else(|| (found.len() != count).then(|| format!("{} hashes instead of {count}", found.len())))
        }
        Err(message) => Some(format!("no hashes: {}", message.trim())),
    }
}

/// The folders of the fixtures by their names, which are GROUP/NAME.
fn fixtures() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let only = std::env::var("FIXTURES").unwrap_or_default();
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).expect("the fixtures can be read");
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect()
    };
    let all = folders(&root).into_iter().flat_map(|group| folders(&group));
    let name = |folder: &Path| folder.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
    all.map(|folder| (name(&folder), folder)).filter(|(name, _)| name.contains(&only)).collect()
}

#[test]
fn every_fixture_reads_as_docker_compose_reads_it() {
    let fixtures: Vec<(String, PathBuf)> = fixtures().into_iter().collect();
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().canonicalize().unwrap();
    let next = AtomicUsize::new(0);

    let work = || {
        let mut bad = Vec::new();
        while let Some((name, fixture)) = fixtures.get(next.fetch_add(1, Ordering::Relaxed)) {
            let recorded = Path::new(STAGE);
            let fixed = stage(fixture, &recorded.join(name)).is_ok();
            let root = if fixed { recorded } else { &elsewhere };
            if !fixed {
                stage(fixture, &root.join(name)).expect("a temporary folder can be written");
            }
            bad.extend(mismatch(fixture, &root.join(name), root, fixed).map(|what| (name, what)));
        }
        bad
    };
    let mut bad: Vec<_> = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    bad.sort();

    let mut report = format!("{} of {} fixtures differ\n", bad.len(), fixtures.len());
    for (name, what) in bad.iter().take(DETAILED) {
        writeln!(report, "{name}\n    {}", what.replace('\n', "\n    ")).unwrap();
    }
    for (name, _) in bad.iter().skip(DETAILED) {
        writeln!(report, "{name}").unwrap();
    }
    assert!(bad.is_empty(), "{report}");
}

/// Fixtures whose YAML is not read again as the same, and why: Compose's is not either.
const ONE_WAY: [&str; 4] = [
    // A limit of 0 is printed as an empty mapping.
    "attributes/service.ulimits",
    // Keys are not interpolated, and so a dollar sign in one is not taken back.
    "rules/interpolation.keys",
    // Two entries for one port, which are one when they are read.
    "rules/merge.ports_long",
    // It names a service of a profile that is not enabled, which is left out.
    "rules/profiles.dependency",
];

#[test]
fn what_is_printed_as_yaml_is_read_again_as_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let mut wrong = String::new();
    for group in ["attributes", "rules"] {
        for entry in fs::read_dir(root.join(group)).unwrap() {
            let folder = entry.unwrap().path();
            let name = format!("{group}/{}", folder.file_name().unwrap().to_string_lossy());
            if ONE_WAY.contains(&name.as_str()) || folder.join("rejected.txt").exists() {
                continue;
            }
            let case = Case::read(&folder);
            let Ok(json) = case.render(&folder, &["--format", "json"]) else { continue };
            let yaml = case.render(&folder, &["--format", "yaml"]).unwrap();
            let again = tempfile::tempdir().unwrap();
            fs::write(again.path().join("compose.yaml"), &yaml).unwrap();
            let variables = [("COMPOSE_PROFILES".to_owned(), "*".to_owned())].into();
            let whole = Case { files: vec!["compose.yaml".into()], variables, arguments: Vec::new(), line: true };
            let same = whole.render(again.path(), &["--format", "json"]).map(|read| read == json);
            if same != Ok(true) {
                let _ = writeln!(wrong, "{name}: {same:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn however_a_manifest_is_named_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.yaml"), "services: {a: {image: x, volumes: ['./data:/data']}}\n").unwrap();
    let render = |path: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        let output = command.args(["render", path]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = folder.path().join("app.yaml").display().to_string();
    let text = render("app.yaml");
    assert!(text.contains(&folder.path().join("data").display().to_string()), "{text}");
    assert_eq!((render("./app.yaml"), render(&whole), render(".")), (text.clone(), text.clone(), text));
}

#[test]
fn nobody_has_to_read_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let services: String = (0..2_000).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    fs::write(folder.path().join("compose.yaml"), format!("services:\n{services}")).unwrap();
    for arguments in ["render", "render --hash", "schema manifest"] {
        let script = format!("{} {arguments} 2>&1 >/dev/full | head -1", env!("CARGO_BIN_EXE_evenkeel"));
        let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("panicked"), "{arguments}: {said}");
    }
}
