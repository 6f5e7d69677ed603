//! `plan`, `status` and `apply`.

use crate::support::{Proxy, SOON, World, wait_until};

const SHOP: &str = r#"
services:
  db:
    image: IMAGE
    network_mode: none
    healthcheck: {test: [CMD, /demo-service, health], interval: 300ms, retries: 50}
  web: {image: IMAGE, network_mode: none, depends_on: {db: {condition: service_healthy}}}
"#;

fn mutations(proxy: &Proxy) -> usize {
    proxy.calls().iter().filter(|call| call.mutates()).count()
}

#[test]
fn plan_says_what_would_be_done_apply_does_it_and_then_there_is_nothing_to_do() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, SHOP);
    let verb = |arguments: &[&str]| world.verb_at(&proxy.url(), arguments);

    let plan = verb(&["plan"]);
    assert_eq!(plan.code, Some(2), "{plan:?}");
    let place = |word: &str| plan.out.find(word).unwrap_or_else(|| panic!("{word}: {}", plan.out));
    assert!(place("create db/1") < place("start db/1") && place("start db/1") < place("start web/1"), "{}", plan.out);
    assert!(plan.out.contains("it is not there"), "the cause: {}", plan.out);
    let json = verb(&["plan", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &document[0]["project"]), (Some(2), &shop.as_str().into()));
    let status = verb(&["status"]);
    assert!(status.code == Some(0) && status.out.contains(&shop), "{status:?}");
    assert_eq!(mutations(&proxy), 0, "plan and status change nothing");

    let apply = verb(&["apply", "--wait-healthy"]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    assert_eq!(world.engine.running(&shop), 2);
    for service in ["db", "web"] {
        let line =
            apply.out.lines().find(|line| line.contains(&format!("{shop}.{service}")) && line.contains("running"));
        assert!(line.is_some(), "{}", apply.out);
    }
    assert!(!apply.out.contains('\u{1b}'), "no colours and no cursor where the output is piped: {:?}", apply.out);

    // `apply` made the check itself; the Engine's own comes after its first interval.
    wait_until(SOON, "the Engine's check passed, too", || {
        let db = world.engine.inspect(&world.engine.container(&shop, "db").id);
        db["State"]["Health"]["Status"] == "healthy"
    });
    proxy.clear();
    let again = verb(&["plan"]);
    assert!(again.code == Some(0) && again.out.contains("nothing to do"), "{again:?}");
    assert_eq!(verb(&["apply"]).code, Some(0));
    assert!(verb(&["status"]).out.contains("running"));
    assert_eq!(mutations(&proxy), 0);

    world.write(&shop, &SHOP.replace("web: {", "web: {environment: {A: \"1\"}, "));
    let edit = verb(&["plan"]);
    assert!(
        edit.code == Some(2)
            && edit.out.contains("[recreate]")
            && edit.out.contains("environment.A is not set instead of 1"),
        "{edit:?}"
    );
    assert!(!edit.out.contains("db/1"), "only what changes is in it: {}", edit.out);
}

#[test]
fn apply_of_a_project_whose_job_fails_says_so() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let job = "{image: IMAGE, network_mode: none, command: [job, --seconds, \"0\", --exit-code, \"9\"], x-evenkeel: {type: job}}";
    world.write(&shop, &format!("services: {{migrate: {job}}}\n"));
    let apply = world.verb(&["apply", "--timeout", "60s"]);
    assert_eq!(apply.code, Some(1), "{apply:?}");
    assert!(apply.err.contains(&format!("{shop}.migrate")) && apply.err.contains('9'), "{apply:?}");
}

#[test]
fn apply_of_a_job_that_works_ends_well() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services: {migrate: {image: IMAGE, network_mode: none, command: [job, --seconds, \"1\"], x-evenkeel: {type: job}}}\n",
    );
    let apply = world.verb(&["apply"]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    let container = world.engine.inspect(&world.engine.container(&shop, "migrate").id);
    assert_eq!((&container["State"]["Status"], &container["State"]["ExitCode"]), (&"exited".into(), &0.into()));
    world.expect_nothing_to_do();
}

#[test]
fn apply_gives_up_when_its_time_is_over_and_says_what_is_missing() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, &SHOP.replace("[CMD, /demo-service, health]", "[CMD, /demo-service, nonsense]"));
    let apply = world.verb(&["apply", "--wait-healthy", "--timeout", "3s"]);
    assert_eq!(apply.code, Some(1), "{apply:?}");
    assert!(apply.err.contains(&format!("{shop}.web")), "{apply:?}");
}

#[test]
fn an_invalid_manifest_is_shown_with_its_place_and_nothing_is_applied() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, "services:\n  web: {image: IMAGE, imagee: x}\n");
    for arguments in [vec!["apply"], vec!["plan"], vec!["validate"]] {
        let verb = world.verb_at(&proxy.url(), &arguments);
        assert_eq!(verb.code, Some(1), "{arguments:?}: {verb:?}");
        assert!(
            verb.err.contains(&format!("{shop}.yaml:3:")) && verb.err.contains("imagee"),
            "{arguments:?}: {verb:?}"
        );
    }
    assert_eq!(mutations(&proxy), 0);
}

#[test]
fn one_manifest_of_several_can_be_applied_alone() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    world.write(&shop, super::ONE);
    world.write(&other, super::ONE);
    let path = world.path(&shop).display().to_string();
    let apply = world.verb(&["apply", &path]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    assert_eq!((world.engine.running(&shop), world.engine.running(&other)), (1, 0));
    let controller = world.run();
    controller.converged(&shop);
    controller.converged(&other);
    assert_eq!((world.engine.running(&shop), world.engine.running(&other)), (1, 1));
}
