//! The schemas in `schemas/`: up to date, valid, and true of what comes with the source and of what the controller says.

use std::path::{Path, PathBuf};

use evenkeel::schemas::Document;
use evenkeel::settings::Settings;
use serde_json::{Value, json};

use super::api::house::{BROKEN, House, OTHER, SHOP};
use super::program::evenkeel;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A check of documents against schemas, with as much of draft-07 as ours use: another keyword is a mistake.
struct Checker<'s> {
    root: &'s Value,
    found: Vec<String>,
}

/// What a schema may hold that says nothing about a value.
const SILENT: [&str; 7] = ["$schema", "$ref", "definitions", "title", "description", "default", "format"];

impl Checker<'_> {
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut trial = Checker { root: self.root, found: Vec::new() };
        trial.check(schema, value, "");
        trial.found.is_empty()
    }

    fn wrong(&mut self, path: &str, what: String) {
        self.found.push(format!("{}: {what}", if path.is_empty() { "/" } else { path }));
    }

    fn check(&mut self, schema: &Value, value: &Value, path: &str) {
        if let Some(reference) = schema.get("$ref") {
            let pointer = reference.as_str().unwrap().trim_start_matches('#');
            let target = self.root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
            return self.check(target, value, path);
        }
        let keywords = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return self.wrong(path, "nothing may stand here".into()),
            _ => schema.as_object().unwrap(),
        };
        for (keyword, said) in keywords {
            match keyword.as_str() {
                "type" => {
                    let types = said.as_array().cloned().unwrap_or_else(|| vec![said.clone()]);
                    if !types.iter().any(|t| is_a(value, t.as_str().unwrap())) {
                        self.wrong(path, format!("{value} is no {said}"));
                    }
                }
                "enum" if !said.as_array().unwrap().contains(value) => {
                    self.wrong(path, format!("{value} is none of {said}"));
                }
                "const" if said != value => self.wrong(path, format!("{value} is not {said}")),
                "pattern" => {
                    if let Some(text) = value.as_str()
                        && !pattern(said).is_match(text)
                    {
                        self.wrong(path, format!("{value} does not match {said}"));
                    }
                }
                "minimum" if value.as_f64().is_some_and(|n| n < said.as_f64().unwrap()) => {
                    self.wrong(path, format!("{value} is less than {said}"));
                }
                "maximum" if value.as_f64().is_some_and(|n| n > said.as_f64().unwrap()) => {
                    self.wrong(path, format!("{value} is more than {said}"));
                }
                "minItems"
                    if value.as_array().is_some_and(|l| l.len() < usize::try_from(said.as_u64().unwrap()).unwrap()) =>
                {
                    self.wrong(path, "too few".into());
                }
                "maxItems"
                    if value.as_array().is_some_and(|l| l.len() > usize::try_from(said.as_u64().unwrap()).unwrap()) =>
                {
                    self.wrong(path, "too many".into());
                }
                "items" => {
                    for (n, element) in value.as_array().into_iter().flatten().enumerate() {
                        let schema = said.as_array().map_or(Some(said), |tuple| tuple.get(n));
                        if let Some(schema) = schema {
                            self.check(schema, element, &format!("{path}/{n}"));
                        }
                    }
                }
                "uniqueItems" => {
                    let list = value.as_array().map_or(&[][..], Vec::as_slice);
                    if said == true && list.iter().enumerate().any(|(n, element)| list[..n].contains(element)) {
                        self.wrong(path, "something stands in the list twice".into());
                    }
                }
                "required" => {
                    for key in said.as_array().unwrap() {
                        if value.is_object() && value.get(key.as_str().unwrap()).is_none() {
                            self.wrong(path, format!("{key} is missing"));
                        }
                    }
                }
                "properties" | "patternProperties" | "additionalProperties" => {}
                "allOf" => said.as_array().unwrap().iter().for_each(|s| self.check(s, value, path)),
                "anyOf" | "oneOf" => {
                    let count = said.as_array().unwrap().iter().filter(|s| self.fits(s, value)).count();
                    if count == 0 || (count > 1 && keyword == "oneOf") {
                        self.wrong(path, format!("{value} fits {count} of the alternatives"));
                    }
                }
                "enum" | "const" | "minimum" | "maximum" | "minItems" | "maxItems" => {}
                silent => assert!(SILENT.contains(&silent), "the check does not know `{silent}`"),
            }
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            self.property(schema, key, inner, &format!("{path}/{key}"));
        }
    }

    fn property(&mut self, schema: &Value, key: &str, value: &Value, path: &str) {
        let mut known = false;
        if let Some(schema) = schema["properties"].get(key) {
            known = true;
            self.check(schema, value, path);
        }
        for (regex, schema) in schema["patternProperties"].as_object().into_iter().flatten() {
            if pattern(&Value::String(regex.clone())).is_match(key) {
                known = true;
                self.check(schema, value, path);
            }
        }
        if let (false, Some(schema)) = (known, schema.get("additionalProperties")) {
            self.check(schema, value, path);
        }
    }
}

