//! Each state that a metric tells of is brought about, and the metric read.

use crate::support::{SOON, World, wait_until};

#[test]
fn metrics_tell_of_each_state_as_it_comes_about() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let text = "services:\n  db: {image: IMAGE, network_mode: none}\n  web: {image: IMAGE, network_mode: none, \
                x-evenkeel: {type: web, critical: true}}\n";
    world.write(&shop, text);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let of_project = [("project", shop.as_str())];
    let id = format!("{shop}.web");
    let of_web = [("service_id", id.as_str()), ("service_name", "web"), ("service_type", "web"), ("critical", "true")];
    let metric = |name: &str, labels: &[(&str, &str)]| controller.metric(name, labels);
    assert_eq!(metric("converged", &of_project), Some(1.0));
    assert_eq!(metric("manifest_valid", &of_project), Some(1.0));
    assert_eq!(metric("engine_up", &[]), Some(1.0));
    assert_eq!(metric("waiting", &of_project), None, "nothing waits");
    assert_eq!(metric("drift_fields", &of_project), Some(0.0));
    assert_eq!(metric("service_restarts_total", &of_web), Some(0.0));
    assert_eq!(metric("service_health_status", &of_web), Some(1.0));
    let steps = |action: &str| metric("steps_total", &[("project", &shop), ("action", action), ("result", "ok")]);
    assert_eq!((steps("create_container"), steps("start_container")), (Some(2.0), Some(2.0)));
    assert_eq!(metric("reconcile_duration_seconds_count", &of_project), Some(1.0));
    assert!(metric("reconcile_duration_seconds_sum", &of_project).is_some_and(|sum| sum > 0.0));
    assert!(metric("last_converged_timestamp_seconds", &of_project).is_some_and(|at| at > 1.6e9));

    // A restart.
    world.engine.kill(&world.engine.container(&shop, "web").id);
    wait_until(SOON, "the restart is counted", || metric("service_restarts_total", &of_web) == Some(1.0));
    controller.converged(&shop);
    assert!(metric("reconcile_duration_seconds_count", &of_project).is_some_and(|count| count >= 2.0));

    // A step that fails, and what waits for its next attempt.
    let revision = controller.revision(&shop);
    world.write(&shop, &format!("{text}  bad: {{image: \"127.0.0.1:9/none:1\"}}\n"));
    wait_until(SOON, "the backoff is shown", || {
        metric("waiting", &[("project", &shop), ("reason", "backoff")]).is_some_and(|count| count >= 1.0)
    });
    assert_eq!(metric("converged", &of_project), Some(0.0));
    let failed = [("project", shop.as_str()), ("action", "pull_image"), ("result", "error")];
    assert!(metric("steps_total", &failed).is_some_and(|count| count >= 1.0));
    let bad = format!("{shop}.bad");
    assert_eq!(metric("service_health_status", &[("service_id", &bad)]), Some(3.0));
    assert_ne!(controller.revision(&shop), revision);

    // What waits for a dependency.
    world.write(
        &shop,
        &text
            .replace(
                "db: {",
                "db: {healthcheck: {test: [CMD, /demo-service, health], start_period: 60s, \
                 interval: 1s}, environment: {FAIL: health}, ",
            )
            .replace("web: {", "web: {environment: {A: \"1\"}, depends_on: {db: {condition: service_healthy}}, "),
    );
    wait_until(SOON, "the dependency is shown", || {
        metric("waiting", &[("project", &shop), ("reason", "dependency")]) == Some(1.0)
    });

    // A service that is unhealthy.
    let check = "healthcheck: {test: [CMD, /demo-service, health], interval: 200ms, retries: 1}";
    world.write(&shop, &text.replace("web: {", &format!("web: {{environment: {{FAIL: health}}, {check}, ")));
    wait_until(SOON, "it is unhealthy", || metric("service_health_status", &of_web) == Some(3.0));
    wait_until(SOON, "the project is not converged", || controller.project(&shop)["state"] == "degraded");
    assert_eq!(metric("converged", &of_project), Some(0.0));

    // A manifest that does not load.
    world.write(&shop, "services: [\n");
    wait_until(SOON, "it is invalid", || metric("manifest_valid", &of_project) == Some(0.0));
    assert_eq!(metric("converged", &of_project), Some(0.0));
    world.write(&shop, text);
    wait_until(SOON, "all is well", || metric("converged", &of_project) == Some(1.0));
    assert_eq!(metric("manifest_valid", &of_project), Some(1.0));

    // An Engine that is away.
    proxy.cut();
    wait_until(SOON, "it is away", || metric("engine_up", &[]) == Some(0.0));
    assert_eq!(metric("converged", &of_project), Some(0.0));
    assert_eq!(metric("service_health_status", &of_web), Some(0.0), "not known");
    proxy.restore();
    wait_until(SOON, "it is back", || metric("engine_up", &[]) == Some(1.0));
    wait_until(SOON, "all is well", || metric("converged", &of_project) == Some(1.0));
}

#[test]
fn the_namespace_of_the_metrics_is_a_setting() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, "x-evenkeel: {suspend: true}\nservices: {web: {image: IMAGE}}\n");
    let controller = world.controller().env("EVENKEEL_METRICS_NAMESPACE", "fks").start();
    let metrics = controller.metrics();
    assert_eq!(metrics.get("fks_engine_up", &[]), Some(1.0));
    assert_eq!(metrics.get("evenkeel_engine_up", &[]), None);
}
