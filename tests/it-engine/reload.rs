//! Files that are mounted by themselves and get another content: processes are told, where the manifest asks for that.

use std::fs;

use crate::support::{SOON, World, wait_until};

const HANGUP: &str = "1";

fn manifest(world: &World, reload: &str) -> String {
    let file = world.manifests().join("site.conf");
    let file = file.display();
    format!(
        "services:\n  web: {{image: IMAGE, network_mode: none, volumes: ['{file}:/etc/site.conf:ro'], x-evenkeel: {{reload: \
         {reload}}}}}\n  api: {{image: IMAGE, network_mode: none, configs: [site]}}\nconfigs: {{site: {{file: '{file}'}}}}\n"
    )
}

#[test]
fn a_process_is_sent_the_signal_it_reloads_at_and_runs_on() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let file = world.manifests().join("site.conf");
    fs::write(&file, "one").unwrap();
    world.write(&shop, &manifest(&world, "SIGHUP"));
    let mut controller = world.run();
    controller.converged(&shop);
    let web = world.engine.container(&shop, "web");
    let api = world.engine.container(&shop, "api");
    let started = world.engine.started(&web.id);
    assert_eq!(world.engine.signals(&web.id), Vec::<String>::new());

    fs::write(&file, "two").unwrap();
    wait_until(SOON, "it is told", || world.engine.signals(&web.id) == [HANGUP]);
    controller.converged(&shop);
    world.expect_nothing_to_do();

    // While nobody looks, too; but not for a new time alone.
    let _ = controller.terminate();
    fs::write(&file, "two").unwrap();
    world.expect_nothing_to_do();
    fs::write(&file, "three").unwrap();
    let drift = world.verb(&["drift"]);
    assert!(drift.out.contains("volumes./etc/site.conf.content") && drift.out.contains("signal"), "{}", drift.out);
    let plan = world.verb(&["plan"]);
    assert!(plan.code == Some(2) && plan.out.contains("send SIGHUP to web/1"), "{}{}", plan.out, plan.err);
    controller.restart();
    wait_until(SOON, "it is told again", || world.engine.signals(&web.id) == [HANGUP, HANGUP]);
    controller.converged(&shop);
    world.expect_nothing_to_do();
    assert_eq!(world.engine.started(&web.id), started, "it runs on");
    assert_eq!(world.engine.signals(&api.id), Vec::<String>::new(), "the other one did not ask for it");
}

#[test]
fn a_process_that_reads_its_files_only_once_is_started_again() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let file = world.manifests().join("site.conf");
    fs::write(&file, "one").unwrap();
    world.write(&shop, &manifest(&world, "restart"));
    let controller = world.run();
    controller.converged(&shop);
    let (web, api) = (world.engine.container(&shop, "web"), world.engine.container(&shop, "api"));
    let (web_started, api_started) = (world.engine.started(&web.id), world.engine.started(&api.id));
    fs::write(&file, "two").unwrap();
    wait_until(SOON, "it is started again", || world.engine.started(&web.id) != web_started);
    controller.converged(&shop);
    world.expect_nothing_to_do();
    assert_eq!(world.engine.container(&shop, "web").id, web.id);
    assert_eq!(world.engine.started(&api.id), api_started, "the other one did not ask for it");
}
