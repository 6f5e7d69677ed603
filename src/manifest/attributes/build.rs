//! The keys of `build`.

use super::Kind::{Bytes, Environment, Flag, Hosts, Labels, List, Pairs, Ssh, Text, TextOrTexts, Texts, Ulimits};
use super::{
    FILE_REFERENCE, FILE_REFERENCES, FLAG, HOSTS, INT_OR_TEXT, LIST, Layout, PAIRS, Shape, TEXT, Type, ULIMITS, field,
    layout,
};

const TEXT_OR_FLAG: Shape = Shape::Is(&[Type::Text, Type::Bool]);

/// `build`.
pub(super) static BUILD: Layout = layout(
    "build",
    &[
        field("context", TEXT, Text),
        field("dockerfile", TEXT, Text),
        field("dockerfile_inline", TEXT, Text),
        field("entitlements", LIST, Texts),
        field("args", PAIRS, Environment),
        field("provenance", TEXT_OR_FLAG, Text),
        field("sbom", TEXT_OR_FLAG, Text),
        field("ssh", PAIRS, Ssh),
        field("labels", PAIRS, Labels),
        field("cache_from", LIST, TextOrTexts),
        field("cache_to", LIST, TextOrTexts),
        field("no_cache", FLAG, Flag),
        field("additional_contexts", PAIRS, Pairs),
        field("pull", FLAG, Flag),
        field("extra_hosts", HOSTS, Hosts),
        field("isolation", TEXT, Text),
        field("network", TEXT, Text),
        field("target", TEXT, Text),
        field("secrets", FILE_REFERENCES, List(&FILE_REFERENCE)),
        field("shm_size", INT_OR_TEXT, Bytes),
        field("tags", LIST, TextOrTexts),
        field("ulimits", ULIMITS, Ulimits),
        field("platforms", LIST, TextOrTexts),
        field("privileged", FLAG, Flag),
    ],
);
