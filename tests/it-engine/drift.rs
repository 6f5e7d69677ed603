//! Fields that somebody changed: seen with their paths, repaired with the least disruption, and quiet afterwards.

use serde_json::{Value, json};

use crate::support::{Controller, SOON, World, skip, wait_until};

const WEB: &str = r#"
services:
  web:
    image: IMAGE
    restart: unless-stopped
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 100
    environment: {LOG_LEVEL: info, DB_PASSWORD: hunter2}
    labels: {team: shop}
    networks: {front: {aliases: [shopfront]}, back: {}}
networks: {front: {}, back: {}}
"#;

/// A project under a controller, with nothing left to do.
fn converged(world: &World, manifest: &str) -> (String, Controller) {
    let shop = world.project("shop");
    world.write(&shop, manifest);
    let controller = world.run();
    controller.converged(&shop);
    (shop, controller)
}

/// The drift that is told of.
fn told(world: &World) -> Vec<Value> {
    let verb = world.verb(&["drift", "--format", "json"]);
    assert_eq!(verb.code, Some(0), "{}", verb.err);
    let value: Value = serde_json::from_str(&verb.out).unwrap();
    value["drift"].as_array().unwrap().clone()
}

#[test]
fn limits_and_policies_changed_by_hand_are_set_back_in_the_running_container() {
    let Some(world) = World::new() else { return };
    let (shop, controller) = converged(&world, WEB);
    let before = world.engine.containers(&shop);
    let started = world.engine.started(&before[0].id);
    for (change, path, is) in [
        (json!({"Memory": 33_554_432, "MemorySwap": 67_108_864}), "Memory", json!(67_108_864)),
        (json!({"NanoCpus": 250_000_000}), "NanoCpus", json!(500_000_000)),
        (json!({"PidsLimit": 50}), "PidsLimit", json!(100)),
        (
            json!({"RestartPolicy": {"Name": "no"}}),
            "RestartPolicy",
            json!({"Name": "unless-stopped", "MaximumRetryCount": 0}),
        ),
    ] {
        world.engine.call("POST", &format!("/containers/{}/update", before[0].id), Some(&change));
        wait_until(SOON, &format!("{path} is set back"), || {
            world.engine.inspect(&before[0].id)["HostConfig"][path] == is
        });
    }
    controller.converged(&shop);
    let after = world.engine.containers(&shop);
    assert_eq!((&after[0].id, world.engine.started(&after[0].id)), (&before[0].id, started), "it ran on");
    assert!(controller.events(&shop, "DriftDetected").len() >= 4);
    assert!(controller.events(&shop, "DriftRepaired").len() >= 4);
    assert_eq!(told(&world), Vec::<Value>::new());
    world.expect_nothing_to_do();
}

#[test]
fn a_changed_limit_in_the_manifest_replaces_no_container() {
    let Some(world) = World::new() else { return };
    let (shop, controller) = converged(&world, WEB);
    let before = world.engine.containers(&shop)[0].id.clone();
    world.write(&shop, &WEB.replace("cpus: 0.5", "cpus: 0.25").replace("pids_limit: 100", "pids_limit: 90"));
    wait_until(SOON, "the limits are the new ones", || {
        let host = &world.engine.inspect(&before)["HostConfig"];
        host["NanoCpus"] == json!(250_000_000) && host["PidsLimit"] == json!(90)
    });
    controller.converged(&shop);
    assert_eq!(world.engine.containers(&shop)[0].id, before);
    assert!(controller.events(&shop, "DriftDetected").is_empty(), "it is not somebody else's doing");
    // Its label tells of the earlier configuration; when it ends it is started again all the same.
    world.engine.kill(&before);
    wait_until(SOON, "it runs again", || world.engine.containers(&shop)[0].is_running());
    controller.converged(&shop);
    assert_eq!(world.engine.containers(&shop)[0].id, before);
    // A limit that is taken away the Engine cannot unset.
    world.write(&shop, &WEB.replace("cpus: 0.5", "").replace("pids_limit: 100", ""));
    wait_until(SOON, "there is another container", || {
        world.engine.containers(&shop).first().is_some_and(|c| c.id != before && c.is_running())
    });
    controller.converged(&shop);
    world.expect_nothing_to_do();
}

