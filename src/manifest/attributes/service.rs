//! The keys of a service.

use super::Kind::{
    Bytes, Command, DurationOpt, EnvFiles, Environment, Flag, FlagOpt, Float32, HealthTest, Hosts, Int, IntOpt, Labels,
    List, Map, MapOpt, MultiOptions, Numbers, Omitted, Options, Pairs, StrictMap, StructOpt, Text, TextOrTexts, Texts,
    UintOpt, Ulimits,
};
use super::build::BUILD;
use super::deploy::DEPLOY;
use super::resources::{BLKIO, DEVICE, DEVICE_REQUEST, GPUS};
use super::volume::MOUNT;
use super::{
    COMMAND, DRIVER_OPTS, FILE_REFERENCE, FILE_REFERENCES, FLAG, HOOK, HOSTS, INT_OR_TEXT, Keys, Layout, NULL, NUMBER,
    NUMBER_OR_TEXT, PAIRS, Pattern, SET, STRICT_FLAG, Shape, TEXT, TEXT_OR_LIST, TEXT_OR_NULL, TEXT_OR_SET, Type,
    ULIMITS, field, kept, layout,
};

/// A service.
pub(in crate::manifest) static SERVICE: Layout = layout(
    "service",
    &[
        field("profiles", SET, Texts),
        field("annotations", PAIRS, Pairs),
        field("attach", FLAG, FlagOpt),
        field("build", Shape::OneOf(&[TEXT, Shape::Object(&BUILD)]), StructOpt(&BUILD)),
        field("develop", Shape::OneOf(&[Shape::Object(&DEVELOP), NULL]), StructOpt(&DEVELOP)),
        field("blkio_config", Shape::Object(&BLKIO), StructOpt(&BLKIO)),
        field("cap_add", SET, Texts),
        field("cap_drop", SET, Texts),
        field("cgroup_parent", TEXT, Text),
        field("cgroup", Shape::Word(&["host", "private"]), Text),
        field("cpu_count", Shape::OneOf(&[TEXT, Shape::Within(0, i64::MAX)]), Int),
        field("cpu_percent", Shape::OneOf(&[TEXT, Shape::Within(0, 100)]), Float32),
        field("cpu_period", NUMBER_OR_TEXT, Int),
        field("cpu_quota", NUMBER_OR_TEXT, Int),
        field("cpu_rt_period", NUMBER_OR_TEXT, Int),
        field("cpu_rt_runtime", NUMBER_OR_TEXT, Int),
        field("cpus", NUMBER_OR_TEXT, Float32),
        field("cpuset", TEXT, Text),
        field("cpu_shares", NUMBER_OR_TEXT, Int),
        kept("command", COMMAND, Command),
        field("configs", FILE_REFERENCES, List(&FILE_REFERENCE)),
        field("container_name", Shape::Matches(CONTAINER_NAME), Text),
        field("credential_spec", Shape::Object(&CREDENTIAL_SPEC), StructOpt(&CREDENTIAL_SPEC)),
        field(
            "depends_on",
            Shape::OneOf(&[SET, Shape::Map(Keys::Names, &Shape::Object(&DEPENDENCY))]),
            Map(&DEPENDENCY),
        ),
        field("deploy", Shape::OneOf(&[Shape::Object(&DEPLOY), NULL]), StructOpt(&DEPLOY)),
        field("device_cgroup_rules", SET, Texts),
        field("devices", Shape::List(&Shape::OneOf(&[TEXT, Shape::Object(&DEVICE)]), false), List(&DEVICE)),
        field("dns", TEXT_OR_SET, TextOrTexts),
        field("dns_opt", SET, Texts),
        field("dns_search", TEXT_OR_SET, TextOrTexts),
        field("domainname", TEXT, Text),
        kept("entrypoint", COMMAND, Command),
        field("provider", Shape::Object(&PROVIDER), StructOpt(&PROVIDER)),
        field("environment", PAIRS, Environment),
        field(
            "env_file",
            Shape::OneOf(&[TEXT, Shape::List(&Shape::OneOf(&[TEXT, Shape::Object(&ENV_FILE)]), false)]),
            EnvFiles,
        ),
        field("expose", Shape::List(&NUMBER_OR_TEXT, true), Numbers),
        field("extends", Shape::OneOf(&[TEXT, Shape::Object(&EXTENDS)]), StructOpt(&EXTENDS)),
        field("external_links", SET, Texts),
        field("extra_hosts", HOSTS, Hosts),
        field("group_add", Shape::List(&NUMBER_OR_TEXT, true), Texts),
        field("gpus", GPUS, List(&DEVICE_REQUEST)),
        field("hostname", TEXT, Text),
        field("healthcheck", Shape::Object(&HEALTHCHECK), StructOpt(&HEALTHCHECK)),
        field("image", TEXT, Text),
        field("init", FLAG, FlagOpt),
        field("ipc", TEXT, Text),
        field("isolation", TEXT, Text),
        field("labels", PAIRS, Labels),
        field("label_file", TEXT_OR_LIST, Texts),
        field("links", SET, Texts),
        field("logging", Shape::Object(&LOGGING), StructOpt(&LOGGING)),
        field("mem_limit", NUMBER_OR_TEXT, Bytes),
        field("mem_reservation", INT_OR_TEXT, Bytes),
        field("memswap_limit", NUMBER_OR_TEXT, Bytes),
        field("mem_swappiness", INT_OR_TEXT, Bytes),
        field("mac_address", TEXT, Text),
        field(
            "models",
            Shape::OneOf(&[
                SET,
                Shape::Map(Keys::NamesOrAnything, &Shape::OneOf(&[Shape::Object(&SERVICE_MODEL), NULL])),
            ]),
            MapOpt(&SERVICE_MODEL),
        ),
        field("network_mode", TEXT, Text),
        field(
            "networks",
            Shape::OneOf(&[SET, Shape::Map(Keys::Names, &Shape::OneOf(&[Shape::Object(&ATTACHMENT), NULL]))]),
            MapOpt(&ATTACHMENT),
        ),
        field("oom_kill_disable", FLAG, Flag),
        field("oom_score_adj", Shape::OneOf(&[TEXT, Shape::Within(-1000, 1000)]), Int),
        field("pid", TEXT_OR_NULL, Text),
        field("pids_limit", NUMBER_OR_TEXT, Int),
        field("platform", TEXT, Text),
        field("ports", Shape::List(&Shape::OneOf(&[NUMBER_OR_TEXT, Shape::Object(&PORT)]), true), List(&PORT)),
        field("privileged", FLAG, Flag),
        field("pull_policy", Shape::Matches(PULL_POLICY), Text),
        field("pull_refresh_after", TEXT, Omitted),
        field("read_only", FLAG, Flag),
        field("restart", TEXT, Text),
        field("runtime", TEXT, Text),
        field("scale", INT_OR_TEXT, IntOpt),
        field("secrets", FILE_REFERENCES, List(&FILE_REFERENCE)),
        field("security_opt", SET, Texts),
        field("shm_size", NUMBER_OR_TEXT, Bytes),
        field("stdin_open", FLAG, Flag),
        field("stop_grace_period", TEXT, DurationOpt),
        field("stop_signal", TEXT, Text),
        field("storage_opt", Shape::Map(Keys::Any, &Shape::Any), StrictMap),
        field("sysctls", PAIRS, Pairs),
        field("tmpfs", TEXT_OR_SET, TextOrTexts),
        field("tty", FLAG, Flag),
        field("ulimits", ULIMITS, Ulimits),
        field("use_api_socket", STRICT_FLAG, Flag),
        field("user", TEXT, Text),
        field("userns_mode", TEXT, Text),
        field("uts", TEXT, Text),
        field("volumes", Shape::List(&Shape::OneOf(&[TEXT, Shape::Object(&MOUNT)]), true), List(&MOUNT)),
        field("volumes_from", SET, Texts),
        field("working_dir", TEXT, Text),
        field("post_start", Shape::List(&Shape::Object(&HOOK), false), List(&HOOK)),
        field("pre_stop", Shape::List(&Shape::Object(&HOOK), false), List(&HOOK)),
    ],
);

