//! The keys of `x-evenkeel`: what `extension` reads, for the JSON Schema.

use super::Kind::Omitted;
use super::{
    FLAG, Field, INT_OR_TEXT, LIST, Layout, NULL, NUMBER_OR_TEXT, Pattern, Shape, TEXT, TEXT_OR_LIST, field, layout,
};

/// The top-level `x-evenkeel`.
pub(in crate::manifest) static PROJECT_EXTENSION: Layout = Layout {
    extensible: false,
    ..layout(
        "x-evenkeel project",
        &[
            said("suspend", FLAG),
            said("depends_on", Shape::List(&Shape::Matches(PROJECT_NAME), false)),
            said("prune", Shape::OneOf(&[Shape::Object(&PRUNE), NULL])),
            said("drift", DRIFT),
        ],
    )
};

/// The `x-evenkeel` of a service.
pub(in crate::manifest) static SERVICE_EXTENSION: Layout = Layout {
    extensible: false,
    ..layout(
        "x-evenkeel service",
        &[
            said("type", TEXT),
            said("critical", FLAG),
            said("suspend", FLAG),
            said("drift", DRIFT),
            said("supervise", Shape::Word(&["engine", "controller"])),
            said("health", Shape::Object(&HEALTH)),
            said("recovery", Shape::Object(&RECOVERY)),
            said("throttle", Shape::Object(&THROTTLE)),
            said("rollout", Shape::Object(&ROLLOUT)),
            said("reload", Shape::Word(&["restart", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"])),
        ],
    )
};

const fn said(key: &'static str, shape: Shape) -> Field {
    field(key, shape, Omitted)
}

const DRIFT: Shape = Shape::Word(&["enforce", "report"]);

const PROJECT_NAME: Pattern = Pattern {
    regex: "^[a-z0-9][a-z0-9_-]*$",
    matches: |text| crate::model::ProjectName::parse(text).is_ok(),
    wanted: "a project's name",
};

static PRUNE: Layout = Layout { extensible: false, ..layout("prune", &[said("orphans", FLAG), said("volumes", FLAG)]) };

const fn closed(name: &'static str, fields: &'static [Field]) -> Layout {
    Layout { extensible: false, ..layout(name, fields) }
}

static HEALTH: Layout = closed(
    "x-evenkeel health",
    &[
        said("http", Shape::Object(&HTTP)),
        said("tcp", Shape::Object(&TCP)),
        said("grpc", Shape::Object(&GRPC)),
        said("exec", TEXT_OR_LIST),
        said("interval", TEXT),
        said("timeout", TEXT),
        said("retries", INT_OR_TEXT),
        said("successes", INT_OR_TEXT),
        said("start_period", TEXT),
        said("expected_latency", TEXT),
        said("alert_latency", TEXT),
    ],
);

static HTTP: Layout = closed(
    "http probe",
    &[
        said("port", INT_OR_TEXT),
        said("path", TEXT),
        said("scheme", Shape::Word(&["http", "https"])),
        said("host", TEXT),
        said("verify", FLAG),
        said("status", Shape::OneOf(&[INT_OR_TEXT, Shape::List(&INT_OR_TEXT, false)])),
        said("header", TEXT),
        said("body", TEXT),
    ],
);
static TCP: Layout = closed("tcp probe", &[said("port", INT_OR_TEXT)]);
static GRPC: Layout = closed("grpc probe", &[said("port", INT_OR_TEXT), said("service", TEXT)]);

const STRATEGY: Shape = Shape::Word(&["restart", "restart_with_reset", "degraded_mode", "project_restart", "none"]);

static RECOVERY: Layout = closed(
    "recovery",
    &[
        said("strategy", STRATEGY),
        said("unhealthy", STRATEGY),
        said("crashed", STRATEGY),
        said("out_of_memory", STRATEGY),
        said("over_limit", STRATEGY),
        said("max_attempts", INT_OR_TEXT),
        said("window", TEXT),
        said("backoff", Shape::Object(&BACKOFF)),
        said("breaker", Shape::Object(&BREAKER)),
        said("reset", Shape::Object(&RESET)),
        said("degraded", Shape::Object(&DEGRADED)),
        said("cascade", Shape::Word(&["hold", "stop", "ignore"])),
    ],
);

static BACKOFF: Layout = closed(
    "backoff",
    &[said("initial", TEXT), said("factor", NUMBER_OR_TEXT), said("max", TEXT), said("jitter", NUMBER_OR_TEXT)],
);

static BREAKER: Layout = closed("breaker", &[said("cool_down", TEXT)]);
static RESET: Layout = closed("reset", &[said("volumes", LIST)]);
static DEGRADED: Layout = closed("degraded", &[said("stop", LIST)]);

static THROTTLE: Layout = closed(
    "throttle",
    &[
        said("priority", INT_OR_TEXT),
        said("cpu", Shape::Object(&CPU_THROTTLE)),
        said("memory", Shape::Object(&MEMORY_THROTTLE)),
    ],
);

static CPU_THROTTLE: Layout =
    closed("cpu throttle", &[said("above", TEXT), said("for", TEXT), said("to", TEXT), said("release", TEXT)]);
static MEMORY_THROTTLE: Layout = closed(
    "memory throttle",
    &[said("above", TEXT), said("for", TEXT), said("action", Shape::Word(&["alert", "restart"]))],
);

static ROLLOUT: Layout = Layout {
    extensible: false,
    ..layout("rollout", &[said("on_failure", Shape::Word(&["rollback", "pause", "continue"])), said("monitor", TEXT)])
};
