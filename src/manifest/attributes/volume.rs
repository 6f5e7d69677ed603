//! The keys of an entry of `volumes`.

use super::Kind::{Bytes, Flag, Pairs, StructOpt, Text, Uint};
use super::{FLAG, Layout, NUMBER_OR_TEXT, PAIRS, Shape, TEXT, field, layout};

/// A mount.
pub(super) static MOUNT: Layout = Layout {
    required: &["type"],
    ..layout(
        "mount",
        &[
            field("type", Shape::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]), Text),
            field("source", TEXT, Text),
            field("target", TEXT, Text),
            field("read_only", FLAG, Flag),
            field("consistency", TEXT, Text),
            field("bind", Shape::Object(&BIND), StructOpt(&BIND)),
            field("volume", Shape::Object(&NAMED), StructOpt(&NAMED)),
            field("tmpfs", Shape::Object(&TMPFS), StructOpt(&TMPFS)),
            field("image", Shape::Object(&IMAGE), StructOpt(&IMAGE)),
        ],
    )
};

static BIND: Layout = layout(
    "bind",
    &[
        field("selinux", Shape::Word(&["z", "Z"]), Text),
        field("propagation", TEXT, Text),
        field("create_host_path", FLAG, Flag),
        field("recursive", Shape::Word(&["enabled", "disabled", "writable", "readonly"]), Text),
    ],
);

static NAMED: Layout = layout(
    "volume options",
    &[field("labels", PAIRS, Pairs), field("nocopy", FLAG, Flag), field("subpath", TEXT, Text)],
);

static TMPFS: Layout = layout(
    "tmpfs",
    &[field("size", Shape::OneOf(&[Shape::Within(0, i64::MAX), TEXT]), Bytes), field("mode", NUMBER_OR_TEXT, Uint)],
);

static IMAGE: Layout = layout("image", &[field("subpath", TEXT, Text)]);
