//! Services that use too much, that the host guard picks, or that reserve what the host has not got.

use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel::decide::forecast;
use evenkeel::model::Timestamp;
use evenkeel::model::fields::{Difference, Fields, Repair};
use evenkeel::model::usage::{HostLoad, Load, Scarce, Squeeze, Ticks};
use expect_test::expect;

use super::scene::Scene;

#[test]
fn who_uses_too_much_is_throttled_and_released_without_drift() {
    let yaml = |cpus: &str, throttle: &str| {
        format!("services: {{a: {{image: 'a:1'{cpus}, x-evenkeel: {{throttle: {{{throttle}}}}}}}}}")
    };
    let cpu = "cpu: {above: 90%, to: 50%}";
    let mut text = String::new();
    for cpus in ["", ", cpus: 0.5"] {
        let mut scene = Scene::converged(&yaml(cpus, cpu));
        let id = scene.id("a", 1);
        let load = |scene: &mut Scene, load: Load| {
            let container = scene.world.get(&id);
            (container.load, container.host_cpus) = (Some(load), Some(2));
        };
        load(&mut scene, Load { cpu_high: true, ..Load::default() });
        text += &scene.round();
        let step = scene.decide();
        assert!(step.steps.is_empty(), "{step}");
        load(&mut scene, Load { cpu_low: true, ..Load::default() });
        text += &scene.round();
        load(&mut scene, Load { cpu_high: true, ..Load::default() });
        scene.round();
        load(&mut scene, Load::default());
        scene.change(&yaml(cpus, ""));
        text += &format!("-- the manifest says nothing of it any more\n{}", scene.text());
    }
    expect![[r#"
        update a/1 (c00000000002): cpu_quota: it uses too much of the CPUs: it may use 1 of 2 CPUs
        update a/1 (c00000000002): cpu_quota: it may use all of its CPUs again, instead of 1
        -- the manifest says nothing of it any more
        update a/1 (c00000000002): cpu_quota: it may use all of its CPUs again, instead of 1
        update a/1 (c00000000002): cpus: it uses too much of the CPUs: it may use 0.25 of 0.5 CPUs
        update a/1 (c00000000002): cpus: it may use all of its CPUs again, instead of 0.25
        -- the manifest says nothing of it any more
        update a/1 (c00000000002): cpus: it may use all of its CPUs again, instead of 0.25
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_the_host_guard_takes_is_no_drift_and_the_lesser_of_the_two_counts() {
    let mut scene =
        Scene::converged("services: {a: {image: 'a:1', cpus: 1, x-evenkeel: {throttle: {cpu: {to: 50%}}}}}");
    let id = scene.id("a", 1);
    let squeeze = |milli_cpus, percent| Squeeze { milli_cpus, scarce: Scarce::Cpu, percent, threshold: 60 };
    let mut text = String::new();
    let mut now = |what: &str, squeeze: Option<Squeeze>, load: Load| {
        let container = scene.world.get(&id);
        (container.squeeze, container.load) = (squeeze, Some(load));
        let round = scene.round();
        let rest = scene.decide();
        assert!(rest.steps.is_empty() && rest.drift.is_empty(), "{rest}");
        write!(text, "-- {what}\n{round}").unwrap();
    };
    let high = Load { cpu_high: true, ..Load::default() };
    now("the host is hard pressed", Some(squeeze(700, 80)), Load::default());
    now("and uses too much itself", Some(squeeze(700, 80)), high);
    now("still pressed", Some(squeeze(350, 90)), high);
    now("at ease", None, high);
    now("and calm", None, Load { cpu_low: true, ..Load::default() });
    expect![[r#"
        -- the host is hard pressed
        update a/1 (c00000000002): cpus: cpu pressure of the host is 80 % (threshold 60 %): it may use 0.7 of 1 CPUs
        -- and uses too much itself
        update a/1 (c00000000002): cpus: it uses too much of the CPUs: it may use 0.5 of 1 CPUs
        -- still pressed
        update a/1 (c00000000002): cpus: it uses too much of the CPUs, and cpu pressure of the host is 90 % (threshold 60 %): it may use 0.35 of 1 CPUs
        -- at ease
        update a/1 (c00000000002): cpus: it may use 0.5 CPUs again, instead of 0.35
        -- and calm
        update a/1 (c00000000002): cpus: it may use all of its CPUs again, instead of 0.5
    "#]].assert_eq(&text);
}

#[test]
fn what_a_service_reserves_is_waited_for_and_what_runs_is_left_alone() {
    let yaml = |memory: &str, cpus: &str| {
        format!(
            "services: {{a: {{image: 'a:1', deploy: {{resources: {{reservations: {{memory: {memory}, cpus: '{cpus}'}}}}}}}}}}"
        )
    };
    let host = |free_memory| HostLoad {
        at: Timestamp::UNIX_EPOCH,
        pressure: None,
        free_memory,
        memory: 4 << 30,
        cpus: 2,
        ticks: Ticks::default(),
    };
    let mut text = String::new();
    for (memory, cpus, free) in
        [("1G", "1", 512_u64 << 20), ("256M", "4", 512 << 20), ("1G", "4", 512 << 20), ("256M", "2", 512 << 20)]
    {
        let mut scene = Scene::of(&yaml(memory, cpus));
        scene.world.observed.host = Some(host(free));
        for _ in 0..5 {
            scene.round();
        }
        write!(text, "-- {memory}, {cpus}\n{}", scene.report()).unwrap();
    }
    let mut scene = Scene::converged(&yaml("1G", "1"));
    scene.world.observed.host = Some(host(0));
    assert_eq!(scene.round(), "");
    expect![[r#"
        -- 1G, 1
        a waits for 1024 MiB of memory, which it reserves: the host has 512 MiB free
        [waiting]
        [a: waiting for 1024 MiB of memory, which it reserves: the host has 512 MiB free]
        -- 256M, 4
        a waits for 4 CPUs, which it reserves: the host has 2 CPUs
        [waiting]
        [a: waiting for 4 CPUs, which it reserves: the host has 2 CPUs]
        -- 1G, 4
        a waits for 1024 MiB of memory and 4 CPUs, which it reserves: the host has 512 MiB free, and 2 CPUs
        [waiting]
        [a: waiting for 1024 MiB of memory and 4 CPUs, which it reserves: the host has 512 MiB free, and 2 CPUs]
        -- 256M, 2
        [converged]
        [a: running]
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_waits_for_its_replacement_has_all_of_its_cpus_again() {
    let yaml = |network: &str| {
        format!(
            "services: {{a: {{image: 'a:1', cpus: 1, networks: [{network}]}}}}\n\
             networks: {{mine: {{}}, theirs: {{external: true}}}}"
        )
    };
    let mut scene = Scene::converged(&yaml("mine"));
    let id = scene.id("a", 1);
    let squeeze = Squeeze { milli_cpus: 700, scarce: Scarce::Cpu, percent: 80, threshold: 60 };
    scene.world.get(&id).squeeze = Some(squeeze);
    scene.round();
    scene.change(&yaml("theirs"));
    let mut text = format!("-- pressed\n{}", scene.round());
    scene.world.get(&id).squeeze = None;
    text += &format!("-- at ease\n{}-- then\n{}", scene.round(), scene.round());
    expect![[r#"
        -- pressed
        waits for external network theirs, which does not exist
        -- at ease
        update a/1 (c00000000002): cpus: it may use all of its CPUs again, instead of 0.7
        waits for external network theirs, which does not exist
        -- then
        waits for external network theirs, which does not exist
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_somebody_changes_of_a_throttle_is_set_again() {
    let mut scene =
        Scene::converged("services: {a: {image: 'a:1', cpus: 1, x-evenkeel: {throttle: {cpu: {to: 50%}}}}}");
    let id = scene.id("a", 1);
    scene.world.get(&id).load = Some(Load { cpu_high: true, ..Load::default() });
    scene.round();
    let mut text = String::new();
    for cpus in ["0.5", "1.5", "0.05"] {
        let mut fields = Fields::default();
        fields.set("cpus", cpus);
        scene.world.get(&id).fields = Some(Arc::new(fields));
        write!(text, "-- {cpus}\n{}", scene.text()).unwrap();
    }
    expect![[r#"
        -- 0.5
        -- 1.5
        update a/1 (c00000000002): cpus: it uses too much of the CPUs: it may use 0.5 of 1 CPUs
        -- 0.05
        update a/1 (c00000000002): cpus: it uses too much of the CPUs: it may use 0.5 of 1 CPUs
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_plan_says_what_will_wait_for_its_reservations_once_it_is_made() {
    let yaml = "services:\n  big: {image: 'a:1', deploy: {resources: {reservations: {memory: 9G}}}}\n  \
                after: {image: 'a:1', depends_on: [big]}\n  fine: {image: 'a:1'}\n";
    let mut scene = Scene::of(yaml);
    let ticks = Ticks::default();
    let host = HostLoad { at: scene.now(), pressure: None, free_memory: 1 << 30, memory: 4 << 30, cpus: 2, ticks };
    scene.world.observed.host = Some(host);
    let told = |scene: &Scene| {
        let plan = scene.input(forecast);
        let mut text = String::new();
        for step in plan.stages.iter().flatten() {
            writeln!(text, "{}", step.step).unwrap();
        }
        plan.waiting.iter().for_each(|waiting| writeln!(text, "{waiting}").unwrap());
        text
    };
    let mut text = format!("-- at first\n{}", told(&scene));
    scene.settle();
    // Nobody can look any more: it will be started.
    scene.world.observed.host = None;
    text += &format!("-- all is made\n{}", told(&scene));
    expect![[r#"
        -- at first
        create network shop_default
        create big/1 as shop-big-1
        create fine/1 as shop-fine-1
        create after/1 as shop-after-1
        start fine/1 (000000000003)
        big waits for 9216 MiB of memory, which it reserves: the host has 1024 MiB free
        -- all is made
        start big/1 (c00000000002)
        start after/1 (c00000000004)
        after waits for big (service_started): it is not started yet
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_is_given_back_is_not_all_that_is_to_be_done_where_the_manifest_says_something_else() {
    let yaml = "services: {a: {image: 'a:1', cpus: 1, mem_limit: 64m, x-evenkeel: {throttle: {cpu: {to: 50%}}}}}";
    let mut scene = Scene::converged(yaml);
    let id = scene.id("a", 1);
    scene.world.get(&id).load = Some(Load { cpu_high: true, ..Load::default() });
    scene.round();
    // The controller begins anew, and somebody changed a limit.
    let container = scene.world.get(&id);
    container.load = None;
    let (desired, observed) = (Some("67108864".to_owned()), Some("33554432".to_owned()));
    let repair = Repair::Update;
    let memory = Difference { path: "mem_limit".to_owned(), desired, observed, repair, since: None };
    container.differences = Some(Arc::new(vec![memory]));
    let mut text = String::new();
    for _ in 0..3 {
        writeln!(text, "{}--", scene.report()).unwrap();
        scene.round();
    }
    expect![[r#"
        update a/1 (c00000000002): mem_limit: mem_limit is 33554432 instead of 67108864
        [progressing]
        [a: running]
        --
        update a/1 (c00000000002): cpus: it may use all of its CPUs again, instead of 0.5
        [converged]
        [a: running]
        --
        [converged]
        [a: running]
        --
    "#]]
    .assert_eq(&text);
}
