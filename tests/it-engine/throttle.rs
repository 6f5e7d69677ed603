//! Services that use too much: seen in the Engine, and in the control group of their processes.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::probes::tell;
use crate::support::{SOON, World, wait_for, wait_until};

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
    // As the first version writes it.
    of(if quota == "max" { "-1" } else { quota }, period)
}

#[test]
fn who_uses_too_much_has_less_for_a_while_and_all_of_it_again_afterwards() {
    // It has to get the CPU time that it asks for.
    let Some(world) = World::alone() else { return };
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
    world.expect_nothing_to_do();
    // What somebody else sets is no more than that.
    world.engine.call("POST", &format!("/containers/{id}/update"), Some(&json!({"NanoCpus": 150_000_000})));
    wait_until(SOON, "it is throttled as before", || quota(&world, &id) == Some(100));
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
    assert_eq!(controller.events(&shop, "DriftDetected"), Vec::<Value>::new(), "none of that was drift");
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

/// What the kernel of a host would tell that has all its memory, and so much pressure for want of CPUs.
fn tell_pressure(proc: &Path, percent: u32) {
    std::fs::create_dir_all(proc.join("pressure")).unwrap();
    for file in ["meminfo", "stat"] {
        std::fs::copy(Path::new("/proc").join(file), proc.join(file)).unwrap();
    }
    for (what, percent) in [("cpu", percent), ("memory", 0), ("io", 0)] {
        let line = |kind: &str| format!("{kind} avg10={percent}.00 avg60=0.00 avg300=0.00 total=1\n");
        // At once, as the kernel tells it.
        let draft = proc.join("draft");
        std::fs::write(&draft, line("some") + &line("full")).unwrap();
        std::fs::rename(draft, proc.join("pressure").join(what)).unwrap();
    }
}

#[test]
fn under_pressure_the_least_important_give_first_and_get_back_last() {
    // They have to get the CPU time that they ask for.
    let Some(world) = World::alone() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  batch: {image: IMAGE, environment: {CPU_PERCENT: '30'}, x-evenkeel: {throttle: {priority: 10}}}\n  \
         web: {image: IMAGE, environment: {CPU_PERCENT: '30'}, x-evenkeel: {throttle: {priority: 90}}}\n  \
         db: {image: IMAGE, environment: {CPU_PERCENT: '30'}, x-evenkeel: {critical: true, throttle: {priority: 1}}}\n  \
         idle: {image: IMAGE, x-evenkeel: {throttle: {priority: 1}}}\n",
    );
    let proc = world.dir().join("proc");
    tell_pressure(&proc, 0);
    let controller = world
        .controller()
        .env("EVENKEEL_HOST_GUARD_ENABLED", "true")
        .env("EVENKEEL_HOST_GUARD_INTERVAL", "200ms")
        .env("EVENKEEL_HOST_GUARD_FOR", "600ms")
        .env("EVENKEEL_HOST_GUARD_PROC", proc.to_str().unwrap())
        .start();
    controller.converged(&shop);
    let id = |service: &str| world.engine.container(&shop, service).id;
    let (batch, web, db) = (id("batch"), id("web"), id("db"));
    let whose = |kind: &str| -> Vec<String> {
        let told = controller.events(&shop, kind);
        told.iter().map(|e| e["service_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    tell_pressure(&proc, 100);
    wait_until(SOON, "the least important gives", || quota(&world, &batch).is_some_and(|quota| quota > 0));
    assert_eq!(quota(&world, &web), Some(0), "the other one not yet");
    let told = wait_for(SOON, "that is told", || controller.events(&shop, "Throttled").into_iter().next());
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("cpu pressure of the host is 100 % (threshold 60 %): it may use 0."), "{message}");
    wait_until(SOON, "then the other one", || quota(&world, &web).is_some_and(|quota| quota > 0));
    assert_eq!(quota(&world, &batch), Some(50), "it has no more to give");
    assert_eq!(quota(&world, &db), Some(0), "what is critical is spared");
    assert_eq!(quota(&world, &id("idle")), Some(0), "it has nothing to give");
    let shown = |what: &str| world.verb(&["status"]).out.contains(what);
    wait_until(SOON, "that is shown", || shown("the host is hard pressed: cpu pressure of the host is 100 %"));
    wait_until(SOON, "and who gives", || shown("throttled to 0.05 CPUs"));
    let drift = world.verb(&["drift", "--format", "json"]);
    assert!(drift.out.contains("\"drift\": []"), "that is no drift: {}", drift.out);
    let label = format!("{shop}.batch");
    assert_eq!(controller.metric("throttled", &[("service_id", label.as_str())]), Some(1.0));

    // Who is suspended is left alone, and not left with less.
    assert_eq!(world.verb(&["suspend", &format!("{shop}.web")]).code, Some(0));
    wait_until(SOON, "it has its own back", || quota(&world, &web).is_some_and(|quota| quota <= 0));
    assert_eq!(world.verb(&["resume", &format!("{shop}.web")]).code, Some(0));
    wait_until(SOON, "it gives again", || quota(&world, &web).is_some_and(|quota| quota > 0));

    tell_pressure(&proc, 0);
    wait_until(SOON, "all have theirs back", || {
        [&batch, &web].iter().all(|id| quota(&world, id).is_some_and(|quota| quota <= 0))
    });
    wait_until(SOON, "that is told", || whose("Released").len() == 3);
    let expected = ["web", "web", "batch"].map(|service| format!("{shop}.{service}"));
    assert_eq!(whose("Released"), expected, "in reverse");
    controller.converged(&shop);
    assert_eq!(controller.events(&shop, "DriftDetected"), Vec::<Value>::new(), "none of that was drift");
    let eased = |e: &Value| {
        e["severity"] == "info" && e["message"].as_str().is_some_and(|m| m.contains("CPUs again, instead of 0.05"))
    };
    assert!(controller.events(&shop, "Throttled").iter().any(eased), "what is given back in part is told as that");
    world.expect_nothing_to_do();
}

#[test]
fn who_comes_near_to_its_threads_or_files_is_told_of_and_what_it_uses_is_shown() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  threads: {image: IMAGE, cpus: 0.1, pids_limit: 40}\n  files: {image: IMAGE, ulimits: {nofile: 40}}\n  \
         plain: {image: IMAGE}\n",
    );
    let controller = world.run();
    controller.converged(&shop);
    let (threads, files) = (world.engine.container(&shop, "threads").id, world.engine.container(&shop, "files").id);
    let told = |what: &str| {
        let events = controller.events(&shop, "SystemAlert");
        events.iter().any(|e| e["message"].as_str().is_some_and(|m| m.contains(what)))
    };
    tell(&world, &threads, &json!({"cpu_percent": 3_500}));
    wait_until(SOON, "the threads are told of", || told("of the 40 threads that it may have"));
    let inspected = world.engine.inspect(&files);
    assert_eq!(inspected["HostConfig"]["Ulimits"][0]["Soft"], 40, "the limit is applied");
    let pid = inspected["State"]["Pid"].as_u64().unwrap();
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let networks = inspected["NetworkSettings"]["Networks"].clone();
    let address = networks.as_object().unwrap().values().find_map(|n| n["IPAddress"].as_str()).unwrap().to_owned();
    let mut held = Vec::new();
    wait_until(SOON, "files are open", || {
        if open() < 37 {
            held.push(TcpStream::connect((address.as_str(), 8080)).unwrap());
        }
        open() >= 37
    });
    wait_until(SOON, "the files are told of", || told("of the 40 files open that it may have"));

    // Who has no limits is followed while somebody looks.
    let used = || controller.get(&format!("/api/services/{shop}.plain"))["containers"][0]["usage"].clone();
    let usage = wait_for(SOON, "what it uses is told", || Some(used()).filter(|usage| usage.is_object()));
    assert!(usage["memory"].as_u64().is_some_and(|bytes| bytes > 100_000), "{usage}");
    let label = format!("{shop}.plain");
    let metric = |name: &str| controller.metric(name, &[("service_id", label.as_str())]);
    assert!(metric("service_memory_usage_megabytes").is_some_and(|megabytes| megabytes > 0.1));
    assert!(metric("service_network_in_bytes").is_some());
}

#[test]
fn what_reserves_more_than_the_host_has_free_waits_and_says_why() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let yaml = |memory: &str| {
        format!("services: {{web: {{image: IMAGE, deploy: {{resources: {{reservations: {{memory: {memory}}}}}}}}}}}\n")
    };
    world.write(&shop, &yaml("64T"));
    let controller = world.run();
    let failure = || Some(controller.service(&shop, "web")["start_failure"].clone()).filter(Value::is_object);
    let seen = wait_for(SOON, "it says why", failure);
    assert_eq!(seen["kind"], "insufficient_resources", "{seen}");
    assert!(seen["advice"].as_str().is_some_and(|a| a.contains("reserve less than")), "{seen}");
    assert_eq!(world.engine.running(&shop), 0);
    world.write(&shop, &yaml("8M"));
    controller.converged(&shop);
    assert_eq!(world.engine.running(&shop), 1);
}
