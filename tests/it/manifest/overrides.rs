//! What an override file does to the file below it.

use expect_test::expect;

use super::loading::{load, project};
use evenkeel::model::{Project, Service};

fn merged(base: &str, over: &str) -> Project {
    project(&[("shop/compose.yaml", base), ("shop/compose.override.yaml", over)], &[])
}

fn service(base: &str, over: &str) -> Service {
    let indent = |text: &str| format!("services: {{a: {{image: x, {text}}}}}");
    let over = format!("services: {{a: {{{over}}}}}");
    merged(&indent(base), &over).services["a"].clone()
}

#[test]
fn scalars_are_replaced_and_mappings_merged() {
    let merged = service(
        "user: one, labels: {a: 1, b: 1}, environment: [A=1, B=1]",
        "user: two, labels: [b=2], environment: {B: 2, C: 2}",
    );
    assert_eq!(merged.user.as_deref(), Some("two"));
    assert_eq!(format!("{:?}", merged.labels), r#"{"a": "1", "b": "2"}"#);
    assert_eq!(format!("{:?}", merged.environment), r#"{"A": Some("1"), "B": Some("2"), "C": Some("2")}"#);
}

#[test]
fn commands_are_replaced_as_a_whole() {
    let merged = service("command: [a, b], entrypoint: e", "command: c");
    assert_eq!(merged.command.unwrap(), ["c"]);
    assert_eq!(merged.entrypoint.unwrap(), ["e"]);
}

#[test]
fn lists_grow_without_doubles() {
    let merged =
        service("cap_add: [A, B], dns: 1.1.1.1, expose: [80]", "cap_add: [B, C], dns: [8.8.8.8], expose: ['80', '81']");
    assert_eq!(merged.cap_add, ["A", "B", "C"]);
    assert_eq!(merged.dns, ["1.1.1.1", "8.8.8.8"]);
    assert_eq!(merged.expose, ["80", "81"]);
}

#[test]
fn ports_are_one_for_each_address_and_pair() {
    let merged = service("ports: ['8080:80', '127.0.0.1:90:90']", "ports: ['8081:80', '8080:80']");
    let ports: Vec<_> =
        merged.ports.iter().map(|p| format!("{}:{}", p.published.as_deref().unwrap_or("-"), p.target)).collect();
    assert_eq!(ports, ["8080:80", "90:90", "8081:80"]);
}

#[test]
fn a_mount_replaces_the_one_at_its_target() {
    let base = "services: {a: {image: x, volumes: ['one:/d', 'one:/e']}}\nvolumes: {one: , two: }";
    let merged = merged(base, "services: {a: {volumes: ['two:/d:ro']}}");
    let mounts: Vec<_> =
        merged.services["a"].mounts.iter().map(|m| format!("{:?} {} {}", m.source, m.target, m.read_only)).collect();
    expect![[r#"
        [
            "Volume { key: \"two\" } /d true",
            "Volume { key: \"one\" } /e false",
        ]"#]]
    .assert_eq(&format!("{mounts:#?}"));
}

#[test]
fn dependencies_and_networks_are_merged_by_name() {
    let base = "services: {a: {image: x, depends_on: [b]}, b: {image: x}, c: {image: x}}";
    let over = "services: {a: {depends_on: {b: {condition: service_healthy}, c: {condition: service_started}}}}";
    let merged = merged(base, over);
    let conditions: Vec<_> =
        merged.services["a"].depends_on.iter().map(|(n, d)| format!("{n} {}", d.condition.as_str())).collect();
    assert_eq!(conditions, ["b service_healthy", "c service_started"]);
}

#[test]
fn reset_takes_away_and_override_replaces() {
    let base = "services: {a: {image: x, ports: ['80:80'], environment: {A: 1, B: 1}, command: run, cap_add: [A]}}";
    let over = "services: {a: {ports: !reset [], environment: {A: !reset null}, cap_add: !override [B]}}";
    let merged = merged(base, over).services["a"].clone();
    assert!(merged.ports.is_empty());
    assert_eq!(merged.environment.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(merged.cap_add, ["B"]);
    assert!(merged.command.is_some());
}

#[test]
fn an_override_brings_services_of_its_own() {
    let merged = merged("services: {a: {image: x}}", "services: {b: {image: y}}");
    assert_eq!(merged.services.len(), 2);
    assert_eq!(merged.files.len(), 2);
}

#[test]
fn a_mistake_in_the_override_stands_there() {
    let files = [
        ("shop/compose.yaml", "services: {a: {image: x}}\n"),
        ("shop/compose.override.yaml", "services:\n  a:\n    depends_on: [zz]\n    foo: 1\n"),
    ];
    expect![[r#"
        shop/compose.override.yaml:3:18: error: `a` depends on `zz`, and there is no such service
        shop/compose.override.yaml:4:5: error: unknown key `services.a.foo`
    "#]]
    .assert_eq(&load(&files, &[]).lines());
}

#[test]
fn an_override_without_content_does_no_harm() {
    let folder = super::loading::load(
        &[("shop/compose.yaml", "services: {a: {image: x}}"), ("shop/compose.override.yaml", "# nothing yet\n")],
        &[],
    );
    assert_eq!(folder.errors(), "");
    let folder = super::loading::load(&[("shop/compose.yaml", "# nothing\n")], &[]);
    assert_eq!(folder.errors(), "shop/compose.yaml:1:1: error: compose.yaml is empty\n");
}
