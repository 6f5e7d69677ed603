//! The keys of devices and of limits on block devices.

use super::Kind::{Bytes, Count, List, Pairs, Text, Texts, Uint};
use super::{Field, INT_OR_TEXT, Layout, PAIRS, SET, Shape, TEXT, field, layout};

/// `blkio_config`.
pub(super) static BLKIO: Layout = Layout {
    extensible: false,
    ..layout(
        "blkio config",
        &[
            field("weight", INT_OR_TEXT, Uint),
            field("weight_device", Shape::List(&Shape::Object(&WEIGHT), false), List(&WEIGHT)),
            field("device_read_bps", RATES, List(&RATE)),
            field("device_read_iops", RATES, List(&RATE)),
            field("device_write_bps", RATES, List(&RATE)),
            field("device_write_iops", RATES, List(&RATE)),
        ],
    )
};

const RATES: Shape = Shape::List(&Shape::Object(&RATE), false);

/// compose-go gives these no names for printing, so they are printed as they are called in Go.
static WEIGHT: Layout = Layout {
    extensible: false,
    ..layout("weight", &[titled("path", TEXT, Text, "Path"), titled("weight", INT_OR_TEXT, Uint, "Weight")])
};

static RATE: Layout = Layout {
    extensible: false,
    ..layout("rate", &[titled("path", TEXT, Text, "Path"), titled("rate", INT_OR_TEXT, Bytes, "Rate")])
};

const fn titled(key: &'static str, shape: Shape, kind: super::Kind, printed: &'static str) -> Field {
    Field { key, shape, kind, kept: true, printed: Some(printed) }
}

/// An entry of `devices`.
pub(super) static DEVICE: Layout = Layout {
    required: &["source"],
    ..layout("device", &[field("source", TEXT, Text), field("target", TEXT, Text), field("permissions", TEXT, Text)])
};

const REQUEST_FIELDS: &[Field] = &[
    field("capabilities", SET, Texts),
    field("driver", TEXT, Text),
    field("count", INT_OR_TEXT, Count),
    field("device_ids", SET, Texts),
    field("options", PAIRS, Pairs),
];

/// A device that is asked for by what it can do.
pub(super) static DEVICE_REQUEST: Layout =
    Layout { required: &["capabilities"], ..layout("device request", REQUEST_FIELDS) };

/// An entry of `gpus`.
static GPU: Layout = Layout { open: true, ..layout("gpu", REQUEST_FIELDS) };

/// `deploy.resources.reservations.devices`.
pub(super) const DEVICE_REQUESTS: Shape = Shape::List(&Shape::Object(&DEVICE_REQUEST), false);

/// `gpus`.
pub(super) const GPUS: Shape = Shape::OneOf(&[Shape::Word(&["all"]), Shape::List(&Shape::Object(&GPU), false)]);
