//! Data that has to outlive its containers.

use crate::support::{SOON, World, wait_until};

#[test]
fn an_anonymous_volume_is_handed_on_to_the_replacement() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let yaml = |generation: u32| {
        format!(
            "services: {{db: {{image: IMAGE, network_mode: none, environment: {{GENERATION: '{generation}'}}, volumes: \
             [/data]}}}}\n"
        )
    };
    world.write(&shop, &yaml(1));
    let controller = world.run();
    controller.converged(&shop);
    let mounted = || {
        let inspect = world.engine.inspect(&world.engine.container(&shop, "db").id);
        let mount = inspect["Mounts"][0].clone();
        assert_eq!(mount["Destination"], "/data");
        mount["Name"].as_str().unwrap_or_default().to_owned()
    };
    let volume = mounted();
    assert_eq!(volume.len(), 64);
    // Twice: what was handed on is handed on again.
    for generation in [2, 3] {
        let revision = controller.revision(&shop);
        world.write(&shop, &yaml(generation));
        controller.converged_anew(&shop, &revision);
        assert_eq!(mounted(), volume);
        assert_eq!(controller.project(&shop)["drift"], serde_json::json!([]));
    }
    world.expect_nothing_to_do();
    world.engine.remove(&world.engine.container(&shop, "db").id);
    wait_until(SOON, "it is made anew", || world.engine.running(&shop) == 1);
    world.engine.try_call("DELETE", &format!("/volumes/{volume}"), None);
}

#[test]
fn a_volume_that_is_gone_from_the_manifest_is_removed_only_where_that_is_said() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let with = |prune: &str| {
        format!(
            "{prune}services: {{db: {{image: IMAGE, network_mode: none, volumes: ['data:/data', 'old:/old']}}}}\nvolumes: {{data: \
             {{}}, old: {{}}}}\n"
        )
    };
    let without = |prune: &str| {
        format!(
            "{prune}services: {{db: {{image: IMAGE, network_mode: none, volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\n"
        )
    };
    let said = "x-evenkeel: {prune: {volumes: true}}\n";
    world.write(&shop, &with(""));
    let controller = world.run();
    controller.converged(&shop);
    let both = vec![format!("{shop}_data"), format!("{shop}_old")];
    let revision = controller.revision(&shop);
    world.write(&shop, &without(""));
    controller.converged_anew(&shop, &revision);
    assert_eq!(world.engine.volumes(&shop), both, "nobody said that it may go");
    world.write(&shop, &without(said));
    wait_until(SOON, "it is removed", || world.engine.volumes(&shop) == both[..1]);
    world.expect_nothing_to_do();
}
