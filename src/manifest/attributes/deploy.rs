//! The keys of `deploy`.

use super::Kind::{
    Bytes, Cpus, Duration, DurationOpt, Float32, Int, IntOpt, Labels, List, Struct, StructOpt, Text, Texts, Uint,
    UintOpt,
};
use super::resources::{DEVICE_REQUEST, DEVICE_REQUESTS};
use super::{Field, INT_OR_TEXT, LIST, Layout, NUMBER_OR_TEXT, PAIRS, Shape, TEXT, field, kept, layout};

/// `deploy`.
pub(super) static DEPLOY: Layout = layout(
    "deploy",
    &[
        field("mode", TEXT, Text),
        field("replicas", INT_OR_TEXT, IntOpt),
        field("labels", PAIRS, Labels),
        field("update_config", Shape::Object(&UPDATE), StructOpt(&UPDATE)),
        field("rollback_config", Shape::Object(&UPDATE), StructOpt(&UPDATE)),
        field("resources", Shape::Object(&RESOURCES), Struct(&RESOURCES)),
        field("restart_policy", Shape::Object(&RESTART_POLICY), StructOpt(&RESTART_POLICY)),
        field("placement", Shape::Object(&PLACEMENT), Struct(&PLACEMENT)),
        field("endpoint_mode", TEXT, Text),
    ],
);

static UPDATE: Layout = layout(
    "update config",
    &[
        field("parallelism", INT_OR_TEXT, UintOpt),
        field("delay", TEXT, Duration),
        field("failure_action", TEXT, Text),
        field("monitor", TEXT, Duration),
        field("max_failure_ratio", NUMBER_OR_TEXT, Float32),
        field("order", Shape::Word(&["start-first", "stop-first"]), Text),
    ],
);

static RESOURCES: Layout = layout(
    "resources",
    &[
        field("limits", Shape::Object(&LIMITS), StructOpt(&LIMITS)),
        field("reservations", Shape::Object(&RESERVATIONS), StructOpt(&RESERVATIONS)),
    ],
);

const CPUS: Field = field("cpus", NUMBER_OR_TEXT, Cpus);
const MEMORY: Field = field("memory", TEXT, Bytes);

static LIMITS: Layout = layout("limits", &[CPUS, MEMORY, field("pids", INT_OR_TEXT, Int)]);

static RESERVATIONS: Layout = layout(
    "reservations",
    &[
        CPUS,
        MEMORY,
        field("devices", DEVICE_REQUESTS, List(&DEVICE_REQUEST)),
        field("generic_resources", Shape::List(&Shape::Object(&GENERIC), false), List(&GENERIC)),
    ],
);

static GENERIC: Layout =
    layout("generic resource", &[field("discrete_resource_spec", Shape::Object(&DISCRETE), StructOpt(&DISCRETE))]);

static DISCRETE: Layout = layout("discrete resource", &[kept("kind", TEXT, Text), kept("value", NUMBER_OR_TEXT, Int)]);

static RESTART_POLICY: Layout = layout(
    "restart policy",
    &[
        field("condition", TEXT, Text),
        field("delay", TEXT, DurationOpt),
        field("max_attempts", INT_OR_TEXT, UintOpt),
        field("window", TEXT, DurationOpt),
    ],
);

static PLACEMENT: Layout = layout(
    "placement",
    &[
        field("constraints", LIST, Texts),
        field("preferences", Shape::List(&Shape::Object(&PREFERENCE), false), List(&PREFERENCE)),
        field("max_replicas_per_node", INT_OR_TEXT, Uint),
    ],
);

static PREFERENCE: Layout = layout("placement preference", &[field("spread", TEXT, Text)]);
