//! Probes made within the container, by the programs that images commonly bring along, for one that cannot be reached.

use std::time::Duration;

use crate::model::service::{HttpProbe, ProbeKind};

/// Commands that ask the same, each by another program: one that ends with 0 is an answer. None where a program could not
/// tell what the probe asks for.
pub fn commands(kind: &ProbeKind, timeout: Duration) -> Vec<Vec<String>> {
    let seconds = timeout.as_secs().max(1).to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match kind {
        ProbeKind::Http(probe) if is_plain(probe) => {
            // A certificate is for another name than this address, and some of these programs look at none.
            let scheme = if probe.tls { "https" } else { "http" };
            let url = format!("{scheme}://127.0.0.1:{}{}", probe.port, probe.path);
            let mut wget = words(&["wget", "-q", "-O", "/dev/null", "-T", &seconds]);
            let mut curl = words(&["curl", "-fsS", "-o", "/dev/null", "-m", &seconds]);
            if probe.tls {
                wget.push("--no-check-certificate".to_owned());
                curl.push("-k".to_owned());
            }
            [wget, curl].map(|command| command.into_iter().chain([url.clone()]).collect()).into()
        }
        ProbeKind::Tcp { port } => vec![words(&["nc", "-z", "-w", &seconds, "127.0.0.1", &port.to_string()])],
        ProbeKind::Grpc { port, service } => {
            let mut command = vec!["grpc_health_probe".to_owned(), format!("-addr=127.0.0.1:{port}")];
            if !service.is_empty() {
                command.push(format!("-service={service}"));
            }
            vec![command]
        }
        ProbeKind::Http(_) | ProbeKind::Exec(_) => Vec::new(),
    }
}

/// Whether nothing but success is asked for.
fn is_plain(probe: &HttpProbe) -> bool {
    let verifies = probe.tls && probe.verify;
    !verifies && probe.status.is_empty() && probe.header.is_none() && probe.body.is_none() && probe.host.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_programs_can_tell_is_asked_of_them() {
        let http = HttpProbe {
            port: 80,
            path: "/health".to_owned(),
            tls: true,
            verify: false,
            host: None,
            status: Vec::new(),
            header: None,
            body: None,
        };
        let lines = |kind: &ProbeKind| -> Vec<String> {
            commands(kind, Duration::from_millis(2500)).iter().map(|command| command.join(" ")).collect()
        };
        assert_eq!(
            lines(&ProbeKind::Http(http.clone())),
            [
                "wget -q -O /dev/null -T 2 --no-check-certificate https://127.0.0.1:80/health",
                "curl -fsS -o /dev/null -m 2 -k https://127.0.0.1:80/health",
            ]
        );
        assert_eq!(lines(&ProbeKind::Http(HttpProbe { verify: true, ..http.clone() })), Vec::<String>::new());
        assert_eq!(lines(&ProbeKind::Http(HttpProbe { body: Some("ok".to_owned()), ..http })), Vec::<String>::new());
        assert_eq!(lines(&ProbeKind::Tcp { port: 5432 }), ["nc -z -w 2 127.0.0.1 5432"]);
        let grpc = ProbeKind::Grpc { port: 50051, service: "shop".to_owned() };
        assert_eq!(lines(&grpc), ["grpc_health_probe -addr=127.0.0.1:50051 -service=shop"]);
    }
}
