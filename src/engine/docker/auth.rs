//! Who we are to a registry: what `docker login` left in `config.json` (in `DOCKER_CONFIG` or `~/.docker`) or with the helper
//! that it names.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};

use super::address::config_folder;
use crate::engine::EngineError;
use crate::model::names;
use crate::settings;

/// Docker Hub, as `config.json` calls it.
const HUB: &str = "https://index.docker.io/v1/";

/// The registry that a reference is of, as `config.json` calls it.
fn registry(reference: &str) -> &str {
    match names::registry(reference) {
        names::DOCKER_HUB => HUB,
        host => host,
    }
}

/// What is known of who we are to a registry.
#[derive(Default)]
pub(super) struct Known {
    /// `None`: nothing, which many images do not need.
    pub(super) credentials: Option<DockerCredentials>,
    /// Why nothing, though something is configured.
    trouble: Option<String>,
}

impl Known {
    /// Says with a refusal why there were no credentials.
    pub(super) fn explain(&self, error: EngineError) -> EngineError {
        match (error, &self.trouble) {
            (EngineError::Refused { reason, message }, Some(trouble)) => {
                EngineError::Refused { reason, message: format!("{message} (asked without credentials: {trouble})") }
            }
            (error, _) => error,
        }
    }
}

/// For the registry of an image.
pub(super) async fn for_image(reference: &str) -> Known {
    of(registry(reference).to_owned()).await
}

/// All that are configured, by registry: a build may begin with images of several.
pub(super) async fn all() -> HashMap<String, DockerCredentials> {
    let mut found = HashMap::new();
    for registry in configured() {
        if let Some(credentials) = of(registry.clone()).await.credentials {
            found.insert(registry, credentials);
        }
    }
    found
}

/// The same by the host that BuildKit asks for.
pub(super) async fn by_host() -> HashMap<String, DockerCredentials> {
    all().await.into_iter().map(|(registry, credentials)| (host(&registry).to_owned(), credentials)).collect()
}

/// The host of a registry as `config.json` calls it: with a scheme and a path, where it is of old.
fn host(registry: &str) -> &str {
    let host = registry.trim_start_matches("https://").trim_start_matches("http://");
    match host.split('/').next().unwrap_or_default() {
        "index.docker.io" | "docker.io" => "registry-1.docker.io",
        host => host,
    }
}

/// The registries that `config.json` names.
fn configured() -> Vec<String> {
    let Some(text) = config_file().and_then(|file| std::fs::read(file).ok()) else { return Vec::new() };
    let config: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let keys = |section: &str| config[section].as_object().into_iter().flatten().map(|(key, _)| key.clone());
    keys("auths").chain(keys("credHelpers")).collect()
}

fn config_file() -> Option<PathBuf> {
    config_folder(&settings::environment()).map(|folder| folder.join("config.json"))
}

async fn of(registry: String) -> Known {
    let server = registry.clone();
    // A helper is a program that is waited for.
    let answer = tokio::task::spawn_blocking(move || docker_credential::get_credential(&server)).await;
    let failed = |reason: String| Known { trouble: Some(format!("{registry}: {reason}")), ..Known::default() };
    let credentials = match answer {
        Ok(Ok(credentials)) => credentials,
        Ok(Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound)) => {
            return Known::default();
        }
        // That there is no file is no trouble.
        Ok(Err(CredentialRetrievalError::ConfigReadError)) if !config_file().is_some_and(|file| file.exists()) => {
            return Known::default();
        }
        // So helpers say that they have none.
        Ok(Err(CredentialRetrievalError::HelperFailure { stdout, .. })) if stdout.contains("credentials not found") => {
            return Known::default();
        }
        Ok(Err(error)) => return failed(error.to_string()),
        Err(error) => return failed(error.to_string()),
    };
    let named = DockerCredentials { serveraddress: Some(registry.clone()), ..DockerCredentials::default() };
    let credentials = match credentials {
        DockerCredential::UsernamePassword(name, password) => {
            DockerCredentials { username: Some(name), password: Some(password), ..named }
        }
        DockerCredential::IdentityToken(token) => DockerCredentials { identitytoken: Some(token), ..named },
    };
    Known { credentials: Some(credentials), trouble: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildkit_asks_by_host() {
        for (registry, expected) in [
            (HUB, "registry-1.docker.io"),
            ("docker.io", "registry-1.docker.io"),
            ("https://ghcr.io", "ghcr.io"),
            ("http://localhost:5000/v1/", "localhost:5000"),
            ("registry.example.com", "registry.example.com"),
        ] {
            assert_eq!(host(registry), expected, "{registry}");
        }
    }

    #[test]
    fn the_registry_is_what_looks_like_a_host() {
        for (reference, expected) in [
            ("nginx", HUB),
            ("nginx:1.27", HUB),
            ("library/nginx", HUB),
            ("docker.io/library/nginx", HUB),
            ("ghcr.io/a/b:1", "ghcr.io"),
            ("localhost/a", "localhost"),
            ("localhost:5000/a@sha256:00", "localhost:5000"),
        ] {
            assert_eq!(registry(reference), expected, "{reference}");
        }
    }
}
