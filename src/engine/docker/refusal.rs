//! What the Engine's errors mean: the one place that reads their words.
//!
//! The status alone does not tell. Docker answers a port that is taken with 500, and 404 is said of the container that a
//! call is about as well as of a network it was made for, or of another container whose namespaces it shares. So the
//! words are looked at first, in lower case, and the status decides what they leave open. They are those of Docker 20.10,
//! 26 and 28; what a later version says otherwise falls back on the status, which is never wrong, only less telling.

use crate::engine::EngineError;
use crate::model::ContainerId;
use crate::model::setback::{Missing, Refusal, Resource};

/// Words that mean the same whatever the status is.
const WORDS: &[(Refusal, &[&str])] = &[
    (
        Refusal::PortTaken,
        // That an "address is already in use" is said of a container's own as well.
        &[
            "port is already allocated",
            "bind: address already in use",
            "failed to bind host port",
            "ports are not available",
        ],
    ),
    (Refusal::BeingRemoved, &["marked for removal", "removal of container"]),
    (Refusal::NotAttached, &["is not connected to"]),
    // Whose namespaces it shares, said with 500 since 28.
    (Refusal::NotFound(Missing::Container), &["namespace of container: no such container"]),
    (
        Refusal::NotFound(Missing::Image),
        &["no such image", "manifest unknown", "not found: manifest", "repository name not known to registry"],
    ),
    (
        Refusal::PullDenied,
        &[
            "pull access denied",
            "repository does not exist",
            "unauthorized: authentication required",
            "unauthorized: incorrect username or password",
            "no basic auth credentials",
            "requested access to the resource is denied",
        ],
    ),
    (Refusal::OutOf(Resource::Disk), &["no space left on device", "disk quota exceeded"]),
    (Refusal::OutOf(Resource::Memory), &["cannot allocate memory"]),
    (Refusal::OutOf(Resource::Processes), &["resource temporarily unavailable"]),
    (
        Refusal::OutOf(Resource::Addresses),
        &[
            "no subnet available",
            "address pools have been fully subnetted",
            "could not find an available, non-overlapping",
            "no available ipv4 addresses",
            "no available ipv6 addresses",
        ],
    ),
    (Refusal::OutOf(Resource::Cpus), &["range of cpus is from"]),
    (Refusal::OutOf(Resource::Devices), &["could not select device driver"]),
];

/// What is not there, by the words of a 404. In this order: the name of a container can be any word.
const MISSING: &[(Missing, &[&str])] = &[
    (Missing::Container, &["no such container"]),
    (Missing::Volume, &["no such volume"]),
    (Missing::Network, &["network"]),
    (Missing::Image, &["image", "manifest", "failed to resolve"]),
];

/// An error of the Engine's, by its status and its words; `None`: it came in the middle of an answer that had begun well.
pub(super) fn read(status: Option<u16>, message: &str) -> Refusal {
    let text = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if let Some((refusal, _)) = WORDS.iter().find(|(_, words)| says(words)) {
        return *refusal;
    }
    match status {
        Some(404) => {
            let missing = MISSING.iter().find(|(_, words)| says(words));
            Refusal::NotFound(missing.map_or(Missing::Other, |(missing, _)| *missing))
        }
        Some(409) if says(&["already in use by container", "already exists"]) => Refusal::NameTaken,
        Some(400) => Refusal::InvalidRequest,
        // So the containerd image store and BuildKit say it, where a registry answered.
        None if says(&["failed to resolve"]) && text.ends_with(": not found") => Refusal::NotFound(Missing::Image),
        Some(500..) => Refusal::ServerError,
        _ => Refusal::Other,
    }
}

/// The error that the Engine means by this.
pub(super) fn error(status: Option<u16>, message: impl Into<String>) -> EngineError {
    let message = message.into();
    EngineError::Refused { reason: read(status, &message), message }
}

