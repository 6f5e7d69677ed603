//! HTTP probes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::{Document, Failure};
use crate::model::service::HttpProbe;

/// What is read of an answer.
const MOST: usize = 64 << 10;
/// Redirects that are followed.
const HOPS: usize = 5;

/// Clients: one for plain HTTP, and one for each name that TLS is spoken with.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<Option<Tls>, Client>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Tls {
    host: String,
    address: SocketAddr,
    verify: bool,
}

impl Clients {
    fn of(&self, tls: Option<Tls>) -> Result<Client, Failure> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&tls) {
            return Ok(client.clone());
        }
        let on_the_host = Policy::custom(|attempt| {
            let here = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
            let first = attempt.previous().first().map(here);
            if attempt.previous().len() > HOPS || first != Some(here(attempt.url())) {
                attempt.stop()
            } else {
                attempt.follow()
            }
        });
        // `main` installs it. A client, one for plain HTTP too, is not made without: reqwest would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Failure::Answered("this program has no provider of TLS".to_owned()));
        }
        let mut builder = Client::builder().redirect(on_the_host).no_proxy().user_agent("evenkeel");
        builder = match &tls {
            Some(tls) => builder.resolve(&tls.host, tls.address).danger_accept_invalid_certs(!tls.verify),
            // Authorities are not looked for, as an image may have none.
            None => builder.tls_certs_only([]),
        };
        let client = builder.build().map_err(|e| Failure::Answered(words(&e)))?;
        clients.insert(tls, client.clone());
        Ok(client)
    }

    pub(super) async fn get(&self, probe: &HttpProbe, address: SocketAddr) -> Result<Document, Failure> {
        let named = probe.host.clone().unwrap_or_else(|| address.ip().to_string());
        let tls = probe.tls.then(|| Tls { host: named.clone(), address, verify: probe.verify });
        let client = self.of(tls)?;
        let url = match probe.tls {
            true => format!("https://{named}:{}{}", address.port(), probe.path),
            false => format!("http://{address}{}", probe.path),
        };
        let mut request = client.get(url);
        if let (Some(host), false) = (&probe.host, probe.tls) {
            request = request.header(reqwest::header::HOST, host);
        }
        let answer = request.send().await.map_err(|error| {
            let why = words(&error);
            // A port at which nobody listens is an answer of the host that it is on.
            match error.is_connect() && !is_refused(&error) {
                true => Failure::Unreachable(why),
                false => Failure::Answered(why),
            }
        })?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = body(answer).await?;
        let wanted = |status: u16| match probe.status.as_slice() {
            [] => (200..400).contains(&status),
            ranges => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status)),
        };
        let failed = |why: String| Err(Failure::Answered(why));
        let document = Document::parse(&body);
        if !wanted(status) {
            let down: Vec<_> = document.complaints();
            let more = if down.is_empty() { String::new() } else { format!(": {}", down.join(", ")) };
            return failed(format!("it answers {status}{more}"));
        }
        if let Some((name, value)) = &probe.header
            && headers.get(name).is_none_or(|found| found.as_bytes() != value.as_bytes())
        {
            return failed(format!("its answer has no header `{name}: {value}`"));
        }
        if let Some(text) = &probe.body
            && !String::from_utf8_lossy(&body).contains(text.as_str())
        {
            return failed(format!("`{text}` is not in its answer"));
        }
        if document.is_down() {
            return failed("it says that it is down".to_owned());
        }
        Ok(document)
    }
}

/// The beginning of the body; what is left of a long one is not waited for.
async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Failure::Answered(words(&e)))? {
        body.extend_from_slice(&chunk);
        if body.len() >= MOST {
            break;
        }
    }
    Ok(body)
}

/// Whether somebody's answer was that nobody listens there.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// An error with what it came of: the outer ones say little.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