#[test]
fn networks_attached_and_detached_by_hand_are_as_the_manifest_says_again() {
    let Some(world) = World::new() else { return };
    let (shop, controller) = converged(&world, WEB);
    let id = world.engine.containers(&shop)[0].id.clone();
    let networks = || world.engine.inspect(&id)["NetworkSettings"]["Networks"].clone();
    let names = || networks().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let wanted = names();
    let (back, front) = (format!("{shop}_back"), format!("{shop}_front"));
    let disconnect = |network: &str| {
        let body = json!({"Container": id, "Force": false});
        world.engine.call("POST", &format!("/networks/{network}/disconnect"), Some(&body));
    };
    disconnect(&back);
    wait_until(SOON, "it is attached again", || names() == wanted);
    controller.converged(&shop);
    // Another alias than the manifest's.
    disconnect(&front);
    let body = json!({"Container": id, "EndpointConfig": {"Aliases": ["other"]}});
    world.engine.call("POST", &format!("/networks/{front}/connect"), Some(&body));
    wait_until(SOON, "it has its own aliases", || {
        networks()[&front]["Aliases"].as_array().is_some_and(|a| {
            a.contains(&json!("shopfront")) && a.contains(&json!("web")) && !a.contains(&json!("other"))
        })
    });
    controller.converged(&shop);
    // A network of nobody's business.
    let body = json!({"Container": id});
    world.engine.call("POST", "/networks/bridge/connect", Some(&body));
    wait_until(SOON, "it is detached from it", || names() == wanted);
    controller.converged(&shop);
    assert_eq!(world.engine.containers(&shop)[0].id, id, "it ran on");
    world.expect_nothing_to_do();
}

#[test]
fn what_is_only_reported_is_told_and_left_alone() {
    let Some(world) = World::new() else { return };
    let (shop, controller) = converged(&world, &format!("x-evenkeel: {{drift: report}}{WEB}"));
    let id = world.engine.containers(&shop)[0].id.clone();
    world.engine.call("POST", &format!("/containers/{id}/update"), Some(&json!({"NanoCpus": 250_000_000})));
    wait_until(SOON, "it is told", || !told(&world).is_empty());
    let drift = told(&world);
    assert_eq!(drift.len(), 1, "{drift:?}");
    let facts =
        ["path", "desired", "observed", "repair"].map(|key| drift[0][key].as_str().unwrap_or_default().to_owned());
    assert_eq!(facts, ["cpus", "0.5", "0.25", "update"]);
    assert!(drift[0]["since"].is_string() && drift[0]["by_hand"] == json!(true));
    assert!(controller.metric("drift_fields", &[("project", &shop)]) == Some(1.0));
    assert_eq!(world.engine.inspect(&id)["HostConfig"]["NanoCpus"], json!(250_000_000), "nobody touched it");
    // A new revision is carried out.
    world.write(&shop, &format!("x-evenkeel: {{drift: report}}{}", WEB.replace("pids_limit: 100", "pids_limit: 90")));
    wait_until(SOON, "the new limit is in force", || world.engine.inspect(&id)["HostConfig"]["PidsLimit"] == json!(90));
    controller.converged(&shop);
}

#[test]
fn a_field_that_is_changed_back_over_and_over_is_left_alone_for_a_while() {
    let Some(world) = World::new() else { return };
    let (shop, controller) = converged(&world, WEB);
    let id = world.engine.containers(&shop)[0].id.clone();
    let cpus = || world.engine.inspect(&id)["HostConfig"]["NanoCpus"].clone();
    for _ in 0..3 {
        world.engine.call("POST", &format!("/containers/{id}/update"), Some(&json!({"NanoCpus": 250_000_000})));
        wait_until(SOON, "it is set back", || cpus() == json!(500_000_000));
    }
    world.engine.call("POST", &format!("/containers/{id}/update"), Some(&json!({"NanoCpus": 250_000_000})));
    wait_until(SOON, "the repair conflict is seen", || !controller.events(&shop, "BreakerOpened").is_empty());
    assert_eq!(cpus(), json!(250_000_000));
    assert_eq!(told(&world)[0]["path"], json!("cpus"));
}