const CONTAINER_NAME: Pattern = Pattern {
    regex: "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
    matches: |text| {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        text.as_bytes().windows(2).any(|w| w[0].is_ascii_alphanumeric() && word(w[1]))
    },
    wanted: "letters, digits, `_`, `.` and `-`, at least two of them",
};

const PULL_POLICY: Pattern = Pattern {
    regex: "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
    matches: |text| {
        let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
        words.iter().any(|w| text.contains(w))
            || text.match_indices("every_").any(|(at, word)| {
                let rest = text[at + word.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
                text.as_bytes().get(at + word.len()).is_some_and(u8::is_ascii_digit)
                    && rest.starts_with(['w', 'd', 'h', 'm', 's'])
            })
    },
    wanted: "`always`, `never`, `missing`, `if_not_present`, `build`, `daily`, `weekly` or `every_` with a duration",
};

static DEVELOP: Layout = layout("develop", &[field("watch", Shape::List(&Shape::Object(&WATCH), false), List(&WATCH))]);

static WATCH: Layout = Layout {
    required: &["path", "action"],
    ..layout(
        "watch",
        &[
            kept("path", TEXT, Text),
            kept("action", Shape::Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]), Text),
            field("target", TEXT, Text),
            field("exec", Shape::Object(&HOOK), super::Kind::Struct(&HOOK)),
            field("include", TEXT_OR_SET, TextOrTexts),
            field("ignore", TEXT_OR_SET, TextOrTexts),
            field("initial_sync", STRICT_FLAG, Flag),
        ],
    )
};

