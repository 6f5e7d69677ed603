//! What editors say about a key, one line each.

/// The words on a key of a layout.
pub(in crate::manifest) fn about(layout: &str, key: &str) -> Option<&'static str> {
    let (_, keys) = WORDS.iter().find(|(name, _)| *name == layout)?;
    keys.iter().find(|(name, _)| *name == key).map(|(_, words)| *words)
}

/// By layout and key.
pub(in crate::manifest) static WORDS: &[(&str, &[(&str, &str)])] = &[
    (
        "file",
        &[
            ("version", "Without effect; older versions of Compose asked for it."),
            ("name", "The project's name: lower-case letters, digits, `-` and `_`. Otherwise the folder's."),
            ("include", "Other Compose files whose services and resources are taken in."),
            ("services", "What runs, by name: each service is one container or several equal ones."),
            ("networks", "The networks that services are attached to. Without any there is one called `default`."),
            ("volumes", "Named volumes: data that outlives its containers."),
            ("secrets", "Sensitive data that services are given as files."),
            ("configs", "Configuration that services are given as files."),
            ("models", "AI models that services use."),
        ],
    ),
    (
        "service",
        &[
            ("annotations", "Annotations for the container's runtime."),
            ("attach", "`false`: `docker compose up` does not show this service's output."),
            ("build", "How the image is built: a folder, or a mapping."),
            ("cap_add", "Linux capabilities that the container has beside the usual ones."),
            ("cap_drop", "Linux capabilities that are taken from the container; `ALL` takes all of them."),
            (
                "command",
                "Replaces the image's command. A list is run as it is; text is split into words as a shell does.",
            ),
            ("configs", "Entries of the top-level `configs` that appear as files in the container."),
            ("container_name", "A fixed name for the container. There can be one replica only then."),
            ("cpus", "How many CPUs the container may use at most, for example `0.5`."),
            ("cpuset", "The CPUs that the container may run on, for example `0-2` or `0,3`."),
            ("depends_on", "Services that are started first, and what of them is waited for."),
            ("deploy", "Replicas, limits, and how updates and restarts are made."),
            ("devices", "Devices of the host that the container may use, as `HOST:CONTAINER:PERMISSIONS`."),
            ("develop", "What `docker compose watch` does when sources change."),
            ("dns", "Name servers in place of the host's."),
            ("dns_search", "Domains that names are looked up in."),
            ("domainname", "The container's domain name."),
            ("entrypoint", "Replaces the image's entry point; the image's command is dropped with it."),
            ("env_file", "Files with environment variables; `environment` wins over them."),
            (
                "environment",
                "Environment variables, as a mapping or as `NAME=value`. Without a value it is taken from outside.",
            ),
            ("expose", "Ports for other services only; nothing is published on the host."),
            ("extends", "Takes over the configuration of another service."),
            ("extra_hosts", "Further names in the container's `/etc/hosts`, as `HOST=ADDRESS`."),
            ("gpus", "GPUs that the container may use: `all`, or a list."),
            ("group_add", "Further groups of the container's user."),
            ("healthcheck", "How the Engine finds out whether the service works."),
            ("hostname", "The container's own host name."),
            ("image", "The image, as `[REGISTRY/]NAME[:TAG][@DIGEST]`."),
            ("init", "Runs a small init as process 1, which passes signals on and reaps children."),
            ("ipc", "Whose shared memory the container uses: `private`, `shareable`, `host` or `service:NAME`."),
            ("label_file", "Files with labels; `labels` wins over them."),
            ("labels", "Labels on the container."),
            ("links", "Names for containers of other services. Services of one network find each other without."),
            ("logging", "The log driver and its options."),
            ("mac_address", "The container's hardware address."),
            ("mem_limit", "How much memory the container may use at most, for example `64m`."),
            ("mem_reservation", "How much memory is kept for it when memory is short."),
            ("memswap_limit", "Memory and swap together; `-1`: as much swap as there is."),
            ("network_mode", "`host`, `none`, `bridge`, `service:NAME` or `container:NAME`, in place of `networks`."),
            ("networks", "Entries of the top-level `networks` that the service is attached to."),
            ("oom_score_adj", "How early the kernel ends the container when memory is short, -1000 to 1000."),
            ("pid", "Whose processes the container sees: `host`, `service:NAME` or `container:NAME`."),
            ("pids_limit", "How many processes there may be in the container; `-1`: any number."),
            ("platform", "The platform of the image, for example `linux/arm64`."),
            ("ports", "Ports published on the host, as `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]` or as mappings."),
            ("post_start", "Commands that run in the container after its start."),
            ("pre_stop", "Commands that run in the container before it is stopped."),
            ("privileged", "Gives the container all capabilities and devices of the host."),
            ("profiles", "The service is only there when one of these profiles is enabled."),
            ("provider", "Something other than a container provides the service."),
            (
                "pull_policy",
                "When the image is fetched: `missing`, `always`, `never`, `build`, `daily`, `weekly`, `every_…`.",
            ),
            ("read_only", "The container's root file system cannot be written."),
            ("restart", "What happens after its end: `no`, `always`, `unless-stopped` or `on-failure[:TIMES]`."),
            ("runtime", "The OCI runtime, for example `runc`."),
            ("scale", "How many containers; `deploy.replicas` says the same."),
            ("secrets", "Entries of the top-level `secrets` that appear as files in the container."),
            ("security_opt", "Labels and profiles of the kernel's security modules, `no-new-privileges`."),
            ("shm_size", "The size of `/dev/shm`, for example `64m`."),
            ("stdin_open", "Keeps the standard input open."),
            (
                "stop_grace_period",
                "How long the service may take to end before it is killed, for example `30s`; 10s otherwise.",
            ),
            ("stop_signal", "The signal that asks the service to end; SIGTERM otherwise."),
            ("sysctls", "Kernel parameters in the container."),
            ("tmpfs", "Paths in the container that are held in memory."),
            ("tty", "Gives the container a terminal."),
            ("ulimits", "Limits of the container's processes, for example `nofile`."),
            ("user", "The user that the command runs as, `USER[:GROUP]`."),
            ("volumes", "Paths of the host and volumes in the container, as `SOURCE:TARGET[:MODE]` or as mappings."),
            ("volumes_from", "Takes over all mounts of another service or container."),
            ("working_dir", "The folder that the command starts in."),
        ],
    ),
    (
        "dependency",
        &[
            ("condition", "What is waited for: its start, its health check, or its end with 0."),
            ("required", "`false`: a dependency that is not there only gives a warning."),
            ("restart", "Restarted when the dependency is updated."),
        ],
    ),
    (
        "healthcheck",
        &[
            ("test", "`[\"CMD\", …]`, `[\"CMD-SHELL\", …]`, `[\"NONE\"]`, or text for a shell."),
            ("interval", "Between two checks, for example `10s`."),
            ("timeout", "How long one check may take."),
            ("retries", "Failures in a row before the container is unhealthy."),
            ("start_period", "Failures in this time after the start do not count."),
            ("start_interval", "Between two checks during `start_period`."),
            ("disable", "Turns the image's own check off."),
        ],
    ),
    (
        "deploy",
        &[
            ("mode", "`replicated` or `global`, and the same for jobs."),
            ("replicas", "How many containers."),
            ("resources", "What the containers may use at most, and what is kept for them."),
            ("restart_policy", "When a container is restarted; read before `restart`."),
            ("update_config", "How an update is made: order, parallelism, what a failure means."),
        ],
    ),
    (
        "port",
        &[
            ("target", "The container's port."),
            ("published", "The host's port or range of ports; without it the Engine picks one."),
            ("host_ip", "The host's address; without it all addresses."),
            ("protocol", "`tcp`, `udp` or `sctp`."),
        ],
    ),
    (
        "mount",
        &[
            ("type", "What is mounted."),
            ("source", "A path of the host, or a volume's name."),
            ("target", "The path in the container."),
            ("read_only", "The container cannot write to it."),
        ],
    ),
    (
        "x-evenkeel project",
        &[
            ("suspend", "true: evenkeel watches the project and reports, and changes nothing."),
            ("depends_on", "Other projects that must be converged first."),
            ("prune", "What is removed once the file does not name it any more."),
            ("drift", "`enforce`: what somebody changed is put right; `report`: it is only told."),
        ],
    ),
    (
        "prune",
        &[
            ("orphans", "Containers of services that are gone from the file are removed."),
            ("volumes", "true: volumes that are gone from the file are removed with all that is in them."),
        ],
    ),
    (
        "x-evenkeel service",
        &[
            ("type", "A label on metrics, any word; `job` marks a service that is to end with 0."),
            ("critical", "The service counts for the overall health."),
            ("suspend", "true: evenkeel watches the service and reports, and changes nothing."),
            ("drift", "`enforce` or `report` for this service alone."),
            (
                "supervise",
                "Who restarts the containers: `engine`, by the policy as written, or `controller` alone, which keeps the order of dependencies after a reboot too.",
            ),
            (
                "health",
                "A probe that evenkeel makes itself, with `http`, `tcp`, `grpc` or `exec`. Not acted on by this version: it gives a warning.",
            ),
            (
                "recovery",
                "What is done when the service fails, and how often. Not acted on by this version: it gives a warning.",
            ),
            (
                "throttle",
                "What the service gives up when the host is under pressure. Not acted on by this version: it gives a warning.",
            ),
            ("rollout", "What a failed update means, and how long a new revision is watched."),
            (
                "reload",
                "What follows when a file that is mounted by itself gets another content: `restart`, or a signal such as `SIGHUP`.",
            ),
        ],
    ),
    (
        "x-evenkeel health",
        &[
            ("retries", "Failures in a row before the service is unhealthy."),
            ("expected_latency", "Slower answers make the service degraded, for example `500ms`."),
            ("alert_latency", "Slower answers make an event."),
        ],
    ),
    (
        "recovery",
        &[
            ("strategy", "`restart`, `restart_with_reset`, `degraded_mode`, `project_restart` or `none`."),
            ("max_attempts", "So many within the window; then there is a pause."),
            ("window", "The time that attempts are counted in, for example `10m`."),
            ("cascade", "What happens to dependents meanwhile: `hold`, `stop` or `ignore`."),
            ("reset", "What `restart_with_reset` empties: only what is named here."),
            ("degraded", "What `degraded_mode` gives up."),
        ],
    ),
    ("throttle", &[("priority", "Under pressure the lowest go first.")]),
    (
        "rollout",
        &[
            ("on_failure", "`rollback`: the last healthy revision is taken again."),
            ("monitor", "How long a new revision must stay well, for example `10s`."),
        ],
    ),
];
