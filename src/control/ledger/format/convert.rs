//! How types of the disk and types of the model become each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::model::ledger::Subject;
use crate::model::{ContainerId, ImageId, ServiceName, Timestamp};

/// Becomes a `T`.
pub(super) trait Convert<T> {
    fn convert(self) -> T;
}

impl<K: Ord, A: Convert<B>, B> Convert<BTreeMap<K, B>> for BTreeMap<K, A> {
    fn convert(self) -> BTreeMap<K, B> {
        self.into_iter().map(|(key, value)| (key, value.convert())).collect()
    }
}

impl<A: Convert<B>, B> Convert<Option<B>> for Option<A> {
    fn convert(self) -> Option<B> {
        self.map(Convert::convert)
    }
}

impl<A: Convert<B>, B> Convert<Vec<B>> for Vec<A> {
    fn convert(self) -> Vec<B> {
        self.into_iter().map(Convert::convert).collect()
    }
}

impl<T: Ord> Convert<Self> for BTreeSet<T> {
    fn convert(self) -> Self {
        self
    }
}

/// Types that are the same on the disk: names, numbers, times.
macro_rules! same {
    ($($type:ty),*) => {$(
        impl Convert<Self> for $type {
            fn convert(self) -> Self {
                self
            }
        }
    )*};
}
same!(bool, u32, u64, String, PathBuf, Timestamp, ContainerId, ImageId, ServiceName, Subject);

/// Declares types of a format, and how each and the model's type of that name become each other. Both name all of their
/// fields: where the model gets another one the compiler asks what becomes of it. `+` gives fields that this
/// format does not have, with what is read in their place.
macro_rules! format_types {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
    } $(+ { $($new:ident: $value:expr,)* })?)*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        $(#[$meta])*
        pub(in super::super) struct $name {
            $($(#[$field_meta])* pub(in super::super) $field: $type,)*
        }

        impl Convert<$name> for model::$name {
            fn convert(self) -> $name {
                let Self { $($field,)* $($($new: _,)*)? } = self;
                $name { $($field: $field.convert(),)* }
            }
        }

        impl Convert<model::$name> for $name {
            fn convert(self) -> model::$name {
                let Self { $($field,)* } = self;
                model::$name { $($field: $field.convert(),)* $($($new: $value,)*)? }
            }
        }
    )*};
}
pub(super) use format_types;
