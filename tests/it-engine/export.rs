//! What runs, as a Compose file again.

use crate::support::World;

#[test]
fn an_exported_project_plans_nothing_and_says_what_its_manifest_said() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        r#"
services:
  db:
    image: IMAGE
    environment: {PASSWORD: "a$$b c", EMPTY: ""}
    volumes: ["data:/data", "/anonymous", "/tmp:/host:ro"]
    tmpfs: ["/run:size=1m"]
    networks: {default: {aliases: [store]}, back: {}}
    healthcheck: {test: [CMD, /demo-service, health], interval: 3s, retries: 4}
    mem_limit: 64m
    cpus: 0.5
    cap_drop: [NET_RAW]
    ulimits: {nofile: {soft: 100, hard: 200}}
    sysctls: {net.ipv4.ip_forward: "1"}
    labels: {tier: data}
    logging: {driver: json-file, options: {max-size: 1m}}
    extra_hosts: ["elsewhere:10.0.0.1"]
    stop_grace_period: 3s
    restart: unless-stopped
  web:
    image: IMAGE
    command: [serve]
    scale: 2
    depends_on: [db]
    ports: ["127.0.0.1::80"]
  side:
    image: IMAGE
    network_mode: service:db
    environment: {PORT: "9001"}
networks: {back: {}}
volumes: {data: {}}
"#,
    );
    let controller = world.run();
    controller.converged(&shop);
    drop(controller);
    let exported = world.verb(&["export", &shop]);
    assert_eq!((exported.code, exported.err.as_str()), (Some(0), ""), "{}", exported.out);
    for line in ["tier: data", "service:db", "scale: 2", "interval: 3s", "store", "data:/data", "a$$b c"] {
        assert!(exported.out.contains(line), "{line}:\n{}", exported.out);
    }
    assert!(!exported.out.contains("com.docker.compose"), "{}", exported.out);
    let file = world.dir().join("exported.yaml");
    std::fs::write(&file, &exported.out).unwrap();
    let plan = world.verb(&["plan", &file.display().to_string()]);
    assert_eq!(plan.code, Some(0), "{}\n{}\n{}", exported.out, plan.out, plan.err);
    let unknown = world.verb(&["export", "no-such-project"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("no containers of a project"), "{}", unknown.err);
}
