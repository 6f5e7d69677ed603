//! `demo-service health`: one request over a plain socket, a few milliseconds in all.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::args::Health;

const TIMEOUT: Duration = Duration::from_secs(2);
/// More than any report of ours; the rest is not read.
const ANSWER_AT_MOST: usize = 64 * 1024;

pub fn run(args: &Health) -> ExitCode {
    let local = || format!("http://127.0.0.1:{}/health", args.port);
    match ask(&args.url.clone().unwrap_or_else(local)) {
        Ok(answer) => {
            println!("{}", answer.text);
            if answer.code == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("down: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Answer {
    code: u16,
    text: String,
}

fn ask(url: &str) -> Result<Answer, String> {
    let (address, path) = split(url)?;
    let answer = exchange(address, path).map_err(|error| format!("{address}: {error}"))?;
    let code = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| format!("{address}: no HTTP answer"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|body| body["status"].as_str().map(str::to_owned));
    Ok(Answer { code, text: status.unwrap_or_else(|| format!("HTTP {code}")) })
}

/// Numeric hosts only, as there is no resolver here.
fn split(url: &str) -> Result<(SocketAddr, &str), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url}: expected http://ADDRESS:PORT/PATH"))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let host = host.replacen("localhost", "127.0.0.1", 1);
    let address = host.parse().or_else(|_| host.parse::<Ipv4Addr>().map(|ip| SocketAddr::from((ip, 80))));
    address.map(|address| (address, path)).map_err(|_| format!("{url}: the host must be a numeric address"))
}

/// The socket's timeout is for one read; the deadline is for all of them.
fn exchange(address: SocketAddr, path: &str) -> io::Result<String> {
    let deadline = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while answer.len() < ANSWER_AT_MOST {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A read that runs out of time says "would block", which tells a person nothing.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
