//! What is to be made, as the Engine wants to be told: the bodies that Docker Compose v2.40.3 sends for the same manifest.

mod host;
mod mounts;
mod network;

use std::time::Duration;

use bollard::models::{ContainerCreateBody, HealthConfig, VolumeCreateRequest};

pub(super) use network::{endpoint, network};

use crate::engine::{ContainerSpec, EngineError, VolumeSpec};
use crate::model::service::Healthcheck;

/// Major and minor of the API that is spoken.
pub(super) type Api = (u16, u16);

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn nanos(duration: Option<Duration>) -> Option<i64> {
    duration.and_then(|d| i64::try_from(d.as_nanos()).ok())
}

/// What cannot be asked of this Engine at all.
fn refused(message: impl Into<String>) -> EngineError {
    EngineError::NotAsked(message.into())
}

/// A word of the Engine's, as its client's type.
fn word<T: std::str::FromStr>(attribute: &str, text: Option<&str>) -> Result<Option<T>, EngineError> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| refused(format!("{attribute}: the Engine does not know `{text}`")))
}

pub(super) fn volume(spec: &VolumeSpec<'_>) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(spec.volume.name.clone()),
        driver: spec.volume.driver.clone(),
        driver_opts: (!spec.volume.driver_opts.is_empty())
            .then(|| spec.volume.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    }
}

/// A container's body, and what its client has no field for.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) body: ContainerCreateBody,
    /// `MacAddress` of the container as a whole: API 1.43 and earlier.
    pub(super) mac_address: Option<String>,
    /// `OS/ARCH[/VARIANT]`; empty: the image's own.
    pub(super) platform: String,
}

pub(super) fn container(spec: &ContainerSpec<'_>, api: Api) -> Result<Creation, EngineError> {
    let service = spec.service;
    let ports = service.ports.iter().map(|p| format!("{}/{}", p.target, p.protocol));
    let mut exposed: Vec<String> = service.expose.iter().cloned().chain(ports).collect();
    exposed.sort();
    exposed.dedup();
    let (networking_config, mac_address) = network::networking(spec, api)?;
    let body = ContainerCreateBody {
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        exposed_ports: some(exposed),
        tty: Some(service.tty),
        open_stdin: Some(service.stdin_open),
        env: some(
            service
                .environment
                .iter()
                .map(|(key, value)| value.as_ref().map_or_else(|| key.clone(), |v| format!("{key}={v}")))
                .collect(),
        ),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(|check| healthcheck(check, api)).transpose()?,
        image: Some(service.image.clone()),
        working_dir: service.working_dir.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.and_then(|g| i64::try_from(g.as_secs()).ok()),
        network_disabled: service.network_mode.as_ref().filter(|m| m.to_string() == "disabled").map(|_| true),
        host_config: Some(host::host(spec, api)?),
        networking_config,
        ..ContainerCreateBody::default()
    };
    let platform = service.platform.as_deref().map(platform).unwrap_or_default();
    Ok(Creation { body, mac_address, platform })
}

fn healthcheck(check: &Healthcheck, api: Api) -> Result<HealthConfig, EngineError> {
    if check.start_interval.is_some() {
        if api < (1, 44) {
            return Err(refused("healthcheck.start_interval needs Docker Engine 25 or later"));
        }
        if check.start_period.is_none() {
            return Err(refused("healthcheck.start_interval needs healthcheck.start_period"));
        }
    }
    Ok(HealthConfig {
        test: some(check.test.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
    })
}

/// `OS/ARCH[/VARIANT]` with the usual other names of architectures replaced, as containerd reads it.
fn platform(text: &str) -> String {
    let lower = text.to_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    let known = ["linux", "windows", "darwin", "freebsd"];
    let (os, arch, variant) = match parts.as_slice() {
        [one] if known.contains(one) => (*one, std::env::consts::ARCH, ""),
        [one] => ("linux", *one, ""),
        [os, arch] => (*os, *arch, ""),
        [os, arch, variant, ..] => (*os, *arch, *variant),
        [] => return String::new(),
    };
    let (arch, variant) = match (arch, variant) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("i386" | "x86", _) => ("386", ""),
        ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    let os = if os == "macos" { "darwin" } else { os };
    if variant.is_empty() { format!("{os}/{arch}") } else { format!("{os}/{arch}/{variant}") }
}

#[cfg(test)]
mod tests {
    use super::platform;

    #[test]
    fn platforms_get_their_usual_names() {
        for (text, full) in [
            ("amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(text), full, "{text}");
        }
    }
}