/// Changes to what was asked for at a creation, each with the path that tells of it.
fn bodies() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("command", json!({"Cmd": ["serve"]}), json!({})),
        ("environment.LOG_LEVEL", json!({"Env": ["LOG_LEVEL=debug", "DB_PASSWORD=hunter2"]}), json!({})),
        ("environment.DB_PASSWORD", json!({"Env": ["LOG_LEVEL=info", "DB_PASSWORD=hunter3"]}), json!({})),
        ("environment.EXTRA", json!({"Env": ["LOG_LEVEL=info", "DB_PASSWORD=hunter2", "EXTRA=1"]}), json!({})),
        ("user", json!({"User": "1000"}), json!({})),
        ("working_dir", json!({"WorkingDir": "/tmp"}), json!({})),
        ("stop_signal", json!({"StopSignal": "SIGINT"}), json!({})),
        ("stop_grace_period", json!({"StopTimeout": 3}), json!({})),
        ("healthcheck.test", json!({"Healthcheck": {"Test": ["CMD", "true"]}}), json!({})),
        ("tty", json!({"Tty": true}), json!({})),
        ("cap_add", json!({}), json!({"CapAdd": ["CHOWN"]})),
        ("cap_drop", json!({}), json!({"CapDrop": ["CHOWN"]})),
        ("read_only", json!({}), json!({"ReadonlyRootfs": true})),
        ("security_opt.no-new-privileges", json!({}), json!({"SecurityOpt": ["no-new-privileges:true"]})),
        ("sysctls.net.ipv4.ip_forward", json!({}), json!({"Sysctls": {"net.ipv4.ip_forward": "1"}})),
        ("ulimits.nofile", json!({}), json!({"Ulimits": [{"Name": "nofile", "Soft": 99, "Hard": 99}]})),
        ("dns", json!({}), json!({"Dns": ["1.1.1.1"]})),
        ("extra_hosts", json!({}), json!({"ExtraHosts": ["a:1.2.3.4"]})),
        ("tmpfs./scratch", json!({}), json!({"Tmpfs": {"/scratch": "size=1m"}})),
        ("volumes./etc/hostname-here", json!({}), json!({"Binds": ["/etc/hostname:/etc/hostname-here:ro"]})),
        (
            "devices./dev/null2",
            json!({}),
            json!({"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/null2", "CgroupPermissions": "rwm"}]}),
        ),
        ("group_add", json!({}), json!({"GroupAdd": ["99"]})),
        ("oom_score_adj", json!({}), json!({"OomScoreAdj": 100})),
        ("pid", json!({}), json!({"PidMode": "host"})),
        ("cpu_shares", json!({}), json!({"CpuShares": 512})),
        ("mem_reservation", json!({}), json!({"MemoryReservation": 16_777_216})),
        ("init", json!({}), json!({"Init": true})),
        ("ports.8080/tcp", json!({}), json!({"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}})),
        ("labels.team", json!({"Labels": {"team": "other"}}), json!({})),
    ]
}

#[test]
fn a_container_made_by_hand_in_place_of_ours_is_told_by_the_field_that_differs() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, &format!("x-evenkeel: {{drift: report}}{WEB}"));
    let apply = world.verb(&["apply", "--timeout", "60s"]);
    assert_eq!(apply.code, Some(0), "{}{}", apply.out, apply.err);
    assert_eq!(told(&world), Vec::<Value>::new(), "nothing differs at first");
    let original = world.engine.containers(&shop)[0].id.clone();
    let inspect = world.engine.inspect(&original);
    let mut missed = Vec::new();
    let mut id = original;
    for (path, config, host) in bodies() {
        world.engine.remove(&id);
        let mut body = inspect["Config"].clone();
        // The short id of the container that it is a copy of: the Engine would make it an alias.
        body["Hostname"] = "".into();
        let mut host_config = inspect["HostConfig"].clone();
        let merge = |into: &mut Value, from: &Value| {
            for (key, value) in from.as_object().unwrap() {
                match (into.get_mut(key), value) {
                    (Some(Value::Object(old)), Value::Object(new)) if key == "Labels" => old.extend(new.clone()),
                    _ => into[key] = value.clone(),
                }
            }
        };
        merge(&mut body, &config);
        merge(&mut host_config, &host);
        body["HostConfig"] = host_config;
        let (front, back) = (format!("{shop}_front"), format!("{shop}_back"));
        let name = format!("{shop}-web-1");
        let aliases = |more: &[&str]| {
            let all = [&[name.as_str(), "web"], more].concat();
            all.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        body["NetworkingConfig"] = json!({"EndpointsConfig": {}});
        let network = inspect["HostConfig"]["NetworkMode"].as_str().unwrap().to_owned();
        let other = if network == front { &back } else { &front };
        let of = |network: &str| aliases(if network == front { &["shopfront"] } else { &[] });
        body["NetworkingConfig"]["EndpointsConfig"][&network] = json!({"Aliases": of(&network)});
        let made = world.engine.call("POST", &format!("/containers/create?name={name}"), Some(&body));
        id = made["Id"].as_str().unwrap_or_else(|| panic!("{path}: {made}")).to_owned();
        let connect = json!({"Container": id, "EndpointConfig": {"Aliases": of(other)}});
        world.engine.call("POST", &format!("/networks/{other}/connect"), Some(&connect));
        let (status, words) = world.engine.try_call("POST", &format!("/containers/{id}/start"), None);
        if status >= 300 {
            skip(&format!("a container with another {path} cannot run here: {words}"));
            continue;
        }
        let drift = told(&world);
        let paths: Vec<_> = drift.iter().map(|d| d["path"].as_str().unwrap_or_default().to_owned()).collect();
        let expected = paths.iter().any(|p| p == path);
        // A published port is exposed as well.
        let more: Vec<_> = paths.iter().filter(|p| *p != path && !p.starts_with("expose.")).collect();
        if !expected || !more.is_empty() {
            missed.push(format!("{path}: {drift:?}"));
        }
        assert!(!format!("{drift:?}").contains("hunter"), "secrets are masked");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The other way round: not every machine can run a container that is privileged.
#[test]
fn a_container_that_is_less_privileged_than_it_should_be_is_told() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let manifest = format!("x-evenkeel: {{drift: report}}{WEB}");
    world.write(&shop, &manifest);
    let apply = world.verb(&["apply", "--timeout", "60s"]);
    assert_eq!(apply.code, Some(0), "{}{}", apply.out, apply.err);
    world.write(&shop, &manifest.replace("    mem_limit", "    privileged: true\n    mem_limit"));
    let drift = told(&world);
    let paths: Vec<_> = drift.iter().map(|d| d["path"].as_str().unwrap_or_default()).collect();
    assert_eq!(paths, ["privileged"], "{drift:?}");
}

#[test]
fn a_changed_content_of_an_inline_config_reaches_the_container() {
    let Some(world) = World::new() else { return };
    let manifest = "services: {web: {image: IMAGE, network_mode: none, configs: [{source: page, target: /page}]}}\n\
                    configs: {page: {content: 'the first'}}\n";
    let (shop, controller) = converged(&world, manifest);
    let before = world.engine.containers(&shop)[0].id.clone();
    assert!(world.engine.archive(&before, "/page").contains("the first"));
    world.write(&shop, &manifest.replace("the first", "the second one"));
    wait_until(SOON, "another container has the new content", || {
        let now = world.engine.containers(&shop);
        now.len() == 1 && now[0].is_running() && now[0].id != before
    });
    controller.converged(&shop);
    assert!(world.engine.archive(&world.engine.containers(&shop)[0].id, "/page").contains("the second one"));
    world.expect_nothing_to_do();
}

#[test]
fn a_file_that_was_replaced_behind_a_container_restarts_it_and_nothing_else() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let file = world.manifests().join("site.conf");
    std::fs::write(&file, "one").unwrap();
    let source = file.display();
    world.write(
        &shop,
        &format!(
            "services:\n  web: {{image: IMAGE, network_mode: none, volumes: ['{source}:/etc/site.conf:ro'], configs: [site]}}\n  \
             api: {{image: IMAGE, network_mode: none}}\nconfigs: {{site: {{file: '{source}'}}}}\n"
        ),
    );
    let controller = world.run();
    controller.converged(&shop);
    let ids = || world.engine.containers(&shop).into_iter().map(|c| c.id).collect::<Vec<_>>();
    let before = ids();
    let starts = |ids: &[String]| ids.iter().map(|id| world.engine.started(id)).collect::<Vec<_>>();
    let started = starts(&before);

    // In place: the container sees it already.
    std::fs::write(&file, "two").unwrap();
    world.expect_nothing_to_do();
    // As editors and git do.
    let beside = world.manifests().join("site.conf.new");
    std::fs::write(&beside, "three").unwrap();
    std::fs::rename(&beside, &file).unwrap();
    wait_until(SOON, "the service is started again", || starts(&before)[1] != started[1]);
    controller.converged(&shop);
    assert_eq!(ids(), before);
    assert_eq!(starts(&before)[0], started[0], "the other one is left alone");
    assert!(world.engine.archive(&before[1], "/etc/site.conf").contains("three"));
    world.expect_nothing_to_do();
}

