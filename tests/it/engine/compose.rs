//! Beside the real Docker Compose, where `EVENKEEL_TEST_COMPOSE` names its program.

use std::process::Command;

use crate::support::World;

const SHOP: &str = r#"
services:
  db: {image: IMAGE, volumes: ["data:/data"]}
  web: {image: IMAGE, depends_on: [db]}
volumes: {data: {}}
"#;

#[test]
fn a_project_that_compose_started_is_taken_over_without_doubles_and_handed_back() {
    let Some(program) = std::env::var_os("EVENKEEL_TEST_COMPOSE") else {
        println!("skipped: EVENKEEL_TEST_COMPOSE names no docker-compose");
        return;
    };
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, SHOP);
    let compose = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("-f").arg(world.path(&shop)).args(arguments).env("DOCKER_HOST", world.engine.url());
        let output = command.output().expect("docker-compose runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    compose(&["up", "-d"]);
    let controller = world.run();
    controller.converged(&shop);
    let names: Vec<_> = world.engine.containers(&shop).into_iter().map(|c| (c.name, c.state)).collect();
    let running = |service: &str| (format!("{shop}-{service}-1"), "running".to_owned());
    assert_eq!(names, [running("db"), running("web")]);
    assert_eq!(world.engine.networks_named(&format!("{shop}_default")), 1);
    assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")]);
    world.expect_nothing_to_do();
    drop(controller);
    let listed = compose(&["ps", "--format", "json"]);
    assert!(listed.contains(&format!("{shop}-db-1")) && listed.contains(&format!("{shop}-web-1")), "{listed}");
}
