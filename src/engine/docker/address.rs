//! Where the Engine is: said outright, in `DOCKER_HOST`, by the current docker context, or at one of the usual sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where an Engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// `HOST:PORT`, without TLS.
    Tcp(String),
}

/// Why no Engine can be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A form that is not spoken.
    #[error("`{0}` is not supported; use unix:///path/to/docker.sock or tcp://HOST:PORT")]
    Unsupported(String),
    /// The docker context cannot be read.
    #[error("the docker context `{name}` cannot be read: {reason}; `docker context ls` lists them, --engine overrides")]
    Context {
        /// The context's name.
        name: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// There is nothing at any of the usual places.
    #[error(
        "no Docker Engine was found: there is no socket at {0}; install Docker (Debian and Ubuntu: apt-get install docker.io) or set DOCKER_HOST"
    )]
    NotFound(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

impl Address {
    /// Parses `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.
    ///
    /// # Errors
    /// Any form but these and an absolute path.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let unsupported = || AddressError::Unsupported(text.to_owned());
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", host)) if !host.is_empty() => Ok(Self::Tcp(host.trim_end_matches('/').to_owned())),
            None if text.starts_with('/') => Ok(Self::Unix(text.into())),
            _ => Err(unsupported()),
        }
    }

    /// Finds the Engine as the docker client does: `explicit`, `DOCKER_HOST`, the context, the usual sockets.
    ///
    /// # Errors
    /// When what is named cannot be used, or nothing is named and nothing is there.
    pub fn find(explicit: Option<&str>, environment: &BTreeMap<String, String>) -> Result<Self, AddressError> {
        let set = |name: &str| environment.get(name).map(String::as_str).filter(|v| !v.is_empty());
        if let Some(text) = explicit.or_else(|| set("DOCKER_HOST")) {
            return Self::parse(text);
        }
        let home = set("HOME").map(PathBuf::from);
        if let Some(config) = config_folder(environment)
            && let Some(address) = from_context(&config, set("DOCKER_CONTEXT"))?
        {
            return Ok(address);
        }
        let mut usual = vec![PathBuf::from("/var/run/docker.sock"), PathBuf::from("/run/docker.sock")];
        usual.extend(set("XDG_RUNTIME_DIR").map(|dir| Path::new(dir).join("docker.sock")));
        usual.extend(home.map(|h| h.join(".docker/run/docker.sock")));
        match usual.iter().find(|path| path.exists()) {
            Some(path) => Ok(Self::Unix(path.clone())),
            None => Err(AddressError::NotFound(
                usual.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
            )),
        }
    }

    /// What to do about a connection that failed in this way; `reason`: the same in the system's words.
    pub(super) fn advice(&self, kind: io::ErrorKind, reason: &str) -> String {
        match self {
            Self::Unix(path) if kind == io::ErrorKind::PermissionDenied => format!(
                "no permission for {}: run as root, or add the user to the socket's group (usermod -aG docker USER)",
                path.display()
            ),
            Self::Unix(_) if kind == io::ErrorKind::NotFound => {
                "there is no such socket: start Docker (systemctl start docker), or name another with --engine"
                    .to_owned()
            }
            Self::Unix(_) if kind == io::ErrorKind::ConnectionRefused => {
                "nobody listens there: start Docker (systemctl start docker)".to_owned()
            }
            _ => reason.to_owned(),
        }
    }
}

/// The folder of the docker client's settings: `DOCKER_CONFIG`, else `~/.docker`.
pub(super) fn config_folder(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))
}

fn from_context(config: &Path, chosen: Option<&str>) -> Result<Option<Address>, AddressError> {
    let read = |path: PathBuf| -> Option<serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    };
    let current = read(config.join("config.json"))
        .and_then(|c| c.get("currentContext").and_then(|v| v.as_str().map(str::to_owned)));
    let Some(name) = chosen.map(str::to_owned).or(current).filter(|n| n != "default" && !n.is_empty()) else {
        return Ok(None);
    };
    // The folder of a context is named by the hash of its name.
    let folder = crate::model::hash::sha256_hex(&name);
    let error = |reason: &str| AddressError::Context { name: name.clone(), reason: reason.to_owned() };
    let meta =
        read(config.join("contexts/meta").join(folder).join("meta.json")).ok_or_else(|| error("there is none"))?;
    let host = meta
        .pointer("/Endpoints/docker/Host")
        .and_then(|h| h.as_str())
        .ok_or_else(|| error("it names no docker endpoint"))?;
    Address::parse(host).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn what_is_said_outright_beats_the_environment() {
        let env = environment(&[("DOCKER_HOST", "tcp://h:2375")]);
        assert_eq!(Address::find(Some("unix:///x.sock"), &env).unwrap().to_string(), "unix:///x.sock");
        assert_eq!(Address::find(None, &env).unwrap().to_string(), "tcp://h:2375");
        assert!(Address::find(Some("ssh://h"), &env).unwrap_err().to_string().contains("not supported"));
    }

    #[test]
    fn the_current_context_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("contexts/meta").join(crate::model::hash::sha256_hex("lab"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext": "lab"}"#).unwrap();
        std::fs::write(folder.join("meta.json"), r#"{"Endpoints": {"docker": {"Host": "unix:///lab.sock"}}}"#).unwrap();
        let config = dir.path().display().to_string();
        let env = environment(&[("DOCKER_CONFIG", &config)]);
        assert_eq!(Address::find(None, &env).unwrap().to_string(), "unix:///lab.sock");
        let env = environment(&[("DOCKER_CONFIG", &config), ("DOCKER_CONTEXT", "gone")]);
        assert!(Address::find(None, &env).unwrap_err().to_string().contains("`gone`"));
    }
}
