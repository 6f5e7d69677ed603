//! Short and long forms, anchors, merge keys, profiles: different texts that mean the same.

use std::time::Duration;

use super::loading::{load, project, service, shop};
use evenkeel::model::service::RestartPolicy;

/// Both texts give the same service, and the same hash.
#[track_caller]
fn same(short: &str, long: &str) {
    let of = |text: &str| {
        service(&format!(
            "services: {{a: {{image: x, {text}}}, b: {{image: x}}}}\nvolumes: {{data: }}\nnetworks: {{back: }}"
        ))
    };
    assert_eq!(of(short), of(long));
}

#[test]
fn short_and_long_forms_are_equal() {
    same(
        "ports: ['127.0.0.1:8080:80/udp']",
        "ports: [{target: 80, published: 8080, host_ip: 127.0.0.1, protocol: udp}]",
    );
    same("ports: [80]", "ports: [{target: 80}]");
    same("ports: ['8080-8081:80-81']", "ports: ['8080:80', '8081:81']");
    same("volumes: ['data:/d:ro']", "volumes: [{type: volume, source: data, target: /d, read_only: true, volume: {}}]");
    same("networks: [back]", "networks: {back: }");
    same("command: run 'a b' c", "command: [run, a b, c]");
    same("healthcheck: {test: check it}", "healthcheck: {test: [CMD-SHELL, check it]}");
    same("labels: [a=1]", "labels: {a: '1'}");
    same("dns: 1.1.1.1", "dns: [1.1.1.1]");
    same("ulimits: {nofile: 5}", "ulimits: {nofile: 5}");
    same("env_file: []", "env_file: []");
    same("extra_hosts: ['h:1.2.3.4']", "extra_hosts: {h: 1.2.3.4}");
    same("mem_limit: 1g", "mem_limit: 1073741824");
    same("stop_grace_period: 90s", "stop_grace_period: 1m30s");
    same("init: true", "init: 'true'");
}

#[test]
fn the_short_form_of_depends_on_waits_for_the_start() {
    same("depends_on: [b]", "depends_on: {b: {condition: service_started}}");
    same(
        "depends_on: {b: {condition: service_started, required: true}}",
        "depends_on: {b: {condition: service_started}}",
    );
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let project = shop(
        "
x-base: &base
  image: x
  environment: &env {A: 1, B: 1}
x-more: &more {user: me}
services:
  a:
    <<: [*base, *more]
    environment:
      <<: *env
      B: 2
  b: *base
",
    );
    let a = &project.services["a"];
    assert_eq!((a.image.as_str(), a.user.as_deref()), ("x", Some("me")));
    assert_eq!(format!("{:?}", a.environment), r#"{"A": Some("1"), "B": Some("2")}"#);
    assert_eq!(project.services["b"].environment.len(), 2);
}

#[test]
fn the_five_forms_of_restart_are_told_apart() {
    let of = |text: &str| service(&format!("services:\n  a:\n    image: x\n    {text}\n")).restart;
    assert_eq!(of(""), None);
    assert_eq!(of("restart: 'no'"), Some(RestartPolicy::No));
    assert_eq!(of("restart: no"), Some(RestartPolicy::No));
    assert_eq!(of("restart: always"), Some(RestartPolicy::Always));
    assert_eq!(of("restart: unless-stopped"), Some(RestartPolicy::UnlessStopped));
    assert_eq!(of("restart: on-failure"), Some(RestartPolicy::OnFailure { max: None }));
    assert_eq!(of("restart: on-failure:3"), Some(RestartPolicy::OnFailure { max: Some(3) }));
    assert_eq!(
        of("restart: always\n    deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}"),
        Some(RestartPolicy::OnFailure { max: Some(2) })
    );
    assert_eq!(of("deploy: {restart_policy: {condition: none}}"), Some(RestartPolicy::No));
}

const PROFILES: &str = "
services:
  a: {image: x}
  debug: {image: x, profiles: [debug]}
  test: {image: x, profiles: [test, debug]}
";

#[test]
fn services_of_profiles_that_are_not_enabled_are_left_out() {
    let names = |profiles: &str| {
        let project = project(&[("shop.yaml", PROFILES)], &[("COMPOSE_PROFILES", profiles)]);
        project.services.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(""), "a");
    assert_eq!(names("test"), "a test");
    assert_eq!(names("debug"), "a debug test");
    assert_eq!(names("*"), "a debug test");
}

#[test]
fn to_depend_on_a_service_that_no_profile_enables_is_a_mistake_unless_it_is_not_required() {
    let yaml = |required: bool| {
        format!(
            "services: {{a: {{image: x, depends_on: {{b: {{condition: service_started, required: {required}}}}}}}, b: {{image: x, profiles: [p]}}}}"
        )
    };
    let folder = load(&[("shop.yaml", &yaml(true))], &[]);
    assert!(folder.errors().contains("`a` depends on `b`, whose profile is not enabled"), "{}", folder.errors());
    assert_eq!(load(&[("shop.yaml", &yaml(false))], &[]).errors(), "");
}

#[test]
fn the_name_comes_from_the_file_the_folder_or_the_text() {
    let name = |path: &str, text: &str| project(&[(path, text)], &[]).name.to_string();
    let plain = "services: {a: {image: x}}";
    assert_eq!(name("My Shop.yaml", plain), "myshop");
    assert_eq!(name("group/Shop/compose.yaml", plain), "shop");
    assert_eq!(name("x.yaml", "name: other\nservices: {a: {image: x}}"), "other");
    let folder = load(&[("x/compose.yaml", plain), ("x/.env", "COMPOSE_PROJECT_NAME=named")], &[]);
    assert_eq!(folder.loaded[0].name.as_ref().unwrap().as_str(), "named");
}

#[test]
fn limits_are_read_from_either_place() {
    let a = service("services: {a: {image: x, deploy: {resources: {limits: {cpus: '0.5', memory: 64M, pids: 9}}}}}")
        .resources;
    let b = service("services: {a: {image: x, cpus: 0.5, mem_limit: 64m, pids_limit: 9}}").resources;
    assert_eq!(a, b);
    assert_eq!(
        (a.nano_cpus, a.memory, a.pids),
        (Some(500_000_000), Some(evenkeel::model::service::Bytes(64 << 20)), Some(9))
    );
}

#[test]
fn a_health_check_can_be_turned_off() {
    let check = service("services: {a: {image: x, healthcheck: {disable: true}}}").healthcheck.unwrap();
    assert!(check.disabled());
    let check = service("services: {a: {image: x, healthcheck: {test: [CMD, t], interval: 1m, retries: 2}}}")
        .healthcheck
        .unwrap();
    assert_eq!((check.interval, check.retries), (Some(Duration::from_secs(60)), Some(2)));
}
