//! Names as types of their own: parsed once at the door, trusted afterwards.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: {rule}")]
pub struct InvalidName {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

macro_rules! text_type {
    ($(#[doc = $doc:literal])* $name:ident, $pattern:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is: for text that the Engine or the ledger gave.
            pub fn trusted(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let description = concat!($($doc,)*).trim();
                json_schema!({"type": "string", "pattern": $pattern, "description": description})
            }
        }
    };
}

text_type! {
    /// A Compose project's name: lower-case letters, digits, `-` and `_`, beginning with a letter or digit.
    ProjectName, "^[a-z0-9][a-z0-9_-]*$"
}
text_type! {
    /// A Compose service's name: letters, digits, `.`, `-` and `_`.
    ServiceName, "^[a-zA-Z0-9._-]+$"
}
text_type! {
    /// The Engine's full id of a container.
    ContainerId, "^[a-zA-Z0-9]+$"
}
text_type! {
    /// The Engine's full id of a network. Names are not unique, ids are.
    NetworkId, "^[a-zA-Z0-9]+$"
}
text_type! {
    /// The Engine's id of an image, with its `sha256:`.
    ImageId, "."
}
text_type! {
    /// Which evenkeel made something: random, kept in the state folder.
    InstanceId, "."
}

impl ProjectName {
    /// Parses a name as Compose does.
    ///
    /// # Errors
    /// When the text is empty or holds another character.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let mut chars = text.chars();
        let head = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if head && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_') {
            return Ok(Self(text.into()));
        }
        Err(InvalidName {
            text: text.to_owned(),
            kind: "project name",
            rule: "use lower-case letters, digits, `-` and `_`, beginning with a letter or digit",
        })
    }

    /// The name Compose derives from a folder's: lower-cased, other characters dropped, leading `-` and `_` too.
    pub fn sanitised(text: &str) -> Option<Self> {
        let kept: String = text
            .to_lowercase()
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '_')
            .collect();
        Self::parse(kept.trim_start_matches(['-', '_'])).ok()
    }
}

impl ServiceName {
    /// Parses a service's name.
    ///
    /// # Errors
    /// When the text is empty or holds another character.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
            return Ok(Self(text.into()));
        }
        Err(InvalidName { text: text.to_owned(), kind: "service name", rule: "use letters, digits, `.`, `-` and `_`" })
    }
}

impl ContainerId {
    /// The first twelve characters, as `docker ps` prints them.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// Whether the Engine made up the name of a volume: 64 hexadecimal digits.
pub fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `PROJECT.SERVICE`: how a service is named everywhere a person or a program meets it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceId {
    /// The project that the service belongs to.
    pub project: ProjectName,
    /// The service within it.
    pub service: ServiceName,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.project, self.service)
    }
}

/// The registry of references that name none.
pub const DOCKER_HUB: &str = "docker.io";

/// The registry that an image's reference is of: the part before the first slash, if that looks like a host.
pub fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "index.docker.io" => DOCKER_HUB,
            host => host,
        },
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_is_sanitised_as_compose_does() {
        for (folder, name) in [("A B", "ab"), ("_My.App-1", "myapp-1"), ("shop", "shop")] {
            assert_eq!(ProjectName::sanitised(folder).unwrap().as_str(), name);
        }
        assert!(ProjectName::sanitised("...").is_none());
    }

    #[test]
    fn a_project_name_is_lower_case() {
        assert!(ProjectName::parse("Shop").is_err());
        assert!(ProjectName::parse("-shop").is_err());
        assert!(ProjectName::parse("").is_err());
        assert!(ProjectName::parse("shop_1-b").is_ok());
    }
}
