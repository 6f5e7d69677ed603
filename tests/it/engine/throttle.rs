//! Services that use too much: seen in the Engine, and in the control group of their processes.

use std::path::PathBuf;

use serde_json::json;

use super::probes::tell;
use crate::support::{SOON, World, wait_until};

/// The CPUs that the kernel lets a container have, in thousandths.
fn quota(world: &World, id: &str) -> Option<i64> {
    let pid = world.engine.inspect(id)["State"]["Pid"].as_u64().unwrap();
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let own = |name: &str| {
        let line =
            groups.lines().find(|line| line.split(':').nth(1).is_some_and(|c| c.split(',').any(|c| c == name)))?;
        line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
    };
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    let of = |quota: &str, period: &str| {
        let (quota, period): (i64, i64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
        Some(quota * 1_000 / period)
    };
    if let Some(group) = own("cpu") {
        // The first version of control groups.
        let folder = PathBuf::from("/sys/fs/cgroup/cpu").join(group);
        return of(&read(folder.join("cpu.cfs_quota_us"))?, &read(folder.join("cpu.cfs_period_us"))?);
    }
    let text = read(PathBuf::from("/sys/fs/cgroup").join(own("")?).join("cpu.max"))?;
    let (quota, period) = text.split_once(' ')?;
    of(quota, period)
}

#[test]
fn who_uses_too_much_has_less_for_a_while_and_all_of_it_again_afterwards() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let throttle = |above: &str, to: &str| {
        format!("x-evenkeel: {{throttle: {{cpu: {{above: {above}, for: 2s, to: {to}, release: 60%}}}}}}")
    };
    world.write(
        &shop,
        &format!(
            "services:\n  limited: {{image: IMAGE, cpus: 0.2, {}}}\n  free: {{image: IMAGE, {}}}\n",
            throttle("80%", "50%"),
            throttle("5%", "2%")
        ),
    );
    let mut controller = world.run();
    controller.converged(&shop);
    let id = world.engine.container(&shop, "limited").id;
    assert_eq!(quota(&world, &id), Some(200));
    tell(&world, &id, &json!({"cpu_percent": 100}));
    wait_until(SOON, "it is throttled", || quota(&world, &id) == Some(100));
    wait_until(SOON, "that is told", || controller.events(&shop, "Throttled").len() == 1);
    controller.converged(&shop);
    let drift = world.verb(&["drift", "--format", "json"]);
    assert!(drift.out.contains("\"drift\": []"), "a throttle is no drift: {}", drift.out);
    // Nobody knows what was while nobody watched.
    controller.kill9();
    controller.restart();
    wait_until(SOON, "it is undone", || quota(&world, &id) == Some(200));
    wait_until(SOON, "it is throttled again", || quota(&world, &id) == Some(100));
    tell(&world, &id, &json!({"cpu_percent": 0}));
    wait_until(SOON, "it is released", || quota(&world, &id) == Some(200));
    assert_eq!(world.engine.container(&shop, "limited").id, id);

    // Without a limit of its own a part of the host's CPUs is meant.
    let free = world.engine.container(&shop, "free").id;
    assert_eq!(quota(&world, &free), Some(0), "none");
    tell(&world, &free, &json!({"cpu_percent": 100}));
    wait_until(SOON, "it is throttled", || quota(&world, &free).is_some_and(|quota| quota > 0));
    tell(&world, &free, &json!({"cpu_percent": 0}));
    wait_until(SOON, "it is released", || quota(&world, &free) == Some(0));
    assert_eq!(world.engine.container(&shop, "free").id, free);
    controller.converged(&shop);
    world.expect_nothing_to_do();
}

#[test]
fn who_leaks_is_started_again_before_the_kernel_ends_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services: {web: {image: IMAGE, mem_limit: 64m, x-evenkeel: {throttle: {memory: {above: 60%, for: 1s, action: restart}}}}}\n",
    );
    let controller = world.run();
    controller.converged(&shop);
    let id = world.engine.container(&shop, "web").id;
    let started = world.engine.started(&id);
    tell(&world, &id, &json!({"memory_mb": 48}));
    wait_until(SOON, "it is started again", || world.engine.started(&id) != started);
    controller.converged(&shop);
    let told = controller.events(&shop, "ServiceRestarted");
    assert!(told[0]["message"].as_str().is_some_and(|m| m.contains("more memory than it may")), "{told:?}");
    assert_ne!(world.engine.inspect(&id)["State"]["OOMKilled"], true);
}
