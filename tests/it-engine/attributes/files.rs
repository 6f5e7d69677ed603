//! The Compose files: a service for each few attributes that have nothing to do with each other.

/// Attributes of the process.
pub const PROCESS: &str = r#"
services:
  command: {image: IMAGE, network_mode: none, command: [serve], entrypoint: [/demo-service], working_dir: /tmp}
  cleared: {image: IMAGE, network_mode: none, command: []}
  environment: {image: IMAGE, network_mode: none, environment: {A: "1", B: "", C: "x y=z"}}
  names: {image: IMAGE, network_mode: none, hostname: h1, domainname: example.org, labels: {a: b, c: ""}, annotations: {x: y}}
  user: {image: IMAGE, network_mode: none, user: "1000:1000", group_add: ["7", "8"], init: true}
  terminal: {image: IMAGE, network_mode: none, tty: true, stdin_open: true, stop_signal: SIGINT, stop_grace_period: 1m30s}
  healthcheck: {image: IMAGE, network_mode: none, healthcheck: {test: [CMD, /demo-service, health], interval: 1h30m0s, timeout: 3s, retries: 5, start_period: 2s}}
  unchecked: {image: IMAGE, network_mode: none, healthcheck: {disable: true}}
  logging: {image: IMAGE, network_mode: none, logging: {driver: json-file, options: {max-size: 1m, max-file: "3"}}}
  scaled: {image: IMAGE, network_mode: none, scale: 2, attach: false, profiles: []}
  platform: {image: IMAGE, network_mode: none, platform: linux/amd64, runtime: runc, isolation: default}
"#;

/// Restart policies and what else of `deploy` means something to a single Engine.
pub const DEPLOY: &str = r#"
services:
  no: {image: IMAGE, network_mode: none, restart: "no"}
  always: {image: IMAGE, network_mode: none, restart: always}
  stopped: {image: IMAGE, network_mode: none, restart: unless-stopped}
  failure: {image: IMAGE, network_mode: none, restart: "on-failure:3"}
  condition: {image: IMAGE, network_mode: none, deploy: {restart_policy: {condition: on-failure, delay: 5s, max_attempts: 4, window: 1m0s}}}
  any: {image: IMAGE, network_mode: none, deploy: {restart_policy: {condition: any}}}
  ignored:
    image: IMAGE
    network_mode: none
    deploy:
      mode: replicated
      replicas: 1
      labels: {a: b}
      endpoint_mode: vip
      update_config: {parallelism: 2, delay: 3s, order: stop-first}
      rollback_config: {parallelism: 1}
      placement: {constraints: ["node.role==manager"], preferences: [{spread: x}], max_replicas_per_node: 1}
  limits: {image: IMAGE, network_mode: none, deploy: {resources: {limits: {cpus: 0.3, memory: "67108864", pids: 100}, reservations: {cpus: 0.1, memory: "33554432"}}}}
"#;

/// Limits of the kernel.
pub const LIMITS: &str = r#"
services:
  cpus: {image: IMAGE, network_mode: none, cpus: 0.7, cpu_shares: 512, cpuset: "0"}
  quota: {image: IMAGE, network_mode: none, cpu_period: 50000, cpu_quota: 25000}
  memory: {image: IMAGE, network_mode: none, mem_limit: "67108864", mem_reservation: "33554432", memswap_limit: "134217728", shm_size: "33554432"}
  oom: {image: IMAGE, network_mode: none, oom_score_adj: 100}
  processes: {image: IMAGE, network_mode: none, pids_limit: 50, ulimits: {nproc: 500, nofile: {soft: 100, hard: 200}}}
  devices: {image: IMAGE, network_mode: none, devices: [{source: /dev/null, target: /dev/nothing, permissions: r}], device_cgroup_rules: ["c 1:3 mr"]}
  capabilities: {image: IMAGE, network_mode: none, cap_add: [NET_ADMIN], cap_drop: [MKNOD]}
  security: {image: IMAGE, network_mode: none, security_opt: ["no-new-privileges:true", "systempaths=unconfined"]}
  seccomp: {image: IMAGE, network_mode: none, security_opt: ["seccomp=unconfined"]}
  sysctls: {image: IMAGE, network_mode: none, sysctls: {kernel.shm_rmid_forced: "1"}}
"#;

