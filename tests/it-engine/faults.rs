//! Calls that took effect though their answer says otherwise, or never came.

use crate::support::{Call, Fault, SOON, World, wait_until};

const SHOP: &str = r#"
services:
  db: {image: IMAGE, volumes: ["data:/data"]}
  web: {image: IMAGE, depends_on: [db], networks: [back, default]}
networks: {back: {}}
volumes: {data: {}}
"#;

/// Brings a project up with one call of this kind met by each fault in turn, and looks for doubles.
fn expect_no_doubles(method: &'static str, route: &'static str, faults: &[Fault]) {
    for fault in faults {
        let Some(world) = World::new() else { return };
        let (shop, proxy) = (world.project("shop"), world.proxy());
        world.write(&shop, SHOP);
        proxy.fail_next(move |call: &Call| call.is(method, route), *fault);
        let controller = world.run_through(&proxy);
        wait_until(SOON, &format!("{fault:?} struck"), || proxy.pending_faults() == 0);
        controller.converged(&shop);
        let names: Vec<_> = world.engine.containers(&shop).into_iter().map(|c| (c.name, c.state)).collect();
        let running = |service: &str| (format!("{shop}-{service}-1"), "running".to_owned());
        assert_eq!(names, [running("db"), running("web")], "{fault:?}");
        for network in ["back", "default"] {
            assert_eq!(world.engine.networks_named(&format!("{shop}_{network}")), 1, "{fault:?}: {network}");
        }
        assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")], "{fault:?}");
        assert_eq!(controller.project(&shop)["failures"], serde_json::json!({}), "{fault:?}");
        world.expect_nothing_to_do();
    }
}

const ALL: [Fault; 4] = [Fault::AnswerAfter(500), Fault::DropAfter, Fault::AnswerBefore(500), Fault::DropBefore];

#[test]
fn a_network_whose_creation_was_answered_wrongly_or_not_at_all_is_there_once() {
    expect_no_doubles("POST", "/networks/create", &ALL);
}

#[test]
fn a_container_whose_creation_was_answered_wrongly_or_not_at_all_is_there_once() {
    expect_no_doubles("POST", "/containers/create", &ALL);
}

#[test]
fn a_start_that_was_answered_wrongly_or_not_at_all_ends_well() {
    expect_no_doubles("POST", "/containers/*/start", &ALL);
}

#[test]
fn a_connection_or_volume_that_was_answered_wrongly_or_not_at_all_ends_well() {
    expect_no_doubles("POST", "/networks/*/connect", &ALL[..2]);
    expect_no_doubles("POST", "/volumes/create", &ALL[..2]);
}

#[test]
fn each_call_of_an_update_may_fail_after_its_effect() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let write = |generation: usize| {
        let environment = format!("{{GENERATION: \"{generation}\"}}");
        world.write(
            &shop,
            &format!("services: {{web: {{image: IMAGE, network_mode: none, environment: {environment}}}}}\n"),
        );
    };
    write(0);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let routes = [
        ("POST", "/containers/create"),
        ("POST", "/containers/*/stop"),
        ("POST", "/containers/*/start"),
        ("DELETE", "/containers/*"),
        ("POST", "/containers/*/rename"),
    ];
    for (n, (method, route)) in routes.into_iter().enumerate() {
        for (m, fault) in [Fault::AnswerAfter(500), Fault::DropAfter].into_iter().enumerate() {
            let revision = controller.revision(&shop);
            proxy.fail_next(move |call: &Call| call.is(method, route), fault);
            write(1 + n * 2 + m);
            controller.converged_anew(&shop, &revision);
            assert_eq!(proxy.pending_faults(), 0, "{method} {route}");
            let web = world.engine.container(&shop, "web");
            assert_eq!((web.name.as_str(), web.is_running()), (format!("{shop}-web-1").as_str(), true));
            world.expect_nothing_to_do();
        }
    }
}
