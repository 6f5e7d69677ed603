//! Every key of a Compose file, in one place: what may be written for it, and what it becomes.
//!
//! Three things are read off these tables: the check of a file (`check::keys`), the form in which values are kept, printed and
//! hashed (`bind::values`, `render`), and the JSON Schema that editors use (`json_schema`). The keys and the forms they may be
//! written in are those of the Compose Specification; the fields stand in the order of compose-go's structures, because
//! a service's hash covers its fields in that order.

mod build;
mod deploy;
mod evenkeel;
mod json_schema;
mod resources;
mod service;
mod volume;
mod words;

use Kind::{
    Environment, Flag, FlagOpt, Int, Labels, List, Map, Omitted, Options, Pairs, StrictMap, Struct, Text, TextOrTexts,
    Texts,
};
pub(super) use evenkeel::{PROJECT_EXTENSION, SERVICE_EXTENSION};
pub use json_schema::json_schema;
pub(super) use service::SERVICE;
#[cfg(test)]
pub(super) use words::WORDS;
pub(super) use words::about;

/// A type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    /// A whole number.
    Int,
    Number,
    Text,
}

/// What may be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Whatever YAML can say.
    Any,
    /// A scalar of one of these types.
    Is(&'static [Type]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text that holds a match of a pattern, and how to say that.
    Matches(Pattern),
    /// A whole number in this range.
    Within(i64, i64),
    /// A list; whether an element may stand in it once only.
    List(&'static Shape, bool),
    /// A mapping from names.
    Map(Keys, &'static Shape),
    /// A mapping with these keys.
    Object(&'static Layout),
    /// One of these; they differ in the kind of value.
    OneOf(&'static [Shape]),
}

/// The names in a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Whatever is written.
    Any,
    /// Letters, digits, `.`, `_` and `-`; others are refused.
    Names,
    /// The same; what stands under others is not looked at.
    NamesOrAnything,
    /// Small letters; what stands under others is not looked at.
    LowerOrAnything,
}

/// A pattern that a text must match somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern {
    /// For the JSON Schema.
    pub(super) regex: &'static str,
    /// Whether a text matches.
    pub(super) matches: fn(&str) -> bool,
    /// What is wanted, for messages.
    pub(super) wanted: &'static str,
}

/// What a value becomes: the types of compose-go's structures.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// Left out where false.
    Flag,
    /// `true` or `false`, kept where false.
    FlagOpt,
    /// Left out where 0.
    Int,
    /// Kept where 0.
    IntOpt,
    /// The same, never negative.
    Uint,
    UintOpt,
    Float32,
    /// A number of CPUs.
    Cpus,
    Duration,
    DurationOpt,
    /// A size.
    Bytes,
    /// A file mode in octal.
    Mode,
    /// A number of devices; `all` is -1.
    Count,
    /// Words; kept where null or empty.
    Command,
    /// `["CMD", …]`, or text for a shell.
    HealthTest,
    /// A list of text.
    Texts,
    /// The same; a text alone is a list of one.
    TextOrTexts,
    /// A list of text and numbers.
    Numbers,
    /// A mapping to text; null is empty.
    Options,
    /// The same, or a list of `key=value`.
    Pairs,
    /// A mapping to text, or a list of `key=value`, as labels are.
    Labels,
    /// The same; null stays, and is taken from outside.
    Environment,
    /// A mapping to text.
    StrictMap,
    /// A mapping to lists.
    MultiOptions,
    /// Host names with addresses.
    Hosts,
    /// Keys for a build.
    Ssh,
    /// A mapping to limits.
    Ulimits,
    /// The entries of `env_file`: paths, or objects with a path.
    EnvFiles,
    /// An object that is always there once its parent is.
    Struct(&'static Layout),
    StructOpt(&'static Layout),
    /// A list of objects.
    List(&'static Layout),
    /// A mapping to objects.
    Map(&'static Layout),
    /// The same; null stays.
    MapOpt(&'static Layout),
    /// Accepted, and of no effect in Compose.
    Omitted,
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) shape: Shape,
    pub(super) kind: Kind,
    /// Printed even where it is empty.
    pub(super) kept: bool,
    /// How it is printed where that differs from the key.
    pub(super) printed: Option<&'static str>,
}

/// An object: its keys, in the order they are printed and hashed in.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
    pub(super) required: &'static [&'static str],
    /// `x-…` may stand in it.
    pub(super) extensible: bool,
    /// Other keys may, too.
    pub(super) open: bool,
}

impl Layout {
    /// The field of a key.
    pub(super) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.key == key)
    }
}

/// The key under which the extensions of a bound object are kept.
pub(super) const EXTENSIONS: &str = "#extensions";

/// Brings the keys of a service into the order in which they are hashed.
pub(super) fn order_service(service: &mut crate::manifest::document::Node) {
    let order = |key: &str| SERVICE.fields.iter().position(|f| f.key == key).unwrap_or(usize::MAX);
    if let Some(map) = service.as_map_mut() {
        map.sort_by(|a, _, b, _| order(a).cmp(&order(b)));
    }
}

const fn layout(name: &'static str, fields: &'static [Field]) -> Layout {
    Layout { name, fields, required: &[], extensible: true, open: false }
}

const fn field(key: &'static str, shape: Shape, kind: Kind) -> Field {
    Field { key, shape, kind, kept: false, printed: None }
}

const fn kept(key: &'static str, shape: Shape, kind: Kind) -> Field {
    Field { key, shape, kind, kept: true, printed: None }
}

const TEXT: Shape = Shape::Is(&[Type::Text]);
const TEXT_OR_NULL: Shape = Shape::Is(&[Type::Text, Type::Null]);
const FLAG: Shape = Shape::Is(&[Type::Bool, Type::Text]);
const STRICT_FLAG: Shape = Shape::Is(&[Type::Bool]);
const INT: Shape = Shape::Is(&[Type::Int]);
const NUMBER: Shape = Shape::Is(&[Type::Number]);
const INT_OR_TEXT: Shape = Shape::Is(&[Type::Int, Type::Text]);
const NUMBER_OR_TEXT: Shape = Shape::Is(&[Type::Number, Type::Text]);
const NULL: Shape = Shape::Is(&[Type::Null]);
/// A list of text.
const LIST: Shape = Shape::List(&TEXT, false);
/// A list of text without doubles.
const SET: Shape = Shape::List(&TEXT, true);
const TEXT_OR_SET: Shape = Shape::OneOf(&[TEXT, SET]);
const TEXT_OR_LIST: Shape = Shape::OneOf(&[TEXT, LIST]);
const COMMAND: Shape = Shape::OneOf(&[NULL, TEXT, LIST]);
/// A mapping, or a list of `key=value`.
const PAIRS: Shape =
    Shape::OneOf(&[Shape::Map(Keys::Any, &Shape::Is(&[Type::Text, Type::Number, Type::Bool, Type::Null])), SET]);
const DRIVER_OPTS: Shape = Shape::Map(Keys::Any, &NUMBER_OR_TEXT);
const HOSTS: Shape = Shape::OneOf(&[Shape::Map(Keys::Any, &TEXT_OR_LIST), SET]);
const ULIMITS: Shape = Shape::Map(Keys::LowerOrAnything, &Shape::OneOf(&[INT_OR_TEXT, Shape::Object(&ULIMIT)]));
/// What a service says of a config or secret.
const FILE_REFERENCES: Shape = Shape::List(&Shape::OneOf(&[TEXT, Shape::Object(&FILE_REFERENCE)]), false);

/// A Compose file.
pub(super) static FILE: Layout = layout(
    "file",
    &[
        field("version", TEXT, Omitted),
        field("name", TEXT, Text),
        field("include", Shape::List(&INCLUDED, false), Omitted),
        kept("services", Shape::Map(Keys::Names, &Shape::Object(&SERVICE)), Map(&SERVICE)),
        field("networks", Shape::Map(Keys::NamesOrAnything, &NETWORK_OR_NULL), Map(&NETWORK)),
        field("volumes", Shape::Map(Keys::Names, &VOLUME_OR_NULL), Map(&VOLUME)),
        field("secrets", Shape::Map(Keys::Names, &Shape::Object(&SECRET)), Map(&SECRET)),
        field("configs", Shape::Map(Keys::Names, &Shape::Object(&CONFIG)), Map(&CONFIG)),
        field("models", Shape::Map(Keys::NamesOrAnything, &Shape::Object(&MODEL)), Map(&MODEL)),
    ],
);

/// An entry of `include`.
pub(super) const INCLUDED: Shape = Shape::OneOf(&[TEXT, Shape::Object(&INCLUDE)]);

/// The long form of it.
pub(super) static INCLUDE: Layout = Layout {
    extensible: false,
    ..layout(
        "include",
        &[
            field("path", TEXT_OR_SET, TextOrTexts),
            field("project_directory", TEXT, Text),
            field("env_file", TEXT_OR_SET, TextOrTexts),
        ],
    )
};

const NETWORK_OR_NULL: Shape = Shape::OneOf(&[Shape::Object(&NETWORK), NULL]);
const VOLUME_OR_NULL: Shape = Shape::OneOf(&[Shape::Object(&VOLUME), NULL]);
const EXTERNAL: Shape = Shape::OneOf(&[FLAG, Shape::Object(&OLD_EXTERNAL)]);
const OPEN_EXTERNAL: Shape = Shape::OneOf(&[FLAG, Shape::Object(&OLD_OPEN_EXTERNAL)]);

static OLD_EXTERNAL: Layout = layout("external", &[field("name", TEXT, Text)]);
static OLD_OPEN_EXTERNAL: Layout = Layout { open: true, ..layout("file external", &[field("name", TEXT, Text)]) };

static NETWORK: Layout = layout(
    "network",
    &[
        field("name", TEXT, Text),
        field("driver", TEXT, Text),
        field("driver_opts", DRIVER_OPTS, Options),
        field("ipam", Shape::Object(&IPAM), Struct(&IPAM)),
        field("external", EXTERNAL, Flag),
        field("internal", FLAG, Flag),
        field("attachable", FLAG, Flag),
        field("labels", PAIRS, Labels),
        field("enable_ipv4", FLAG, FlagOpt),
        field("enable_ipv6", FLAG, FlagOpt),
    ],
);

static IPAM: Layout = layout(
    "ipam",
    &[
        field("driver", TEXT, Text),
        field("config", Shape::List(&Shape::Object(&IPAM_POOL), false), List(&IPAM_POOL)),
        field("options", Shape::Map(Keys::Any, &TEXT), Omitted),
    ],
);

static IPAM_POOL: Layout = layout(
    "ipam pool",
    &[
        field("subnet", TEXT, Text),
        field("gateway", TEXT, Text),
        field("ip_range", TEXT, Text),
        field("aux_addresses", Shape::Map(Keys::Any, &TEXT), Pairs),
    ],
);

static VOLUME: Layout = layout(
    "volume",
    &[
        field("name", TEXT, Text),
        field("driver", TEXT, Text),
        field("driver_opts", DRIVER_OPTS, Options),
        field("external", EXTERNAL, Flag),
        field("labels", PAIRS, Labels),
    ],
);

static SECRET: Layout = layout(
    "secret",
    &[
        field("name", TEXT, Text),
        field("file", TEXT, Text),
        field("environment", TEXT, Text),
        field("external", OPEN_EXTERNAL, Flag),
        field("labels", PAIRS, Labels),
        field("driver", TEXT, Text),
        field("driver_opts", DRIVER_OPTS, StrictMap),
        field("template_driver", TEXT, Text),
    ],
);

static CONFIG: Layout = layout(
    "config",
    &[
        field("name", TEXT, Text),
        field("file", TEXT, Text),
        field("environment", TEXT, Text),
        field("content", TEXT, Text),
        field("external", OPEN_EXTERNAL, Flag),
        field("labels", PAIRS, Labels),
        field("template_driver", TEXT, Text),
    ],
);

static MODEL: Layout = Layout {
    required: &["model"],
    ..layout(
        "model",
        &[
            field("name", TEXT, Text),
            field("model", TEXT, Text),
            field("context_size", INT, Int),
            field("runtime_flags", LIST, Texts),
        ],
    )
};

static ULIMIT: Layout = Layout {
    required: &["soft", "hard"],
    ..layout("ulimit", &[field("soft", INT_OR_TEXT, Int), field("hard", INT_OR_TEXT, Int)])
};

static FILE_REFERENCE: Layout = layout(
    "file reference",
    &[
        field("source", TEXT, Text),
        field("target", TEXT, Text),
        field("uid", TEXT, Text),
        field("gid", TEXT, Text),
        field("mode", NUMBER_OR_TEXT, Kind::Mode),
    ],
);

/// A command that runs beside a container's own.
static HOOK: Layout = Layout {
    required: &["command"],
    ..layout(
        "hook",
        &[
            kept("command", COMMAND, Kind::Command),
            field("user", TEXT, Text),
            field("privileged", FLAG, Flag),
            field("working_dir", TEXT, Text),
            field("environment", PAIRS, Environment),
        ],
    )
};
