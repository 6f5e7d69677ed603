//! The labels that Docker Compose reads and writes, and evenkeel's own few.

use std::collections::BTreeSet;

use super::ServiceName;

/// The project a container, network or volume belongs to.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service a container is a replica of.
pub const SERVICE: &str = "com.docker.compose.service";
/// The replica's number, from 1.
pub const CONTAINER_NUMBER: &str = "com.docker.compose.container-number";
/// `True` on containers of `docker compose run`, which are nobody's replica.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// SHA-256 of the service's configuration.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// `SERVICE:CONDITION:RESTART`, comma separated.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The services that the value of [`DEPENDS_ON`] names.
pub fn depends_on(value: &str) -> BTreeSet<ServiceName> {
    let names = value.split(',').filter_map(|one| one.split(':').next().filter(|name| !name.is_empty()));
    names.map(ServiceName::trusted).collect()
}

/// The image's id when the container was made.
pub const IMAGE: &str = "com.docker.compose.image";
/// The name of the container that this one replaces; stays on it, as Compose's own does.
pub const REPLACE: &str = "com.docker.compose.replace";
/// The version of Compose whose conventions are followed.
pub const VERSION: &str = "com.docker.compose.version";
/// The folder that relative paths start from.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The files the project was read from, comma separated.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// The key of a network in the Compose file.
pub const NETWORK: &str = "com.docker.compose.network";
/// The key of a volume in the Compose file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// What built an image: `classic`, or BuildKit. The only one of Compose's labels that goes on images: containers inherit it.
pub const IMAGE_BUILDER: &str = "com.docker.compose.image.builder";
/// What evenkeel's own labels start with.
pub const OWN: &str = "dev.evenkeel.";
/// Which evenkeel made this.
pub const INSTANCE: &str = "dev.evenkeel.instance";

/// What was put into a container: a mapping of paths to short hashes, as JSON.
pub const CONTENT: &str = "dev.evenkeel.content";

/// The release of Docker Compose whose behaviour is the measure, written to [`VERSION`].
pub const COMPOSE_VERSION: &str = "2.40.3";
