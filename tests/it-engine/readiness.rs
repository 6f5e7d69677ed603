//! Checks that the controller makes itself while somebody waits for them.

use crate::support::{SOON, World, wait_until};

/// Each waits for the one before it to be healthy; the Engine alone would take the interval for each of them.
fn chain(length: usize, interval: &str) -> String {
    let mut text = String::from("services:\n");
    for n in 0..length {
        let after = n.checked_sub(1).map(|b| format!(", depends_on: {{s{b}: {{condition: service_healthy}}}}"));
        text += &format!(
            "  s{n}: {{image: IMAGE, network_mode: none, healthcheck: {{test: [CMD, /demo-service, health], interval: \
             {interval}}}{}}}\n",
            after.unwrap_or_default()
        );
    }
    text
}

#[test]
fn a_chain_of_checks_does_not_wait_out_their_intervals() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, &chain(4, "1h"));
    let controller = world.run();
    // The Engine makes its first check in an hour.
    controller.in_state(&shop, "s3", "starting");
    wait_until(SOON, "all of them run", || world.engine.running(&shop) == 4);
    assert_eq!(world.engine.inspect(&world.engine.container(&shop, "s0").id)["State"]["Health"]["Status"], "starting");
    assert_eq!(controller.service(&shop, "s0")["health"], "healthy");
}

#[test]
fn a_check_that_does_not_pass_holds_dependents_until_it_does() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  db: {image: IMAGE, network_mode: none, environment: {START_DELAY_MS: '1500'}, healthcheck: {test: \
         [CMD, /demo-service, health], interval: 1h}}\n  web: {image: IMAGE, network_mode: none, depends_on: {db: \
         {condition: service_healthy}}}\n",
    );
    let controller = world.run();
    controller.in_state(&shop, "web", "running");
    let time = |service: &str| {
        let text = world.engine.started(&world.engine.container(&shop, service).id);
        text.parse::<evenkeel::model::Timestamp>().unwrap()
    };
    let later = time("web").duration_since(time("db")).as_secs_f64();
    assert!((1.5..20.0).contains(&later), "{later} s after what it waits for");
}