#[test]
fn what_the_engine_adds_or_drops_by_itself_is_no_drift() {
    let Some(world) = World::new() else { return };
    let files = [
        "services: {a: {image: IMAGE, hostname: plainhost}}\n",
        "services: {a: {image: IMAGE, hostname: other, networks: {default: {aliases: [other]}}}}\n",
        "services: {a: {image: IMAGE, networks: {n: {}, o: {mac_address: '02:42:0a:4d:03:0f'}}}}\nnetworks: {n: {}, o: {}}\n",
        "services:\n  b: {image: IMAGE, domainname: foo.bar}\n  a: {image: IMAGE, network_mode: 'service:b', environment: {PORT: \
         '9001'}}\n",
        "services: {a: {image: IMAGE, networks: {n: {gw_priority: 1}}}}\nnetworks: {n: {}}\n",
        "services: {a: {image: IMAGE, network_mode: none, blkio_config: {weight: 300}}}\n",
        "services: {a: {image: IMAGE, expose: ['80', '81/udp']}}\n",
    ];
    let projects: Vec<String> = (0..files.len()).map(|n| world.project(&format!("quiet{n}"))).collect();
    for (project, file) in projects.iter().zip(files) {
        world.write(project, file);
    }
    let controller = world.run();
    for (project, file) in projects.iter().zip(files) {
        wait_until(SOON, &format!("converged: {file}"), || controller.project(project)["state"] == "converged");
        assert_eq!(controller.project(project)["drift"], json!([]), "{file}");
    }
    world.expect_nothing_to_do();
}

