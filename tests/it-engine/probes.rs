//! Probes of real containers: each class, what follows from it, and which way was taken.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{SOON, World, wait_for, wait_until};

/// Tells a demo service how to behave.
pub fn tell(world: &World, id: &str, behaviour: &Value) {
    let networks = world.engine.inspect(id)["NetworkSettings"]["Networks"].clone();
    let address = networks.as_object().unwrap().values().find_map(|n| n["IPAddress"].as_str()).unwrap().to_owned();
    let body = behaviour.to_string();
    let request = format!(
        "POST /control HTTP/1.1\r\nhost: it\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = wait_for(SOON, "it is told", || {
        let mut stream = TcpStream::connect((address.as_str(), 8080)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_service_is_healthy_degraded_or_unhealthy_as_its_answers_are() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  web:\n    image: IMAGE\n    x-evenkeel:\n      critical: true\n      health: {http: {port: 8080, path: /health}, \
         interval: 200ms, timeout: 2s, retries: 2, expected_latency: 100ms, alert_latency: 300ms}\n  after: {image: IMAGE, depends_on: \
         {web: {condition: service_healthy}}}\n",
    );
    let controller = world.run();
    controller.converged(&shop);
    let web = world.engine.container(&shop, "web").id;
    let is = |class: &str| controller.service(&shop, "web")["class"] == class;
    let events = |kind: &str| controller.events(&shop, kind).len();
    wait_until(SOON, "it is healthy", || is("healthy"));
    let seen = controller.service(&shop, "web");
    assert_eq!(seen["probe"], "http");
    assert_eq!(seen["containers"][0]["probed"]["way"], "address", "{seen}");

    tell(&world, &web, &json!({"latency_ms": 150}));
    wait_until(SOON, "it is slow", || is("degraded"));
    assert_eq!(events("HighLatency"), 0);
    tell(&world, &web, &json!({"latency_ms": 400}));
    wait_until(SOON, "that is told", || events("HighLatency") == 1);
    let labels = [("service_id", format!("{shop}.web"))];
    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
    wait_until(SOON, "metrics have it", || controller.metric("service_health_status", &labels) == Some(2.0));
    tell(&world, &web, &json!({"reset": true}));
    wait_until(SOON, "it is healthy again", || is("healthy"));

    let started = world.engine.started(&web);
    tell(&world, &web, &json!({"fail": true}));
    wait_until(SOON, "it is started again", || world.engine.started(&web) != started);
    wait_until(SOON, "it is healthy again", || is("healthy"));
    controller.converged(&shop);
    let told: Vec<Value> = controller.events(&shop, "ServiceDown");
    assert!(told.iter().any(|e| e["message"].as_str().is_some_and(|m| m.contains("503"))), "{told:?}");
    world.expect_nothing_to_do();
}

#[test]
fn a_dependency_that_is_down_degrades_and_is_named() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let probe = "x-evenkeel: {health: {http: {port: 8080, path: /health}, interval: 200ms}}";
    world.write(
        &shop,
        &format!(
            "services:\n  web: {{image: IMAGE, environment: {{DEPENDENCIES: 'db=http://db:8080/health', DEPENDENCY_INTERVAL: '1'}}, \
             {probe}}}\n  db: {{image: IMAGE, {probe}}}\n"
        ),
    );
    let controller = world.run();
    controller.converged(&shop);
    let is = |service: &str, class: &str| controller.service(&shop, service)["class"] == class;
    wait_until(SOON, "both are healthy", || is("web", "healthy") && is("db", "healthy"));
    world.write(
        &shop,
        &format!(
            "services:\n  web: {{image: IMAGE, environment: {{DEPENDENCIES: 'db=http://db:8080/health', DEPENDENCY_INTERVAL: '1'}}, \
             {probe}}}\n  db: {{image: IMAGE, environment: {{FAIL: health}}}}\n"
        ),
    );
    wait_until(SOON, "it is degraded", || is("web", "degraded"));
    let reasons = controller.service(&shop, "web")["reasons"].clone();
    assert_eq!(reasons, json!(["db is down"]));
}

#[test]
fn a_connection_or_a_command_will_do_as_well() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  tcp: {image: IMAGE, x-evenkeel: {health: {tcp: {port: 8080}, interval: 200ms}}}\n  exec: {image: IMAGE, \
         network_mode: none, x-evenkeel: {health: {exec: [/demo-service, health], interval: 200ms, timeout: 5s}}}\n  closed: {image: \
         IMAGE, x-evenkeel: {health: {tcp: {port: 81}, interval: 200ms, retries: 2}, recovery: {strategy: none}}}\n",
    );
    let controller = world.run();
    let of = |service: &str| controller.service(&shop, service);
    wait_until(SOON, "they are healthy", || of("tcp")["class"] == "healthy" && of("exec")["class"] == "healthy");
    assert_eq!(of("exec")["containers"][0]["probed"]["way"], "exec");
    wait_until(SOON, "nobody listens", || of("closed")["class"] == "unhealthy");
    assert!(of("closed")["reasons"][0].as_str().unwrap().contains("refuses"), "{}", of("closed"));
}

#[test]
fn a_controller_in_a_container_goes_by_the_port_that_the_host_has() {
    let Some(world) = World::new() else { return };
    // In this order they are removed: it would make anew what is gone.
    let (keeper, shop) = (world.project("keeper"), world.project("shop"));
    let free = std::net::TcpListener::bind("0.0.0.0:0").and_then(|listener| listener.local_addr()).unwrap().port();
    let probe = "x-evenkeel: {health: {http: {port: 8080, path: /health}, interval: 500ms, timeout: 1s, retries: 1}, \
                 recovery: {strategy: none}}";
    world.write(
        &shop,
        &format!(
            "services:\n  web: {{image: IMAGE, ports: ['{free}:8080'], {probe}}}\n  hidden: {{image: IMAGE, {probe}}}\n"
        ),
    );
    let (dir, socket) = (world.dir().display(), world.engine.socket().display());
    let body = json!({
        "Image": world.image,
        "Entrypoint": ["/evenkeel"],
        "Cmd": ["run", "--manifests", format!("{dir}/manifests"), "--state", format!("{dir}/state")],
        "Labels": {"com.docker.compose.project": keeper},
        "HostConfig": {"Binds": [
            format!("{}:/evenkeel:ro", env!("CARGO_BIN_EXE_evenkeel")),
            format!("{socket}:/var/run/docker.sock"),
            format!("{dir}:{dir}"),
        ]},
    });
    let made = world.engine.call("POST", &format!("/containers/create?name={keeper}-evenkeel"), Some(&body));
    let id = made["Id"].as_str().unwrap().to_owned();
    world.engine.call("POST", &format!("/containers/{id}/start"), None);
    let service = |name: &str| -> Value {
        let status = world.verb(&["status", "--format", "json"]);
        let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
        status["projects"][0]["services"][name].clone()
    };
    let probed = |name: &str| service(name)["containers"][0]["probed"].clone();
    let web = wait_for(SOON, "it is reached", || Some(service("web")).filter(|web| web["class"] == "healthy"));
    assert_eq!(web["containers"][0]["probed"]["way"], "published", "{web}");
    // On another network, with nothing published, and no program in it that could ask.
    let hidden = wait_for(SOON, "that is told", || Some(probed("hidden")).filter(|p| p["class"] == "unhealthy"));
    assert_eq!(hidden["way"], "address", "{hidden}");
    assert!(hidden["error"].as_str().is_some_and(|error| error.contains("no answer of")), "{hidden}");
    assert_eq!(world.engine.inspect(&id)["State"]["Running"], true, "it leaves itself alone");
}
