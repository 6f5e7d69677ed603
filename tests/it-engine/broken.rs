//! Manifests that do not load, and files that are none.

use std::fs;

use crate::support::{Proxy, SOON, World, stays, wait_until};

fn mutations(proxy: &Proxy) -> Vec<String> {
    let calls = proxy.calls().into_iter().filter(|call| call.mutates());
    calls.map(|call| format!("{} {}", call.method, call.path)).collect()
}

#[test]
fn a_manifest_that_does_not_load_changes_nothing_and_the_error_is_shown_with_its_place() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let text = world.text(&shop, "services:\n  web:\n    image: IMAGE\n    network_mode: none\n");
    world.write_raw(&shop, &text);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let (before, revision) = (world.engine.container(&shop, "web").id, controller.revision(&shop));
    proxy.clear();

    let half = text.find("image").unwrap() + 3;
    for (what, broken, line) in [
        ("a YAML error", format!("{text}  worker: [\n"), None),
        ("an unknown key", text.replace("network_mode", "netwerk_mode"), Some(5)),
        ("half a file", text[..half].to_owned(), Some(4)),
        ("an empty file", String::new(), None),
    ] {
        world.write_raw(&shop, &broken);
        wait_until(SOON, &format!("{what} is noticed"), || {
            controller.metric("manifest_valid", &[("project", &shop)]) == Some(0.0)
        });
        let view = controller.project(&shop);
        assert_eq!((&view["state"], &view["manifest_valid"]), (&"invalid".into(), &false.into()), "{what}");
        assert_eq!(view["revision"], revision.as_str(), "{what}: the last good revision stays in force");
        let diagnostic = &view["diagnostics"][0];
        assert_eq!(diagnostic["place"]["file"], world.path(&shop).to_str().unwrap(), "{what}: {diagnostic}");
        let at = |key: &str| diagnostic["place"][key].as_u64().unwrap_or(0);
        assert!(at("line") > 0 && at("col") > 0, "{what}: {diagnostic}");
        assert!(line.is_none_or(|line| at("line") == line), "{what}: {diagnostic}");
        assert_eq!(controller.get("/health")["status"], "degraded", "{what}");

        world.write_raw(&shop, &text);
        controller.converged(&shop);
        assert_eq!(controller.metric("manifest_valid", &[("project", &shop)]), Some(1.0), "mended after {what}");
        let web = world.engine.container(&shop, "web");
        assert!(web.id == before && web.is_running(), "{what}");
        assert_eq!(mutations(&proxy), Vec::<String>::new(), "{what}");
    }
    assert_eq!(controller.events(&shop, "ManifestInvalid").len(), 4);
}

#[test]
fn a_broken_manifest_at_the_start_leaves_what_runs_alone_and_still_restarts_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, super::ONE);
    let mut controller = world.run();
    controller.converged(&shop);
    let before = world.engine.container(&shop, "web");
    controller.kill9();
    world.write_raw(&shop, "services: [\n");
    controller.restart();
    wait_until(SOON, "the error is shown", || controller.project(&shop)["manifest_valid"] == false);
    let started = world.engine.started(&before.id);
    world.engine.kill(&before.id);
    wait_until(SOON, "the last good revision is kept true", || {
        let now = world.engine.container(&shop, "web");
        now.is_running() && world.engine.started(&now.id) != started
    });
    assert_eq!(world.engine.container(&shop, "web").id, before.id);
}

#[test]
fn half_a_file_that_is_valid_yaml_removes_nothing_unless_it_stays() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let text = world.text(
        &shop,
        "services:\n  web: {image: IMAGE, network_mode: none}\n  worker: {image: IMAGE, network_mode: none}\n",
    );
    world.write_raw(&shop, &text);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let revision = controller.revision(&shop);
    proxy.clear();
    world.write_raw(&shop, &text[..text.find("  worker").unwrap()]);
    wait_until(SOON, "half of it was read", || controller.revision(&shop) != revision);
    world.write_raw(&shop, &text);
    wait_until(SOON, "all of it was read", || controller.revision(&shop) == revision);
    controller.converged(&shop);
    stays(std::time::Duration::from_millis(1500), "nothing is removed", || mutations(&proxy).is_empty());
}

#[test]
fn temporary_files_and_dotfiles_cause_no_reload() {
    let Some(world) = World::new() else { return };
    let (shop, marker) = (world.project("shop"), world.project("marker"));
    let suspended = "x-evenkeel: {suspend: true}\nservices: {web: {image: IMAGE}}\n";
    world.write(&shop, suspended);
    let controller = world.run();
    wait_until(SOON, "it is read", || controller.project(&shop)["state"] == "suspended");
    let stray = world.project("stray");
    for name in [".web.yaml.swp", ".#web.yaml", "web.yaml~", "#web.yaml#", "4913", ".hidden.yaml", "web.yaml.tmp"] {
        fs::write(world.manifests().join(name), world.text(&stray, suspended)).unwrap();
    }
    fs::create_dir(world.manifests().join(".git.d")).unwrap();
    fs::write(world.manifests().join(".git.d/stray.yaml"), world.text(&stray, suspended)).unwrap();
    fs::write(world.manifests().join("notes.txt"), "services: [").unwrap();
    world.write(&marker, suspended);
    wait_until(SOON, "the marker is read", || controller.project(&marker)["state"] == "suspended");
    assert_eq!(controller.events(&shop, "RevisionLoaded").len(), 1);
    let projects = controller.get("/api/projects")["projects"].as_array().unwrap().len();
    assert_eq!(projects, 2, "only what has a manifest's name is one");
}