/// Whose namespaces.
pub const NAMESPACES: &str = r#"
services:
  base: {image: IMAGE, network_mode: none, ipc: shareable, volumes: [{type: volume, target: /shared, volume: {}}]}
  host: {image: IMAGE, network_mode: host, pid: host, ipc: host, uts: host, userns_mode: host, cgroup: host}
  private: {image: IMAGE, network_mode: bridge, ipc: private, cgroup: private}
  shared:
    image: IMAGE
    command: [job, --seconds, "300"]
    network_mode: "service:base"
    ipc: "service:base"
    pid: "service:base"
    volumes_from: ["base:ro"]
    depends_on: {base: {condition: service_started, restart: true, required: true}}
"#;

/// Mounts, configs and secrets.
pub const MOUNTS: &str = r#"
services:
  binds:
    image: IMAGE
    network_mode: none
    volumes:
      - {type: bind, source: DIR/made, target: /made, bind: {create_host_path: true}}
      - {type: bind, source: DIR/made, target: /read, read_only: true, bind: {create_host_path: true, selinux: z}}
      - {type: bind, source: DIR/there, target: /there, bind: {create_host_path: false}}
      - {type: bind, source: DIR/there, target: /spread, bind: {create_host_path: false, propagation: rprivate}}
  volumes:
    image: IMAGE
    network_mode: none
    volumes:
      - {type: volume, source: data, target: /data}
      - {type: volume, source: data, target: /read, read_only: true, volume: {}}
      - {type: volume, source: data, target: /empty, volume: {nocopy: true}}
      - {type: volume, target: /anonymous, volume: {}}
  memory:
    image: IMAGE
    network_mode: none
    tmpfs: ["/fast", "/small:size=1m"]
    volumes:
      - {type: tmpfs, target: /plain}
      - {type: tmpfs, target: /sized, tmpfs: {size: "1048576", mode: 511}}
  files:
    image: IMAGE
    network_mode: none
    configs: [{source: file}, {source: text}, {source: text, target: /etc/app/text, uid: "5", gid: "6", mode: "0440"}]
    secrets: [{source: key, target: /run/secrets/key}, {source: key, target: other}, {source: word, target: /word, mode: "0400"}]
volumes:
  data: {driver: local, labels: {a: "<b>"}, driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}
configs:
  file: {file: DIR/there/file}
  text: {content: "some text\n"}
secrets:
  key: {file: DIR/there/file}
  word: {environment: ATTRIBUTES_WORD}
"#;

/// Networks and what is published.
pub const NETWORKS: &str = r#"
services:
  implicit: {image: IMAGE, expose: ["3000", "4000/udp"]}
  ports:
    image: IMAGE
    ports:
      - {mode: ingress, host_ip: 127.0.0.1, target: 80, protocol: tcp}
      - {mode: ingress, target: 81, protocol: udp}
  resolver:
    image: IMAGE
    dns: [1.1.1.1]
    dns_search: [example.org]
    dns_opt: ["ndots:2"]
    extra_hosts: ["a.example=10.0.0.1", "b.example=10.0.0.2"]
    mac_address: "02:42:ac:11:77:05"
  fixed:
    image: IMAGE
    networks:
      plain: {}
      described: {aliases: [z], ipv4_address: SUBNET.7, priority: 3, driver_opts: {a: b}}
  linked:
    image: IMAGE
    links: [implicit, "implicit:front"]
    depends_on: {implicit: {condition: service_started, restart: true, required: true}}
networks:
  plain:
  described:
    driver: bridge
    driver_opts: {com.docker.network.bridge.enable_icc: "true"}
    attachable: true
    internal: true
    labels: {a: "b&c"}
    enable_ipv6: false
    ipam: {driver: default, config: [{subnet: SUBNET.0/24, gateway: SUBNET.1, ip_range: SUBNET.0/25, aux_addresses: {h: SUBNET.9}}]}
"#;

/// What needs hardware or kernels that not everybody has: made, but not started.
pub const CREATED: &str = r#"
services:
  gpus: {image: IMAGE, network_mode: none, gpus: [{count: -1}, {driver: nvidia, device_ids: ["1"], capabilities: [utility], options: {a: b}}]}
  reserved: {image: IMAGE, network_mode: none, deploy: {resources: {reservations: {devices: [{capabilities: [gpu], driver: nvidia, count: 1}]}}}}
  blkio: {image: IMAGE, network_mode: none, blkio_config: {weight: 300, device_read_bps: [{path: /dev/null, rate: 1048576}], device_write_iops: [{path: /dev/null, rate: 120}]}}
  privileged: {image: IMAGE, network_mode: none, privileged: true, read_only: true}
  parent: {image: IMAGE, network_mode: none, cgroup_parent: /attributes, mem_swappiness: 60, oom_kill_disable: true}

"#;