/// The same of a call that is about a container: whether it is the one that is not there.
pub(super) fn about(id: &ContainerId, error: EngineError) -> EngineError {
    match error {
        EngineError::Refused { reason: Refusal::NotFound(Missing::Container), message }
            if message.contains(id.as_str()) =>
        {
            EngineError::Refused { reason: Refusal::NotFound(Missing::Itself), message }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3d21bec4b93c09ca5380dff560ee4e40f6b9c33495171be81dda3b2c33745bda";

    /// As Docker 20.10.24, 26.1 and 28.5 said it, in this order where they differ.
    #[test]
    fn what_the_engine_said_is_understood() {
        use Missing::{Image, Network, Volume};
        use Refusal::{BeingRemoved, InvalidRequest, NameTaken, NotAttached, NotFound, OutOf, PortTaken, PullDenied};
        let bind = "driver failed programming external connectivity on endpoint b (36d8)";
        let told = [
            (404, format!("network {ID} not found"), NotFound(Network)),
            (404, format!("failed to set up container networking: network {ID} not found"), NotFound(Network)),
            (404, format!("No such container: {ID}"), NotFound(Missing::Container)),
            (500, format!("joining network namespace of container: No such container: {ID}"), NotFound(Missing::Container)),
            (404, "No such container: image-of-network".into(), NotFound(Missing::Container)),
            (404, format!("No such exec instance: {ID}"), NotFound(Missing::Other)),
            (404, "get data: no such volume".into(), NotFound(Volume)),
            (404, "create v: error looking up volume plugin x: plugin \"x\" not found".into(), NotFound(Missing::Other)),
            (404, "no such image: a:1: No such image: a:1".into(), NotFound(Image)),
            (404, "No such image: network:1".into(), NotFound(Image)),
            (404, "manifest for a:1 not found: manifest unknown: manifest unknown".into(), NotFound(Image)),
            (404, "failed to resolve reference \"docker.io/library/a:1\": docker.io/library/a:1: not found".into(), NotFound(Image)),
            (
                404,
                "pull access denied for a, repository does not exist or may require 'docker login': denied".into(),
                PullDenied,
            ),
            (500, "Head \"https://r/v2/a/manifests/1\": no basic auth credentials".into(), PullDenied),
            (500, "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused".into(), Refusal::ServerError),
            (400, "invalid reference format: repository name (library/No Such) must be lowercase".into(), InvalidRequest),
            (500, format!("{bind}: Bind for 0.0.0.0:80 failed: port is already allocated"), PortTaken),
            (
                500,
                format!("{bind}: Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use"),
                PortTaken,
            ),
            (
                500,
                format!("{bind}: failed to bind host port for 0.0.0.0:80:172.17.0.3:80/tcp: address already in use"),
                PortTaken,
            ),
            (403, "Address already in use".into(), Refusal::Other),
            (409, "Conflict. The container name \"/a\" is already in use by container \"b\".".into(), NameTaken),
            (409, "network with name a already exists".into(), NameTaken),
            (409, "container is marked for removal and cannot be started".into(), BeingRemoved),
            (409, format!("removal of container {ID} is already in progress"), BeingRemoved),
            (409, "cannot start a paused container, try unpause instead".into(), Refusal::Other),
            (500, format!("container {ID} is not connected to the network a"), NotAttached),
            (404, "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network".into(), OutOf(Resource::Addresses)),
            (400, "all predefined address pools have been fully subnetted".into(), OutOf(Resource::Addresses)),
            (500, "no available IPv4 addresses on this network's address pools: a (42b9)".into(), OutOf(Resource::Addresses)),
            (400, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available".into(), OutOf(Resource::Cpus)),
            (500, "could not select device driver \"nvidia\" with capabilities: [[gpu]]".into(), OutOf(Resource::Devices)),
            (500, "mkdir /var/lib/docker/overlay2/a: no space left on device".into(), OutOf(Resource::Disk)),
            (500, "fork/exec /usr/bin/runc: cannot allocate memory".into(), OutOf(Resource::Memory)),
            (400, "Minimum memory limit allowed is 6MB".into(), InvalidRequest),
            (403, "Pool overlaps with other one on this address space".into(), Refusal::Other),
        ];
        for (status, words, expected) in told {
            assert_eq!(read(Some(status), &words), expected, "{status} {words}");
        }
    }

    #[test]
    fn what_comes_in_the_middle_of_an_answer_has_no_status() {
        let resolve = "failed to solve: a:1: failed to resolve source metadata for docker.io/library/a:1";
        assert_eq!(
            read(None, &format!("{resolve}: docker.io/library/a:1: not found")),
            Refusal::NotFound(Missing::Image)
        );
        assert_eq!(read(None, "failed to compute cache key: \"/x\": not found"), Refusal::Other);
        assert_eq!(read(None, "write /x: no space left on device"), Refusal::OutOf(Resource::Disk));
    }

    #[test]
    fn a_container_that_is_not_there_is_the_one_that_the_call_is_about_or_another() {
        let missing = |about: &str| match super::about(
            &ContainerId::trusted(about),
            error(Some(404), format!("No such container: {ID}")),
        ) {
            EngineError::Refused { reason: Refusal::NotFound(missing), .. } => missing,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(ID), Missing::Itself);
        assert_eq!(missing(&"f".repeat(64)), Missing::Container);
    }

    #[test]
    fn a_clear_no_is_told_from_an_engine_that_came_to_grief() {
        assert!(error(Some(500), "something").outcome_unknown());
        assert!(error(Some(500), "no space left on device").outcome_unknown());
        assert!(!error(Some(500), "Bind for 0.0.0.0:80 failed: port is already allocated").outcome_unknown());
        assert!(!error(Some(409), "something").outcome_unknown());
    }
}
