//! The least HTTP/1.1 that the Docker Engine's API needs: one kept-alive connection over a unix socket, blocking, by
//! hand. No client library stands between the measurement and the socket.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A call that takes longer than this is taken for dead.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Connection {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the Engine's answer is not JSON")
    }

    /// The answer as JSON, or the Engine's own message where the status is not one of success.
    pub fn success(self, what: &str) -> Result<Value> {
        if !(200..400).contains(&self.status) {
            let text = String::from_utf8_lossy(&self.body);
            bail!("{what}: {} {}", self.status, text.trim());
        }
        if self.body.is_empty() { Ok(Value::Null) } else { self.json() }
    }
}

struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    close: bool,
}

impl Connection {
    pub fn open(socket: &Path) -> Result<Self> {
        let mut connection = Connection { socket: socket.to_path_buf(), stream: None };
        connection.stream()?;
        Ok(connection)
    }

    fn stream(&mut self) -> Result<&mut BufReader<UnixStream>> {
        if self.stream.is_none() {
            let stream = UnixStream::connect(&self.socket)
                .with_context(|| format!("no Engine answers on {}", self.socket.display()))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(BufReader::new(stream));
        }
        Ok(self.stream.as_mut().expect("opened just above"))
    }

    /// One request and its whole answer. The connection stays open for the next one; it is opened again only where the
    /// Engine said that it would close it.
    pub fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = self.exchange(method, path, body);
        if answer.is_err() {
            self.stream = None;
        }
        answer.with_context(|| format!("{method} {path}"))
    }

    fn exchange(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let stream = self.stream()?;
        send(stream.get_mut(), method, path, body)?;
        let head = read_head(stream)?;
        let mut content = Vec::new();
        if head.status != 204 && head.status != 304 && method != "HEAD" {
            if head.chunked {
                while let Some(chunk) = read_chunk(stream)? {
                    content.extend_from_slice(&chunk);
                }
            } else if let Some(length) = head.length {
                content.resize(length, 0);
                stream.read_exact(&mut content)?;
            } else {
                stream.read_to_end(&mut content)?;
            }
        }
        if head.close || (head.length.is_none() && !head.chunked && head.status == 200) {
            self.stream = None;
        }
        Ok(Answer { status: head.status, body: content })
    }

    /// Subscribes to an endless chunked stream of JSON lines and hands every one to `on_line` until that says `false`.
    pub fn follow(mut self, path: &str, mut on_line: impl FnMut(&[u8]) -> bool) -> Result<()> {
        let stream = self.stream()?;
        stream.get_mut().set_read_timeout(None)?;
        send(stream.get_mut(), "GET", path, None)?;
        let head = read_head(stream)?;
        ensure!(head.status == 200 && head.chunked, "GET {path}: {}", head.status);
        let mut pending = Vec::new();
        while let Some(chunk) = read_chunk(stream)? {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if !on_line(&line) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn send(stream: &mut UnixStream, method: &str, path: &str, body: Option<&Value>) -> Result<()> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: docker\r\n");
    match body {
        Some(body) => {
            let text = body.to_string();
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        }
        None if method == "POST" => request += "Content-Length: 0\r\n\r\n",
        None => request += "\r\n",
    }
    Ok(stream.write_all(request.as_bytes())?)
}

fn read_head(stream: &mut impl BufRead) -> Result<Head> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(!line.is_empty(), "the Engine closed the connection");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP status line")?;
    let mut head = Head { status, length: None, chunked: false, close: false };
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(head);
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.parse().ok(),
            "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => head.close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
}

/// The next chunk of a chunked body, `None` after the last one.
fn read_chunk(stream: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let size = usize::from_str_radix(line.trim_end().split(';').next().unwrap_or(""), 16).context("no chunk size")?;
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok(if size == 0 { None } else { Some(chunk) })
}

/// A value for a query string.
pub fn quote(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
