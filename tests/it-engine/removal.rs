//! What the manifests name no longer goes; data stays.

use std::time::{Duration, Instant};

use crate::support::{SOON, World, wait_until};

#[test]
fn a_project_whose_manifest_is_removed_goes_with_its_networks_and_its_volumes_stay() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    world.write(
        &shop,
        "services:\n  db: {image: IMAGE, volumes: [\"data:/data\"]}\n  web: {image: IMAGE, depends_on: [db]}\nvolumes: {data: {}}\n",
    );
    world.write(&other, super::ONE);
    let controller = world.run();
    controller.converged(&shop);
    controller.converged(&other);
    let kept = world.engine.container(&other, "web");
    let removed = Instant::now();
    world.delete(&shop);
    wait_until(SOON, "its containers and networks are gone", || {
        world.engine.containers(&shop).is_empty() && world.engine.networks(&shop).is_empty()
    });
    assert!(removed.elapsed() >= Duration::from_secs(1), "not before a second reading");
    assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")]);
    wait_until(SOON, "it is forgotten", || {
        controller.answer(&format!("/api/projects/{shop}")).is_some_and(|(status, _)| status == 404)
    });
    let still = world.engine.container(&other, "web");
    assert!(still.id == kept.id && still.is_running());
    world.expect_nothing_to_do();

    world.write(&shop, "services: {db: {image: IMAGE, volumes: [\"data:/data\"]}}\nvolumes: {data: {}}\n");
    wait_until(SOON, "it comes back over its old data", || world.engine.running(&shop) == 1);
    assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")]);
}

#[test]
fn a_manifest_that_was_removed_while_nobody_looked_is_noticed_at_the_start() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    for project in [&shop, &other] {
        world.write(project, super::ONE);
    }
    let mut controller = world.run();
    controller.converged(&shop);
    controller.converged(&other);
    controller.terminate();
    world.delete(&shop);
    controller.restart();
    wait_until(SOON, "its containers are gone", || world.engine.containers(&shop).is_empty());
    assert_eq!(world.engine.running(&other), 1);
}

#[test]
fn a_service_that_the_manifest_names_no_longer_goes_after_a_second_reading() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let (web, worker) =
        ("  web: {image: IMAGE, network_mode: none}\n", "  worker: {image: IMAGE, network_mode: none}\n");
    world.write(&shop, &format!("services:\n{web}{worker}"));
    let controller = world.run();
    controller.converged(&shop);
    let kept = world.engine.container(&shop, "web").id;
    let edited = Instant::now();
    world.write(&shop, &format!("services:\n{web}"));
    wait_until(SOON, "a second reading is waited for", || {
        controller.metric("waiting", &[("project", &shop), ("reason", "second_look")]) == Some(1.0)
    });
    wait_until(SOON, "it is gone", || world.engine.containers(&shop).len() == 1);
    assert!(edited.elapsed() >= Duration::from_secs(1), "gone after {:?}", edited.elapsed());
    assert_eq!(world.engine.container(&shop, "web").id, kept);
    controller.converged(&shop);
    world.expect_nothing_to_do();
}

#[test]
fn fewer_replicas_go_from_the_highest_number_and_more_come_beside_the_others() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let scale = |replicas: u32| {
        let text =
            format!("services: {{web: {{image: IMAGE, network_mode: none, deploy: {{replicas: {replicas}}}}}}}\n");
        world.write(&shop, &text);
    };
    scale(3);
    let controller = world.run();
    wait_until(SOON, "three run", || world.engine.running(&shop) == 3);
    controller.converged(&shop);
    let before = world.engine.containers(&shop);
    let names: Vec<_> = before.iter().map(|c| c.name.clone()).collect();
    assert_eq!(names, [1, 2, 3].map(|n| format!("{shop}-web-{n}")));
    let revision = controller.revision(&shop);
    scale(1);
    controller.converged_anew(&shop, &revision);
    wait_until(SOON, "one is left", || world.engine.containers(&shop).len() == 1);
    assert_eq!(world.engine.containers(&shop)[0].id, before[0].id);
    let revision = controller.revision(&shop);
    scale(2);
    controller.converged_anew(&shop, &revision);
    let after = world.engine.containers(&shop);
    assert_eq!((after.len(), &after[0].id, &after[1].name), (2, &before[0].id, &format!("{shop}-web-2")));
    world.expect_nothing_to_do();
}
