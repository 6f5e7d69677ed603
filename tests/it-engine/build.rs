//! `build`: images made by the Engine's own builder.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Call, Proxy, SOON, World, docker_compose, wait_for};

/// A folder beside the manifests, with files.
fn context(world: &World, files: &[(&str, &str)]) -> String {
    let folder = world.dir().join("context");
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::write(&path, text)).unwrap();
    }
    folder.display().to_string()
}

fn builds(proxy: &Proxy) -> Vec<Call> {
    proxy.calls().into_iter().filter(|call| call.is("POST", "/build")).collect()
}

#[track_caller]
fn labels(world: &World, image: &str) -> Value {
    world.engine.call("GET", &format!("/images/{image}/json"), None)["Config"]["Labels"].clone()
}

/// Whether a container has a file.
fn has(world: &World, project: &str, path: &str) -> bool {
    let id = world.engine.container(project, "web").id;
    world.engine.try_call("HEAD", &format!("/containers/{id}/archive?path={path}"), None).0 == 200
}

const FROM_SCRATCH: &str = r#"
FROM scratch AS middle
ARG GREETING=none
ARG UNSET=default
COPY . /
LABEL greeting=$GREETING unset=$UNSET
ENTRYPOINT ["/demo-service"]
FROM middle
LABEL stage=last
"#;

#[test]
fn an_image_is_built_once_with_its_arguments_and_stage_and_compose_finds_nothing_to_do() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let folder = context(&world, &[("Dockerfile", FROM_SCRATCH)]);
    fs::copy(env!("CARGO_BIN_EXE_demo-service"), Path::new(&folder).join("demo-service")).unwrap();
    let build = format!(
        "{{context: {folder}, target: middle, args: {{GREETING: \"good day & more\", UNSET: }}, tags: [{shop}-more:2]}}"
    );
    world.write(&shop, &format!("services: {{web: {{build: {build}, network_mode: none}}}}\n"));
    let plan = world.verb(&["plan"]);
    assert!(plan.out.contains(&format!("build image {shop}-web")), "{plan:?}");
    let apply = world.verb_at(&proxy.url(), &["apply"]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    assert!(apply.out.contains(&format!("building {shop}-web")), "{}", apply.out);
    assert_eq!((world.engine.running(&shop), builds(&proxy).len()), (1, 1));
    let labels = labels(&world, &format!("{shop}-web"));
    assert_eq!((&labels["greeting"], &labels["unset"]), (&"good day & more".into(), &"default".into()), "{labels}");
    assert_eq!((&labels["stage"], &labels["com.docker.compose.image.builder"]), (&Value::Null, &"buildkit".into()));
    world.engine.call("GET", &format!("/images/{shop}-more:2/json"), None);

    let web = world.engine.container(&shop, "web");
    world.expect_nothing_to_do();
    assert_eq!(world.verb_at(&proxy.url(), &["apply"]).code, Some(0));
    assert_eq!(builds(&proxy).len(), 1);
    if let Some(program) = docker_compose() {
        let mut command = Command::new(program);
        command.arg("-f").arg(world.path(&shop)).args(["up", "-d"]).env("DOCKER_HOST", world.engine.url());
        let output = command.output().expect("docker-compose runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        world.expect_nothing_to_do();
    }
    assert_eq!(world.engine.container(&shop, "web").id, web.id);
}

#[test]
fn what_is_ignored_is_not_in_the_image_nor_is_a_dockerfile_of_the_manifest() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let files = [(".dockerignore", "*.log\n!keep.log\nsecret\n"), ("a/b.txt", "x"), ("keep.log", "x")];
    let folder = context(&world, &[&files[..], &[("drop.log", "x"), ("secret/key", "x")]].concat());
    let inline = "\"FROM IMAGE\\nCOPY . /sent/\\n\"";
    let build = format!("{{context: {folder}, dockerfile_inline: {inline}}}");
    world.write(&shop, &format!("services: {{web: {{build: {build}, network_mode: none}}}}\n"));
    let apply = world.verb(&["apply"]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    for (path, sent) in [
        ("a/b.txt", true),
        ("keep.log", true),
        (".dockerignore", true),
        ("drop.log", false),
        ("secret", false),
        ("Dockerfile", false),
    ] {
        assert_eq!(has(&world, &shop, &format!("/sent/{path}")), sent, "{path}");
    }
    let image = world.engine.call("GET", &format!("/images/{shop}-web/json"), None);
    assert_eq!(image["Config"]["Entrypoint"], serde_json::json!(["/demo-service"]));
}

#[test]
fn a_build_that_fails_says_why_is_tried_again_and_works_once_it_can() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let folder = context(&world, &[("a", "x")]);
    let write = |step: &str| {
        let inline = format!("\"FROM IMAGE\\n{step}\\n\"");
        let build = format!("{{context: {folder}, network: none, dockerfile_inline: {inline}}}");
        world.write(&shop, &format!("services: {{web: {{build: {build}, network_mode: none}}}}\n"));
    };
    write("RUN [\\\"/demo-service\\\", \\\"no-such-verb\\\"]");
    let controller = world.run_through(&proxy);
    let calls = wait_for(SOON, "three attempts", || Some(builds(&proxy)).filter(|calls| calls.len() >= 3));
    let pause = |n: usize| (calls[n].at - calls[n - 1].at).as_secs_f64();
    assert!(pause(1) >= 0.8 && pause(2) >= 1.7, "{} s, {} s", pause(1), pause(2));
    let view = controller.in_state(&shop, "web", "failed");
    let error = view["error"].to_string();
    assert!(error.contains("code") && error.contains("no-such-verb"), "{view}");
    let failures = controller.events(&shop, "StepFailed");
    assert!(failures[0]["message"].as_str().unwrap().contains(&format!("build image {shop}-web")), "{failures:?}");

    write("COPY a /a");
    controller.converged(&shop);
    assert_eq!(controller.project(&shop)["failures"], serde_json::json!({}));
    assert!(controller.log().contains(&format!("building {shop}-web")));
    assert!(has(&world, &shop, "/a"));
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let missing = world.dir().join("nowhere").display().to_string();
    world.write(&shop, &format!("services: {{web: {{build: {missing}, network_mode: none}}}}\n"));
    let controller = world.run();
    let view = controller.in_state(&shop, "web", "failed");
    assert!(view["error"].to_string().contains(&missing), "{view}");
}