fn pattern(regex: &Value) -> regex_lite::Regex {
    regex_lite::Regex::new(regex.as_str().unwrap()).unwrap_or_else(|e| panic!("{regex}: {e}"))
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}

fn mistakes(document: Document, value: &Value) -> Vec<String> {
    let schema = document.schema();
    let mut checker = Checker { root: &schema, found: Vec::new() };
    checker.check(&schema, value, "");
    checker.found
}

#[track_caller]
fn accepts(document: Document, what: &str, value: &Value) {
    let found = mistakes(document, value);
    assert!(found.is_empty(), "{what}\n{}", found.join("\n"));
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(path);
        }
    }
}

/// Manifests, examples and settings files that come with the source.
fn shipped() -> Vec<(PathBuf, Document)> {
    let mut files = Vec::new();
    yaml_files(&root().join("manifests"), &mut files);
    yaml_files(&root().join("examples"), &mut files);
    let kind = |path: &PathBuf| if path.ends_with("evenkeel.yaml") { Document::Settings } else { Document::Manifest };
    files.into_iter().map(|path| (path.clone(), kind(&path))).collect()
}

#[test]
fn the_files_are_what_the_program_prints() {
    let mut old = Vec::new();
    for document in Document::ALL {
        let path = root().join("schemas").join(format!("{}.schema.json", document.name()));
        if std::fs::read_to_string(&path).unwrap_or_default() == document.text() {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, document.text()).unwrap();
        } else {
            old.push(format!("schemas/{}.schema.json", document.name()));
        }
    }
    assert!(
        old.is_empty(),
        "out of date: {}. `UPDATE_EXPECT=1 cargo test --test it schemas::` writes them anew; look at the difference",
        old.join(", ")
    );
}

#[test]
fn they_are_draft_07_and_every_reference_and_pattern_in_them_is_good() {
    fn look(root: &Value, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    match (key.as_str(), inner) {
                        ("$ref", Value::String(to)) => {
                            assert!(root.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
                        }
                        ("pattern", Value::String(_)) => drop(pattern(inner)),
                        ("required", Value::Array(keys)) => {
                            for key in keys.iter().map(|k| k.as_str().unwrap()) {
                                assert!(map["properties"].get(key).is_some(), "{key} is required and not described");
                            }
                        }
                        _ => look(root, inner),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| look(root, inner)),
            _ => {}
        }
    }
    for document in Document::ALL {
        let schema = document.schema();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        look(&schema, &schema);
    }
}

#[test]
fn what_comes_with_the_source_fits() {
    let shipped = shipped();
    assert!(shipped.len() >= 4, "{shipped:?}");
    for (path, document) in shipped {
        accepts(document, &path.display().to_string(), &yaml(&std::fs::read_to_string(&path).unwrap()));
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, settings) = readme.split_once("## Settings").unwrap();
    let settings = settings.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
    accepts(Document::Settings, "README.md", &yaml(settings));
    accepts(Document::Settings, "the defaults", &serde_json::to_value(Settings::default()).unwrap());
}

