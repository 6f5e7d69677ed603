//! Containers to make, and what their processes do: a script for the simulated Engine, and the demo service's settings for
//! the real one.

use std::time::Duration;

use evenkeel::engine::sim::{OnStop, Script};
use evenkeel::model::service::{Healthcheck, Mount, MountSource, NamespaceMode, Port, RestartPolicy};
use evenkeel::model::{ContainerId, Service, ServiceName};

/// What a container's process does.
#[derive(Clone, Default)]
pub struct Acts {
    command: Vec<String>,
    environment: Vec<(&'static str, String)>,
    pub script: Script,
}

impl Acts {
    /// Ends by itself, that long after each start.
    pub fn ending(after: Duration, code: u8) -> Self {
        Self {
            environment: vec![("CRASH_AFTER_MS", after.as_millis().to_string()), ("EXIT_CODE", code.to_string())],
            script: Script::ending(after, code.into()),
            ..Self::default()
        }
    }

    /// Ends with 143 when it is asked to.
    pub fn interrupted() -> Self {
        let on_stop = OnStop { takes: Duration::from_millis(5), code: 143 };
        Self {
            command: ["job", "--seconds", "3600"].map(str::to_owned).to_vec(),
            script: Script { on_stop, ..Script::default() },
            ..Self::default()
        }
    }

    /// Ends at once.
    pub fn job(code: u8) -> Self {
        Self {
            command: ["job", "--seconds", "0", "--exit-code", &code.to_string()].map(str::to_owned).to_vec(),
            script: Script::ending(Duration::from_millis(5), code.into()),
            ..Self::default()
        }
    }

    /// Does not hear that it is asked to end.
    pub fn deaf() -> Self {
        let on_stop = OnStop { takes: Duration::from_secs(3600), code: 0 };
        Self {
            environment: vec![("IGNORE_SIGTERM", "1".to_owned())],
            script: Script { on_stop, ..Script::default() },
            ..Self::default()
        }
    }

    /// Takes more memory than it may have.
    pub fn greedy() -> Self {
        Self {
            environment: vec![("MEMORY_MB", "256".to_owned())],
            script: Script { leaks: Some(1 << 30), ..Script::default() },
            ..Self::default()
        }
    }

    /// Its check fails.
    pub fn sick() -> Self {
        Self {
            environment: vec![("FAIL", "health".to_owned())],
            script: Script { healthy_after: None, ..Script::default() },
            ..Self::default()
        }
    }

    /// Its check passes from so long after the start on.
    pub fn late(after: Duration) -> Self {
        Self {
            environment: vec![("START_DELAY_MS", after.as_millis().to_string())],
            script: Script { healthy_after: Some(after), ..Script::default() },
            ..Self::default()
        }
    }
}

/// A container to make: without a network, unless told otherwise.
#[derive(Clone)]
pub struct Make {
    pub label: String,
    pub name: String,
    pub acts: Acts,
    pub networks: Vec<String>,
    pub volumes: Vec<String>,
    pub service: Service,
}

impl Make {
    pub fn new(label: &str) -> Self {
        let service = Service {
            name: ServiceName::trusted(label),
            network_mode: Some(NamespaceMode::None),
            ..Service::default()
        };
        Self {
            label: label.to_owned(),
            name: label.to_owned(),
            acts: Acts::default(),
            networks: Vec::new(),
            volumes: Vec::new(),
            service,
        }
    }

    /// Under another name than its label's.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn acts(mut self, acts: Acts) -> Self {
        self.service.command = (!acts.command.is_empty()).then(|| acts.command.clone());
        let variables = acts.environment.iter().map(|(key, value)| ((*key).to_owned(), Some(value.clone())));
        self.service.environment = variables.collect();
        self.acts = acts;
        self
    }

    pub fn restart(mut self, policy: RestartPolicy) -> Self {
        self.service.restart = Some(policy);
        self
    }

    /// With a check: milliseconds between two, failures in a row, milliseconds in which they do not count.
    pub fn checked(mut self, interval: u64, retries: u32, start_period: u64) -> Self {
        self.service.healthcheck = Some(Healthcheck {
            test: ["CMD", "/demo-service", "health"].map(str::to_owned).to_vec(),
            interval: Some(Duration::from_millis(interval)),
            retries: Some(retries),
            start_period: (start_period > 0).then(|| Duration::from_millis(start_period)),
            ..Healthcheck::default()
        });
        self
    }

    /// On networks, each by name or id.
    pub fn on(mut self, networks: &[&str]) -> Self {
        self.networks = networks.iter().map(|n| (*n).to_owned()).collect();
        self.service.network_mode = None;
        self
    }

    /// In another container's network.
    pub fn inside(mut self, other: &ContainerId) -> Self {
        self.service.network_mode = Some(NamespaceMode::Container(other.to_string()));
        self
    }

    pub fn port(mut self, port: u16) -> Self {
        self.service.ports = vec![Port {
            target: 8080,
            protocol: "tcp".to_owned(),
            published: Some(port.to_string()),
            host_ip: None,
            mode: None,
            name: None,
            app_protocol: None,
        }];
        self
    }

    pub fn volume(mut self, name: &str) -> Self {
        self.volumes.push(name.to_owned());
        self.service.mounts.push(Mount {
            target: "/data".to_owned(),
            source: MountSource::Volume { key: name.to_owned() },
            read_only: false,
            consistency: None,
            volume: None,
        });
        self
    }

    pub fn image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.service.image);
        self
    }
}