#[test]
fn a_service_can_be_built_on_the_image_of_one_it_depends_on() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let folder = context(&world, &[("Dockerfile", &format!("FROM {}\nCOPY a /a\n", world.image)), ("a", "x")]);
    let inline = format!("\"FROM {shop}-base\\nCOPY a /b\\n\"");
    let web = format!("{{context: {folder}, dockerfile_inline: {inline}}}");
    world.write(
        &shop,
        &format!(
            "services:\n  base: {{build: {folder}, network_mode: none}}\n  web: {{build: {web}, network_mode: none, depends_on: [base]}}\n"
        ),
    );
    let apply = world.verb_at(&proxy.url(), &["apply"]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    assert_eq!((world.engine.running(&shop), builds(&proxy).len()), (2, 2), "{apply:?}");
    assert!(has(&world, &shop, "/a") && has(&world, &shop, "/b"));
    world.expect_nothing_to_do();
}

#[test]
fn what_only_buildkit_can_do_is_done_and_the_classic_builder_is_there_for_who_asks_for_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let step = "RUN --mount=type=tmpfs,target=/scratch [\\\"/demo-service\\\", \\\"--help\\\"]";
    let folder = context(&world, &[("a", "x")]);
    let build = format!("{{context: {folder}, network: none, dockerfile_inline: \"FROM IMAGE\\n{step}\\n\"}}");
    world.write(&shop, &format!("services: {{web: {{build: {build}, network_mode: none}}}}\n"));
    let classic = world.controller().env("DOCKER_BUILDKIT", "0").start();
    let view = classic.in_state(&shop, "web", "failed");
    assert!(view["error"].to_string().contains("BuildKit"), "{view}");
    drop(classic);

    let controller = world.run();
    controller.converged(&shop);
    assert_eq!(labels(&world, &format!("{shop}-web"))["com.docker.compose.image.builder"], "buildkit");
    assert!(controller.log().contains("RUN --mount=type=tmpfs"), "{}", controller.log());
}