#[test]
fn what_comes_with_the_source_names_its_schema_in_the_first_line() {
    for (path, document) in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let up = path.parent().unwrap().strip_prefix(root()).unwrap().components().count();
        let expected =
            format!("# yaml-language-server: $schema={}schemas/{}.schema.json", "../".repeat(up), document.name());
        assert_eq!(first, expected, "{}", path.display());
    }
}

#[test]
fn a_mistake_in_a_manifest_does_not_fit() {
    let fits = |text: &str| mistakes(Document::Manifest, &yaml(text)).is_empty();
    for good in [
        "services: {a: {image: x, ports: [80, '${P}:80', {target: 80}], read_only: '${RO}', x-mine: 1}}",
        "services: {a: {depends_on: {b: {condition: '${C}'}}, cgroup: '$CG', oom_score_adj: '${X}'}}",
        "x-evenkeel: {suspend: true, depends_on: [infra], prune: {orphans: yes}, drift: report}\nservices: {}",
        "services: {a: {x-evenkeel: {type: job, health: {http: {port: 1, status: [200, '300-399']}}}, gpus: all}}",
        "networks: {a: , b: {external: true}}\nvolumes: {c: }\nx-evenkeel:",
    ] {
        assert_eq!(mistakes(Document::Manifest, &yaml(good)), [""; 0], "{good}");
    }
    for bad in [
        "services: {a: {imag: x}}",
        "services: {a: {x-evenkeel: {health: {http: {port: 1, more: 2}}}}}",
        "service: {}",
        "services: {'a b': {image: x}}",
        "services: {a: {depends_on: {b: {condition: healthy}}}}",
        "services: {a: {depends_on: {b: {restart: true}}}}",
        "services: {a: {oom_score_adj: 2000}}",
        "services: {a: {ports: [80, 80]}}",
        "services: {a: {command: {x: y}}}",
        "services: {a: {x-evenkeel: {typ: job}}}",
        "x-evenkeel: {prune: {orphan: true}}",
        "x-evenkeel: {depends_on: [A]}",
    ] {
        assert!(!fits(bad), "{bad}");
    }
}

#[test]
fn a_mistake_in_the_settings_does_not_fit() {
    for (bad, good) in [
        (json!({"reconcile": {"paralel": 3}}), json!({"reconcile": {"parallel": 3}})),
        (json!({"reconcile": {"parallel": 0}}), json!({"reconcile": {"resync": "1m30s"}})),
        (json!({"reconcile": {"resync": "soon"}}), json!({"recovery": {"backoff": {"initial": "500ms"}}})),
        (json!({"metrics": {"namespace": "a-b"}}), json!({"metrics": {"namespace": "a_b"}})),
    ] {
        accepts(Document::Settings, "good", &good);
        assert!(!mistakes(Document::Settings, &bad).is_empty(), "{bad}");
    }
}

#[tokio::test]
async fn what_a_controller_says_fits() {
    let house = House::converged(&[SHOP, OTHER]).await;
    house.engine.exit("shop-web-1", 3);
    house.read(&[BROKEN]);
    house.until("the mistake", |s| s.projects.values().any(|p| !p.manifest_valid)).await;
    let status = house.status().await;
    assert_eq!(status["projects"].as_array().unwrap().len(), 3);
    accepts(Document::Status, "status", &status);
    accepts(Document::Status, "/api/projects", &house.get("/api/projects").await.json());

    let events = house.get("/api/events?limit=1000").await.json();
    let events = events["events"].as_array().unwrap();
    assert!(events.len() > 3, "{events:?}");
    events.iter().for_each(|event| accepts(Document::Event, "event", event));
}

#[tokio::test]
async fn what_a_controller_says_of_an_engine_that_is_away_fits() {
    let house = House::open(&[SHOP], true);
    house.until("the project", |s| !s.projects.is_empty()).await;
    accepts(Document::Status, "status", &house.status().await);
}

#[test]
fn what_a_rehearsal_tells_fits() {
    let manifests = root().join("manifests").display().to_string();
    let mut command = evenkeel(root());
    command.args(["rehearse", &manifests, "--format", "json", "--fault", "reboot@30s", "--fault", "kill:migrate@1m"]);
    let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    accepts(Document::Rehearsal, "rehearsal", &told);
}