#[test]
fn a_network_that_was_made_otherwise_is_made_anew_under_its_containers() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let yaml = |internal: bool| {
        format!(
            "services:\n  web: {{image: IMAGE, networks: {{back: {{aliases: [front]}}}}, ports: ['127.0.0.1::8080']}}\n  api: \
             {{image: IMAGE, networks: [back]}}\nnetworks: {{back: {{internal: {internal}}}}}\n"
        )
    };
    world.write(&shop, &yaml(true));
    let controller = world.run();
    controller.converged(&shop);
    let ids = || world.engine.containers(&shop).into_iter().map(|c| c.id).collect::<Vec<_>>();
    let (before, revision) = (ids(), controller.revision(&shop));
    world.write(&shop, &yaml(false));
    controller.converged_anew(&shop, &revision);
    assert_eq!(ids(), before, "no container is made anew");
    let network = world.engine.call("GET", &format!("/networks/{shop}_back"), None);
    assert_eq!(
        (network["Internal"].clone(), network["Containers"].as_object().map(|c| c.len())),
        (json!(false), Some(2))
    );
    let web = world.engine.inspect(&world.engine.container(&shop, "web").id);
    let aliases = web["NetworkSettings"]["Networks"][format!("{shop}_back")]["Aliases"].to_string();
    assert!(aliases.contains("front") && aliases.contains("web"), "{aliases}");
    world.expect_nothing_to_do();
}

#[test]
fn a_volume_that_was_made_otherwise_is_told_and_left_alone() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let yaml = |options: &str| {
        format!(
            "services: {{db: {{image: IMAGE, network_mode: none, volumes: ['data:/data']}}}}\nvolumes: {{data: {options}}}\n"
        )
    };
    world.write(&shop, &yaml("{}"));
    let controller = world.run();
    controller.converged(&shop);
    let made = world.engine.call("GET", &format!("/volumes/{shop}_data"), None)["CreatedAt"].clone();
    world.write(&shop, &yaml("{driver_opts: {type: tmpfs, device: tmpfs}}"));
    wait_until(SOON, "it is told", || {
        let view = controller.project(&shop);
        view["drift"].as_array().is_some_and(|d| d.iter().any(|d| d["path"] == "volumes.data.driver_opts.type"))
    });
    let view = controller.project(&shop);
    assert_eq!(view["drift"][0]["repair"], "blocked", "{view}");
    assert_eq!(view["waiting"][0]["on"], "blocked");
    assert_ne!(view["state"], "converged");
    assert_eq!(world.engine.call("GET", &format!("/volumes/{shop}_data"), None)["CreatedAt"], made);
}
