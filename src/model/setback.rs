//! What stands in the way of a step or a service, as types: read off an engine's answer once, where that arrives, and
//! decided and advised by from there on. The words that come with it are for people.

use serde::{Deserialize, Serialize};

/// Why something failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setback {
    /// The engine said no.
    Refused(Refusal),
    /// The engine's answer never came, or could not be read: the call may have taken effect.
    Unanswered,
    /// It did not come up within the time it has for that.
    TimedOut,
    /// Anything else, and whatever a ledger of an earlier version tells of.
    #[default]
    Other,
}

/// Why an engine refuses a call, as far as anybody tells refusals apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such thing.
    NotFound(Missing),
    /// The container is being removed by somebody.
    BeingRemoved,
    /// Another container, network or volume has the name.
    NameTaken,
    /// Somebody has the port of the host. Docker undoes such a start: it was none.
    PortTaken,
    /// The container is not attached to that network.
    NotAttached,
    /// The registry does not let this user have the image, or has none of that name: it does not say which.
    PullDenied,
    /// The host has not got what is asked for.
    OutOf(Resource),
    /// The request is one that nobody could fulfil as it is, today or later.
    InvalidRequest,
    /// The engine came to grief over it: what it had done by then stays done.
    ServerError,
    /// Any other clear no.
    Other,
}

/// What a call wants and nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The container that the call is about.
    Itself,
    /// Another container: one whose namespaces it shares, say.
    Container,
    /// A network.
    Network,
    /// An image, here or in its registry.
    Image,
    /// A volume.
    Volume,
    /// Anything else.
    Other,
}

/// What a host can be short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Memory.
    Memory,
    /// Room on a disk.
    Disk,
    /// Addresses for one more network.
    Addresses,
    /// As many CPUs as a limit speaks of.
    Cpus,
    /// A device, such as a GPU.
    Devices,
    /// Processes or threads.
    Processes,
}

impl Refusal {
    /// Whether the call may have taken effect all the same, in part or as a whole: an engine that came to grief, or that
    /// ran out of something on the way, does not say how far it got.
    pub fn may_have_worked(self) -> bool {
        matches!(self, Self::ServerError | Self::OutOf(Resource::Memory | Resource::Disk | Resource::Processes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_from_the_ledger() {
        for setback in [
            Setback::Other,
            Setback::TimedOut,
            Setback::Refused(Refusal::PortTaken),
            Setback::Refused(Refusal::NotFound(Missing::Network)),
        ] {
            let text = serde_json::to_string(&setback).unwrap();
            assert_eq!(serde_json::from_str::<Setback>(&text).unwrap(), setback, "{text}");
        }
    }
}
