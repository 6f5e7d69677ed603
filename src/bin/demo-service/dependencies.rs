//! The services this one needs, checked in the background: a request never waits for a check.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::names;
use crate::report::Status;

const TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_INTERVAL: Duration = Duration::from_millis(250);
/// A dependency that is broken for good is not asked four times a second for ever.
const FIRST_PHASE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub url: Url,
}

impl Target {
    /// `NAME=URL`, `URL` or `HOST:PORT`. Nothing between two commas is no dependency.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let (name, address) = match text.split_once('=') {
            Some((name, address)) if !name.contains("://") => (Some(name.trim()), address.trim()),
            _ => (None, text),
        };
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}/health") };
        let url = Url::parse(&url).map_err(|error| format!("{address}: {error}"))?;
        match (url.scheme(), url.host_str()) {
            ("http", Some(host)) => Ok(Some(Self { name: name.unwrap_or(host).to_owned(), url })),
            _ => Err(format!("{address}: expected NAME=http://HOST:PORT/PATH or HOST:PORT")),
        }
    }
}

/// The last known status of each dependency. What was not reached yet is down.
#[derive(Clone)]
pub struct Board(Arc<Mutex<BTreeMap<String, Status>>>);

impl Board {
    /// Starts one background task a target.
    pub fn watch(targets: Vec<Target>, interval: Duration) -> reqwest::Result<Self> {
        let client = client()?;
        let names = targets.iter().map(|target| (target.name.clone(), Status::Down)).collect();
        let board = Self(Arc::new(Mutex::new(names)));
        for target in targets {
            tokio::spawn(board.clone().follow(client.clone(), target, interval));
        }
        Ok(board)
    }

    pub fn read(&self) -> BTreeMap<String, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn follow(self, client: Client, target: Target, interval: Duration) {
        let begun = Instant::now();
        let (mut checked, mut was_healthy) = (false, false);
        loop {
            let outcome = check(&client, &target.url).await;
            let status = *outcome.as_ref().unwrap_or(&Status::Down);
            let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(target.name.clone(), status);
            if !checked || before != Some(status) {
                match outcome {
                    Ok(status) => info!("dependency {}: {status}", target.name),
                    Err(why) => warn!("dependency {}: {status}, {why}", target.name),
                }
            }
            checked = true;
            was_healthy |= status == Status::Healthy;
            let quick = !was_healthy && begun.elapsed() < FIRST_PHASE;
            sleep(if quick { FIRST_INTERVAL.min(interval) } else { interval }).await;
        }
    }
}

#[derive(Deserialize)]
struct Seen {
    status: Status,
}

/// Keeps no connection open: the next check asks whoever has the name then.
fn client() -> reqwest::Result<Client> {
    // With no authorities, as in an image of this program alone there are none.
    Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .dns_resolver(names::Resolver)
        .pool_max_idle_per_host(0)
        .timeout(TIMEOUT)
        .build()
}

async fn check(client: &Client, url: &Url) -> Result<Status, String> {
    let ask = async {
        let response = client.get(url.clone()).send().await?;
        Ok((response.status(), response.bytes().await?))
    };
    match ask.await {
        // What speaks no JSON of ours is judged by its HTTP status.
        Ok((code, body)) if code.is_success() => {
            Ok(serde_json::from_slice(&body).map_or(Status::Healthy, |seen: Seen| seen.status))
        }
        Ok((code, _)) => Err(format!("HTTP {}", code.as_u16())),
        Err(error) => Err(innermost(&error)),
    }
}

/// "Connection refused", rather than the layers that pass it on.
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