static CREDENTIAL_SPEC: Layout =
    layout("credential spec", &[field("config", TEXT, Text), field("file", TEXT, Text), field("registry", TEXT, Text)]);

static DEPENDENCY: Layout = Layout {
    required: &["condition"],
    ..layout(
        "dependency",
        &[
            field(
                "condition",
                Shape::Word(&["service_started", "service_healthy", "service_completed_successfully"]),
                Text,
            ),
            field("restart", FLAG, Flag),
            kept("required", STRICT_FLAG, Flag),
        ],
    )
};

static PROVIDER: Layout = Layout {
    required: &["type"],
    ..layout("provider", &[field("type", TEXT, Text), field("options", PROVIDER_OPTIONS, MultiOptions)])
};

const SCALAR: Shape = Shape::Is(&[Type::Text, Type::Number, Type::Bool]);
const PROVIDER_OPTIONS: Shape = Shape::Map(Keys::Any, &Shape::OneOf(&[SCALAR, Shape::List(&SCALAR, false)]));

static ENV_FILE: Layout = Layout {
    required: &["path"],
    extensible: false,
    ..layout("env file", &[field("path", TEXT, Text), kept("required", FLAG, Flag), field("format", TEXT, Text)])
};

static EXTENDS: Layout = Layout {
    required: &["service"],
    extensible: false,
    ..layout("extends", &[field("file", TEXT, Text), field("service", TEXT, Text)])
};

static HEALTHCHECK: Layout = layout(
    "healthcheck",
    &[
        field("test", TEXT_OR_LIST, HealthTest),
        field("timeout", TEXT, DurationOpt),
        field("interval", TEXT, DurationOpt),
        field("retries", NUMBER_OR_TEXT, UintOpt),
        field("start_period", TEXT, DurationOpt),
        field("start_interval", TEXT, DurationOpt),
        field("disable", FLAG, Flag),
    ],
);

const LOG_OPTIONS: Shape = Shape::Map(Keys::Any, &Shape::Is(&[Type::Text, Type::Number, Type::Null]));
static LOGGING: Layout = layout("logging", &[field("driver", TEXT, Text), field("options", LOG_OPTIONS, Options)]);

static SERVICE_MODEL: Layout =
    layout("service model", &[field("endpoint_var", TEXT, Text), field("model_var", TEXT, Text)]);

/// How a service is attached to a network.
static ATTACHMENT: Layout = layout(
    "attachment",
    &[
        field("aliases", SET, Texts),
        field("driver_opts", DRIVER_OPTS, Options),
        field("gw_priority", NUMBER, Int),
        field("interface_name", TEXT, Text),
        field("ipv4_address", TEXT, Text),
        field("ipv6_address", TEXT, Text),
        field("link_local_ips", SET, Texts),
        field("mac_address", TEXT, Text),
        field("priority", NUMBER, Int),
    ],
);

static PORT: Layout = layout(
    "port",
    &[
        field("name", TEXT, Text),
        field("mode", TEXT, Text),
        field("host_ip", TEXT, Text),
        field("target", INT_OR_TEXT, super::Kind::Uint),
        field("published", INT_OR_TEXT, Text),
        field("protocol", TEXT, Text),
        field("app_protocol", TEXT, Text),
    ],
);
