//! How edits are found.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use crate::support::{Controller, SOON, World, wait_until};

/// A manifest about which nothing is done: it is only read.
fn quiet(generation: u32) -> String {
    format!(
        "x-evenkeel: {{suspend: true}}\nservices: {{web: {{image: IMAGE, environment: {{G: \"{generation}\"}}}}}}\n"
    )
}

fn loads(controller: &Controller, project: &str) -> usize {
    controller.events(project, "RevisionLoaded").len()
}

#[test]
fn the_rescan_alone_finds_an_edit() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, super::ONE);
    let controller =
        world.controller().env("EVENKEEL_MANIFESTS_WATCH", "false").env("EVENKEEL_MANIFESTS_RESCAN", "1s").start();
    controller.converged(&shop);
    let revision = controller.revision(&shop);
    world.write(&shop, "services: {web: {image: IMAGE, network_mode: none, environment: {A: \"1\"}}}\n");
    controller.converged_anew(&shop, &revision);
}

#[test]
fn the_watcher_alone_finds_an_edit_a_new_manifest_and_a_removed_one() {
    let Some(world) = World::new() else { return };
    let (shop, nested) = (world.project("shop"), world.project("nested"));
    world.write(&shop, super::ONE);
    let controller = world.controller().env("EVENKEEL_MANIFESTS_RESCAN", "1h").start();
    controller.converged(&shop);
    let revision = controller.revision(&shop);
    world.write(&shop, "services: {web: {image: IMAGE, network_mode: none, environment: {A: \"1\"}}}\n");
    controller.converged_anew(&shop, &revision);
    // In folders that were not there when the watching began.
    let folder = world.manifests().join("team/nested");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("compose.yaml"), world.text(&nested, super::ONE)).unwrap();
    wait_until(SOON, "the new one runs", || world.engine.running(&nested) == 1);
    fs::remove_dir_all(world.manifests().join("team")).unwrap();
    wait_until(SOON, "the removed one is gone", || world.engine.containers(&nested).is_empty());
}

#[test]
fn a_rename_over_and_a_slow_writer_cause_one_reload_each() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, &quiet(1));
    let controller = world.controller().env("EVENKEEL_MANIFESTS_RESCAN", "1h").start();
    wait_until(SOON, "it is read", || loads(&controller, &shop) == 1);
    let revision = controller.revision(&shop);
    world.write(&shop, &quiet(2));
    wait_until(SOON, "the rename is read", || controller.revision(&shop) != revision);
    assert_eq!(loads(&controller, &shop), 2);

    let revision = controller.revision(&shop);
    let text = world.text(&shop, &quiet(3));
    let mut file = fs::File::create(world.path(&shop)).unwrap();
    for part in text.as_bytes().chunks(text.len() / 5) {
        file.write_all(part).unwrap();
        // A writer that takes its time, though less than what counts as quiet.
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(file);
    wait_until(SOON, "the rewritten file is read", || controller.revision(&shop) != revision);
    assert_eq!(loads(&controller, &shop), 3);
    assert!(controller.events(&shop, "ManifestInvalid").is_empty());
}

#[test]
fn a_checkout_of_many_files_causes_one_reload_and_the_commit_is_shown() {
    let Some(world) = World::new() else { return };
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(world.manifests()).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]);
        let output = command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch", "one"]);
    let projects: Vec<String> = (0..20).map(|n| world.project(&format!("p{n}"))).collect();
    for (branch, generation) in [("one", 1), ("two", 2)] {
        if branch == "two" {
            git(&["checkout", "--quiet", "-b", branch]);
        }
        for project in &projects {
            world.write(project, &quiet(generation));
        }
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", branch]);
    }
    let controller = world.controller().env("EVENKEEL_MANIFESTS_RESCAN", "1h").start();
    wait_until(SOON, "all are read", || projects.iter().all(|p| loads(&controller, p) == 1));
    let revisions: Vec<_> = projects.iter().map(|p| controller.revision(p)).collect();
    assert_eq!(controller.get("/api/projects")["commit"], git(&["rev-parse", "HEAD"]).as_str());
    assert_eq!(controller.project(&projects[0])["commit"], git(&["rev-parse", "HEAD"]).as_str());

    git(&["checkout", "--quiet", "one"]);
    wait_until(SOON, "all are read again", || {
        projects.iter().zip(&revisions).all(|(project, before)| controller.revision(project) != *before)
    });
    for project in &projects {
        assert_eq!(loads(&controller, project), 2);
        assert!(controller.events(project, "ManifestInvalid").is_empty());
    }
    let head = git(&["rev-parse", "HEAD"]);
    wait_until(SOON, "the new commit is shown", || {
        controller.get("/api/projects")["commit"] == head.as_str()
            && controller.project(&projects[0])["commit"] == head.as_str()
    });
}

#[test]
fn two_manifests_of_one_name_are_refused_and_what_ran_goes_on() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, super::ONE);
    let controller = world.run();
    controller.converged(&shop);
    let web = world.engine.container(&shop, "web");
    fs::write(world.manifests().join("second.yaml"), world.text(&shop, "services: {other: {image: IMAGE}}\n")).unwrap();
    wait_until(SOON, "both are refused", || controller.project(&shop)["manifest_valid"] == false);
    let diagnostics = controller.project(&shop)["diagnostics"].to_string();
    assert!(diagnostics.contains("second.yaml") && diagnostics.contains(&format!("{shop}.yaml")), "{diagnostics}");
    fs::remove_file(world.manifests().join("second.yaml")).unwrap();
    controller.converged(&shop);
    let containers = world.engine.containers(&shop);
    assert!(containers.len() == 1 && containers[0].id == web.id && containers[0].is_running(), "{containers:?}");
}
