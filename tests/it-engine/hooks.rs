//! `post_start` and `pre_stop`: commands in a container after its start and before its end.

use crate::support::{SOON, World, wait_until};

/// Counts how often it was called, in a folder of the container.
fn counts(folder: &str) -> String {
    format!(
        "{{command: [/demo-service, serve, --state-dir, {folder}, --crash-after-ms, '200', --exit-code, '0', --port, '9']}}"
    )
}

#[test]
fn hooks_are_run_after_each_start_and_before_an_end_and_a_failing_one_is_told_and_holds_dependents() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let manifest = |hook: &str| {
        format!(
            "services:\n  web: {{image: IMAGE, network_mode: none, volumes: ['/after', '/before'], post_start: [{hook}], pre_stop: \
             [{}]}}\n  after: {{image: IMAGE, network_mode: none, depends_on: [web]}}\n",
            counts("/before")
        )
    };
    world.write(&shop, &manifest("{command: [/demo-service, nonsense]}"));
    let controller = world.run();
    wait_until(SOON, "the failure is told", || {
        let told = controller.events(&shop, "StepFailed");
        told.iter().any(|e| e["message"].as_str().is_some_and(|m| m.contains("nonsense")))
    });
    assert_eq!(world.engine.running(&shop), 1, "what needs it waits");

    world.write(&shop, &manifest(&counts("/after")));
    controller.converged(&shop);
    assert_eq!(world.engine.running(&shop), 2);
    let web = world.engine.container(&shop, "web").id;
    let ran = |path: &str, times: &str| world.engine.archive(&web, path).contains(times);
    assert!(ran("/after/starts", "1\n"));
    world.engine.kill(&web);
    wait_until(SOON, "it runs again, and so do its hooks", || ran("/after/starts", "2\n"));
    controller.converged(&shop);
    world.expect_nothing_to_do();

    // What replaces it takes its anonymous volumes over, so that both can be looked at.
    world.write(&shop, &manifest(&counts("/after")).replace("web: {", "web: {environment: {A: '1'}, "));
    wait_until(SOON, "it is replaced", || {
        let now = world.engine.containers(&shop);
        now.len() == 2 && now.iter().all(|c| c.id != web && c.is_running())
    });
    controller.converged(&shop);
    let web = world.engine.container(&shop, "web").id;
    assert!(world.engine.archive(&web, "/before/starts").contains("1\n"), "before the end of the first one");
    assert!(world.engine.archive(&web, "/after/starts").contains("3\n"));
}
