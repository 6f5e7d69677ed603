//! A recording proxy for the Docker Engine's socket: everything passes through unchanged, and is written down with the
//! instant at which it passed.
//!
//! It listens on a unix socket of its own and forwards every connection to the real one. It understands just enough
//! HTTP/1.1 to tell requests apart on a kept-alive connection (lengths, chunks, endless streams, hijacked
//! connections). For each request it keeps method, path and status; for each line of the event stream, the instant
//! at which the line passed. On request it misbehaves as a real Engine can: [`Proxy::fail_next`], [`Proxy::cut`].
//!
//! It runs on a thread of its own with a runtime of its own, so it can be used from blocking code and from any test.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// One request that arrived at the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    /// Ascending in the order of arrival.
    pub id: u64,
    /// Which of the client's connections it came on.
    pub connection: u64,
    /// When the head of the request had arrived.
    pub at: Instant,
    pub method: String,
    /// The request target as sent: with the version prefix and the query.
    pub path: String,
    /// What the client was answered; `None` while it waits, or when the connection closed instead.
    pub status: Option<u16>,
    /// What the Engine had answered: differs from `status` only under a fault.
    pub engine_status: Option<u16>,
    /// When the head of the answer was passed on.
    pub answered: Option<Instant>,
    /// The fault that this call was met with.
    pub fault: Option<Fault>,
}

impl Call {
    /// The path without version prefix and query: `/containers/json`.
    pub fn route(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or("");
        let Some(rest) = path.strip_prefix("/v") else {
            return path;
        };
        match rest.find('/') {
            Some(end) if rest[..end].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => &rest[end..],
            _ => path,
        }
    }

    pub fn query(&self) -> &str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether this is `method` on `route`, in which a `*` stands for one segment or more:
    /// `call.is("POST", "/containers/*/start")`.
    pub fn is(&self, method: &str, route: &str) -> bool {
        self.method == method && matches_route(route, self.route())
    }

    /// Whether the call can change something: all but reading, and the calls that only look like writing.
    pub fn mutates(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
            && !self.is("POST", "/auth")
            && !self.is("POST", "/containers/*/wait")
            && !self.is("POST", "/session")
            && !self.is("POST", "/grpc")
    }
}

/// One line of the event stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// When its last byte was about to be passed to the client.
    pub at: Instant,
    /// The `GET /events` call that it came on.
    pub call: u64,
    pub data: Value,
}

impl Event {
    /// The action, without what may follow a colon: `die`, `start`, `health_status`.
    pub fn action(&self) -> &str {
        let action = self.data["Action"].as_str().unwrap_or("");
        action.split(':').next().unwrap_or(action)
    }

    /// The id of the container, network or volume that it is about.
    pub fn actor(&self) -> &str {
        self.data["Actor"]["ID"].as_str().unwrap_or("")
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The call never reaches the Engine; the client gets this status.
    AnswerBefore(u16),
    /// The call takes effect, but the client gets this status.
    AnswerAfter(u16),
    /// The connection closes before the call reaches the Engine.
    DropBefore,
    /// The call takes effect, and the connection closes instead of an answer.
    DropAfter,
    /// The call reaches the Engine that much later.
    Delay(Duration),
    /// The call takes effect at once, but its answer is held back that long.
    Hold(Duration),
}

type Matcher = Box<dyn Fn(&Call) -> bool + Send>;

#[derive(Default)]
struct Shared {
    upstream: PathBuf,
    calls: Mutex<Vec<Call>>,
    events: Mutex<Vec<Event>>,
    faults: Mutex<VecDeque<(Matcher, Fault)>>,
    next_call: AtomicU64,
}

enum Order {
    Cut,
    Restore,
    Stop,
}

pub struct Proxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    orders: tokio::sync::mpsc::UnboundedSender<(Order, mpsc::Sender<()>)>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on `engine.sock` in `dir` (keep that path short: a socket's path has about 100 bytes) and forwards to
    /// `upstream`. It accepts connections from the moment this returns.
    ///
    /// # Panics
    /// Where the socket cannot be made.
    pub fn start(upstream: PathBuf, dir: &Path) -> Proxy {
        let socket = dir.join("engine.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .unwrap_or_else(|error| panic!("the proxy cannot listen on {}: {error}", socket.display()));
        let shared = Arc::new(Shared { upstream, ..Shared::default() });
        let (orders, inbox) = tokio::sync::mpsc::unbounded_channel();
        let thread = {
            let (socket, shared) = (socket.clone(), shared.clone());
            std::thread::Builder::new()
                .name("proxy".to_owned())
                .spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime for the proxy").block_on(listen(listener, &socket, &shared, inbox));
                })
                .expect("a thread for the proxy")
        };
        Proxy { socket, shared, orders, thread: Some(thread) }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The socket as a DOCKER_HOST.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Every call since the start or the last [`clear`](Self::clear), in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// The first recorded call that is wanted.
    pub fn find_call(&self, wanted: impl FnMut(&&Call) -> bool) -> Option<Call> {
        lock(&self.shared.calls).iter().find(wanted).cloned()
    }

    pub fn events(&self) -> Vec<Event> {
        lock(&self.shared.events).clone()
    }

    pub fn find_event(&self, wanted: impl FnMut(&&Event) -> bool) -> Option<Event> {
        lock(&self.shared.events).iter().find(wanted).cloned()
    }

    /// Forgets the calls and events so far. Faults that wait stay.
    pub fn clear(&self) {
        lock(&self.shared.calls).clear();
        lock(&self.shared.events).clear();
    }

    /// Meets the next call that `matcher` accepts with `fault`, once. Several may wait: each call takes the first that
    /// fits.
    pub fn fail_next(&self, matcher: impl Fn(&Call) -> bool + Send + 'static, fault: Fault) {
        lock(&self.shared.faults).push_back((Box::new(matcher), fault));
    }

    /// How many faults still wait for their call.
    pub fn pending_faults(&self) -> usize {
        lock(&self.shared.faults).len()
    }

    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The Engine is gone: every connection is closed, new ones are refused. When this returns, it has happened.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// The Engine is back.
    pub fn restore(&self) {
        self.order(Order::Restore);
    }

    fn order(&self, order: Order) {
        let (done, wait) = mpsc::channel();
        if self.orders.send((order, done)).is_ok() {
            let _ = wait.recv();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// A test that panicked elsewhere must not hide what was recorded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn listen(
    listener: std::os::unix::net::UnixListener,
    socket: &Path,
    shared: &Arc<Shared>,
    mut inbox: tokio::sync::mpsc::UnboundedReceiver<(Order, mpsc::Sender<()>)>,
) {
    let mut listener = Some(UnixListener::from_std(listener).expect("a listener within a runtime"));
    let mut connections = JoinSet::new();
    let mut count = 0;
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = inbox.recv() => {
                let Some((order, done)) = order else { return };
                match order {
                    Order::Restore if listener.is_none() => {
                        let _ = std::fs::remove_file(socket);
                        listener = UnixListener::bind(socket).ok();
                    }
                    Order::Restore => {}
                    // The socket's file stays, as it does when a daemon dies: connecting to it is refused.
                    Order::Cut | Order::Stop => {
                        listener = None;
                        connections.shutdown().await;
                    }
                }
                let _ = done.send(());
                if matches!(order, Order::Stop) {
                    return;
                }
            }
            accepted = accepted => {
                if let Ok((client, _)) = accepted {
                    count += 1;
                    connections.spawn(serve(client, count, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection of a client, to its end. Whatever goes wrong on either side closes both.
async fn serve(client: UnixStream, connection: u64, shared: Arc<Shared>) {
    let _ = converse(client, connection, &shared).await;
}

enum Next {
    KeepAlive,
    Close,
    /// The connection was hijacked: bytes from now on, in both directions.
    Tunnel,
}

async fn converse(client: UnixStream, connection: u64, shared: &Shared) -> io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let mut from_client = Source::new(from_client);
    let mut upstream: Option<(Source, OwnedWriteHalf)> = None;

    while let Some(head) = from_client.head().await? {
        let at = Instant::now();
        let request = Request::parse(&head)?;
        let call = shared.record(connection, at, &request);
        match call.fault {
            Some(Fault::DropBefore) => return Ok(()),
            Some(Fault::AnswerBefore(status)) => {
                relay(&mut from_client, request.framing, None, |_| {}).await?;
                shared.answered(call.id, None, Some(status));
                to_client.write_all(&invented(status)).await?;
                continue;
            }
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            _ => {}
        }

        if upstream.is_none() {
            let (reader, writer) = UnixStream::connect(&shared.upstream).await?.into_split();
            upstream = Some((Source::new(reader), writer));
        }
        let (from_engine, to_engine) = upstream.as_mut().expect("connected just above");

        // The request's body and the answer pass at the same time: an answer may begin before a long upload ends, and
        // a client that leaves must end an endless answer.
        let mut sent = false;
        let next = {
            let sending = async {
                to_engine.write_all(&head).await?;
                relay(&mut from_client, request.framing, Some(to_engine), |_| {}).await?;
                sent = true;
                while from_client.fill().await? > 0 {}
                io::Result::Ok(())
            };
            let answering = answer(&call, from_engine, &mut to_client, shared);
            first(answering, sending).await?
        };
        match next {
            Some(Next::KeepAlive) if sent && !request.close => {}
            Some(Next::Tunnel) if sent => {
                let (from_engine, to_engine) = upstream.as_mut().expect("still connected");
                let up = relay(&mut from_client, Framing::ToEnd, Some(to_engine), |_| {});
                let down = relay(from_engine, Framing::ToEnd, Some(&mut to_client), |_| {});
                return tunnel(up, down).await;
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// The answer, or `None` where the client left before.
async fn first(
    answering: impl Future<Output = io::Result<Next>>,
    sending: impl Future<Output = io::Result<()>>,
) -> io::Result<Option<Next>> {
    tokio::select! {
        biased;
        next = answering => next.map(Some),
        gone = sending => gone.map(|()| None),
    }
}

/// The end of the Engine's side ends a tunnel; the end of the client's side (its input) leaves the output open.
async fn tunnel(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let mut down = pin!(down);
    tokio::select! {
        biased;
        end = &mut down => end,
        end = up => { end?; down.await }
    }
}

async fn answer(
    call: &Call,
    from_engine: &mut Source,
    to_client: &mut OwnedWriteHalf,
    shared: &Shared,
) -> io::Result<Next> {
    let (head, response) = loop {
        let Some(head) = from_engine.head().await? else {
            return Ok(Next::Close);
        };
        let response = Response::parse(&head, &call.method)?;
        if response.status >= 200 || response.status == 101 {
            break (head, response);
        }
        to_client.write_all(&head).await?;
    };

    match call.fault {
        Some(Fault::AnswerAfter(status)) => {
            relay(from_engine, response.framing, None, |_| {}).await?;
            shared.answered(call.id, Some(response.status), Some(status));
            to_client.write_all(&invented(status)).await?;
            return Ok(if response.close { Next::Close } else { Next::KeepAlive });
        }
        Some(Fault::DropAfter) => {
            relay(from_engine, response.framing, None, |_| {}).await?;
            shared.answered(call.id, Some(response.status), None);
            return Ok(Next::Close);
        }
        Some(Fault::Hold(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }

    shared.answered(call.id, Some(response.status), Some(response.status));
    to_client.write_all(&head).await?;
    if response.hijacked {
        return Ok(Next::Tunnel);
    }
    if call.is("GET", "/events") && response.status == 200 {
        let mut line = Vec::new();
        relay(from_engine, response.framing, Some(to_client), |piece| shared.listen(call.id, &mut line, piece)).await?;
    } else {
        relay(from_engine, response.framing, Some(to_client), |_| {}).await?;
    }
    Ok(if response.close { Next::Close } else { Next::KeepAlive })
}

impl Shared {
    /// Writes the call down, with the fault that it will meet.
    fn record(&self, connection: u64, at: Instant, request: &Request) -> Call {
        let mut call = Call {
            id: 0,
            connection,
            at,
            method: request.method.clone(),
            path: request.path.clone(),
            status: None,
            engine_status: None,
            answered: None,
            fault: None,
        };
        let mut faults = lock(&self.faults);
        if let Some(index) = faults.iter().position(|(matcher, _)| matcher(&call)) {
            call.fault = faults.remove(index).map(|(_, fault)| fault);
        }
        drop(faults);
        call.id = self.next_call.fetch_add(1, Ordering::Relaxed);
        lock(&self.calls).push(call.clone());
        call
    }

    fn answered(&self, id: u64, engine_status: Option<u16>, status: Option<u16>) {
        let now = Instant::now();
        let mut calls = lock(&self.calls);
        // It may have been cleared in the meantime.
        if let Ok(index) = calls.binary_search_by_key(&id, |call| call.id) {
            let call = &mut calls[index];
            call.engine_status = engine_status;
            call.status = status;
            call.answered = status.map(|_| now);
        }
    }

    fn listen(&self, call: u64, line: &mut Vec<u8>, piece: Piece<'_>) {
        for part in piece.data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                if let Ok(data) = serde_json::from_slice(line) {
                    lock(&self.events).push(Event { at: piece.at, call, data });
                }
                line.clear();
            }
        }
    }
}

/// An answer of the proxy's own, in the form of the Engine's errors.
fn invented(status: u16) -> Vec<u8> {
    let body = format!("{{\"message\":\"proxy: answered {status}\"}}\n");
    let body = if status == 204 || status == 304 { "" } else { &body };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\n{length}\r\n{body}").into_bytes()
}

/// The reading half of a connection with what was read ahead.
struct Source {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
    start: usize,
}

impl Source {
    fn new(reader: OwnedReadHalf) -> Self {
        Source { reader, buffer: Vec::with_capacity(16 * 1024), start: 0 }
    }

    fn available(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Reads whatever is there; 0 is the end. Dropped before it is done, it has read nothing.
    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(16 * 1024);
        self.reader.read_buf(&mut self.buffer).await
    }

    /// Everything up to and with the empty line; `None` at a clean end.
    async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let available = self.available();
            if let Some(end) = available.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = available[..end + 4].to_vec();
                self.consume(end + 4);
                return Ok(Some(head));
            }
            if self.fill().await? == 0 {
                return if self.available().is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length(u64),
    Chunked,
    ToEnd,
}

/// A piece of a body, without its framing.
struct Piece<'a> {
    /// When it was about to be passed on.
    at: Instant,
    data: &'a [u8],
}

/// Passes one body on as it comes, byte for byte, or swallows it; `seen` gets its content after it has passed.
async fn relay(
    from: &mut Source,
    framing: Framing,
    mut to: Option<&mut OwnedWriteHalf>,
    mut seen: impl FnMut(Piece<'_>),
) -> io::Result<()> {
    let mut left = if let Framing::Length(length) = framing { length } else { u64::MAX };
    let mut chunks = Chunks::default();
    let mut pieces = Vec::new();
    while left > 0 {
        if from.available().is_empty() && from.fill().await? == 0 {
            if framing != Framing::ToEnd {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(to) = &mut to {
                to.shutdown().await?;
            }
            return Ok(());
        }
        let available = from.available();
        pieces.clear();
        let count = if framing == Framing::Chunked {
            chunks.advance(available, &mut pieces)?
        } else {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(available.len());
            pieces.push(0..count);
            if framing != Framing::ToEnd {
                left -= count as u64;
            }
            count
        };
        let at = Instant::now();
        if let Some(to) = &mut to {
            to.write_all(&available[..count]).await?;
        }
        for piece in pieces.drain(..) {
            seen(Piece { at, data: &available[piece] });
        }
        from.consume(count);
        if chunks.state == ChunkState::Done {
            return Ok(());
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum ChunkState {
    /// In the line with the size.
    #[default]
    Size,
    Data,
    /// In the line's end behind the data.
    DataEnd,
    /// In the lines after the last chunk; an empty one ends the body.
    Trailer,
    Done,
}

/// Where a chunked body has its content, and where it ends.
#[derive(Default)]
struct Chunks {
    state: ChunkState,
    line: Vec<u8>,
    left: usize,
}

impl Chunks {
    /// Goes through `bytes` and notes the content in `pieces`. Returns how many of the bytes belong to this body.
    fn advance(&mut self, bytes: &[u8], pieces: &mut Vec<Range<usize>>) -> io::Result<usize> {
        let mut at = 0;
        while at < bytes.len() && self.state != ChunkState::Done {
            if self.state == ChunkState::Data {
                let count = self.left.min(bytes.len() - at);
                pieces.push(at..at + count);
                at += count;
                self.left -= count;
                if self.left == 0 {
                    self.state = ChunkState::DataEnd;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            if byte != b'\n' {
                if byte != b'\r' {
                    self.line.push(byte);
                }
                continue;
            }
            self.state = match self.state {
                ChunkState::Size => {
                    let text = String::from_utf8_lossy(&self.line);
                    let size = text.split(';').next().unwrap_or("").trim();
                    self.left = usize::from_str_radix(size, 16).map_err(|_| malformed("no chunk size"))?;
                    if self.left == 0 { ChunkState::Trailer } else { ChunkState::Data }
                }
                ChunkState::DataEnd => ChunkState::Size,
                ChunkState::Trailer if self.line.is_empty() => ChunkState::Done,
                state => state,
            };
            self.line.clear();
        }
        Ok(at)
    }
}

struct Request {
    method: String,
    path: String,
    framing: Framing,
    close: bool,
}

impl Request {
    fn parse(head: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(head);
        let mut words = text.lines().next().unwrap_or("").split(' ');
        let (Some(method), Some(path), Some(_)) = (words.next(), words.next(), words.next()) else {
            return Err(malformed("no request line"));
        };
        let headers = Headers::parse(&text);
        // Without a length a request has no body.
        let framing = headers.framing.unwrap_or(Framing::Length(0));
        Ok(Request { method: method.to_owned(), path: path.to_owned(), framing, close: headers.close })
    }
}

struct Response {
    status: u16,
    framing: Framing,
    hijacked: bool,
    close: bool,
}

impl Response {
    fn parse(head: &[u8], method: &str) -> io::Result<Self> {
        let text = String::from_utf8_lossy(head);
        let status = text.split(' ').nth(1).and_then(|word| word.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(|| malformed("no status line"))?;
        let headers = Headers::parse(&text);
        let framing = match headers.framing {
            _ if method == "HEAD" || status < 200 || status == 204 || status == 304 => Framing::Length(0),
            Some(framing) => framing,
            None => Framing::ToEnd,
        };
        let hijacked = status == 101 || (framing == Framing::ToEnd && headers.raw_stream);
        Ok(Response { status, framing, hijacked, close: headers.close || framing == Framing::ToEnd })
    }
}

#[derive(Default)]
struct Headers {
    framing: Option<Framing>,
    close: bool,
    raw_stream: bool,
}

impl Headers {
    fn parse(head: &str) -> Self {
        let mut headers = Headers::default();
        for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
            let value = value.trim().to_ascii_lowercase();
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" if value.ends_with("chunked") => headers.framing = Some(Framing::Chunked),
                "content-length" if headers.framing.is_none() => {
                    headers.framing = value.parse().ok().map(Framing::Length)
                }
                "connection" => headers.close = value.split(',').any(|word| word.trim() == "close"),
                "content-type" => headers.raw_stream = value.starts_with("application/vnd.docker."),
                _ => {}
            }
        }
        headers
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn matches_route(pattern: &str, route: &str) -> bool {
    fn matches(pattern: &[&str], route: &[&str]) -> bool {
        match (pattern.split_first(), route.split_first()) {
            (None, None) => true,
            (Some((&"*", rest)), Some((_, after))) => matches(rest, after) || matches(pattern, after),
            (Some((want, rest)), Some((have, after))) => want == have && matches(rest, after),
            _ => false,
        }
    }
    let (pattern, route): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), route.split('/').collect());
    matches(&pattern, &route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// An Engine that answers every request with 200 and the number of requests so far, in two chunks.
    struct Fake {
        _dir: tempfile::TempDir,
        socket: PathBuf,
        served: Arc<AtomicU64>,
    }

    fn fake() -> Fake {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("fake.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let served = Arc::new(AtomicU64::new(0));
        let count = served.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, count) = (stream.unwrap(), count.clone());
                std::thread::spawn(move || {
                    let (mut bytes, mut buffer) = (Vec::new(), [0; 1024]);
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        bytes.extend_from_slice(&buffer[..read]);
                        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                            bytes.drain(..end + 4);
                            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                            let text = format!(
                                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{\"\r\n{:x}\r\nn\":{number}}}\n\r\n0\r\n\r\n",
                                format!("n\":{number}}}\n").len()
                            );
                            let _ = stream.write_all(text.as_bytes());
                        }
                    }
                });
            }
        });
        Fake { _dir: dir, socket, served }
    }

    /// Sends one request and returns what came until the end of a body, or of the connection.
    fn ask(stream: &mut std::os::unix::net::UnixStream, line: &str) -> String {
        let _ = stream.write_all(format!("{line} HTTP/1.1\r\nHost: docker\r\n\r\n").as_bytes());
        let (mut text, mut byte) = (String::new(), [0]);
        while let Ok(1) = stream.read(&mut byte) {
            text.push(byte[0] as char);
            if text.ends_with("0\r\n\r\n") || (text.contains("message") && text.ends_with("}\n")) {
                break;
            }
        }
        text
    }

    fn connect(proxy: &Proxy) -> std::os::unix::net::UnixStream {
        std::os::unix::net::UnixStream::connect(proxy.socket()).unwrap()
    }

    #[test]
    fn routes_are_matched_without_version_and_query() {
        assert!(matches_route("/containers/*/start", "/containers/abc/start"));
        assert!(matches_route("/images/*/json", "/images/registry/name:tag/json"));
        assert!(!matches_route("/containers/*/start", "/containers/start"));
        assert!(!matches_route("/containers/json", "/containers/json/x"));
    }

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_cut() {
        let body = b"4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nTrailer: 1\r\n\r\nNEXT";
        for cut in 0..body.len() - 4 {
            let (mut chunks, mut content, mut used) = (Chunks::default(), Vec::new(), 0);
            for part in [&body[..cut], &body[cut..]] {
                let mut pieces = Vec::new();
                used += chunks.advance(part, &mut pieces).unwrap();
                pieces.into_iter().for_each(|piece| content.extend_from_slice(&part[piece]));
            }
            assert_eq!((content.as_slice(), used), (b"abcdefg".as_slice(), body.len() - 4), "cut at {cut}");
        }
    }

    #[test]
    fn calls_are_recorded_and_events_read() {
        let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
        let proxy = Proxy::start(fake.socket.clone(), dir.path());
        let mut stream = connect(&proxy);
        assert!(ask(&mut stream, "GET /v1.41/events?since=1").ends_with("0\r\n\r\n"));
        assert!(ask(&mut stream, "GET /_ping").contains("n\":2"));
        let calls = proxy.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!((calls[0].route(), calls[0].query(), calls[0].status), ("/events", "since=1", Some(200)));
        assert_eq!(calls[0].connection, calls[1].connection);
        assert_eq!(proxy.events()[0].data["n"], 1);
        assert_eq!(proxy.events().len(), 1);
        proxy.clear();
        assert!(proxy.calls().is_empty());
    }

    #[test]
    fn faults_strike_once_before_or_after_the_effect() {
        let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
        let proxy = Proxy::start(fake.socket.clone(), dir.path());
        let served = || fake.served.load(Ordering::SeqCst);

        proxy.fail_next(|call| call.is("GET", "/a"), Fault::AnswerBefore(500));
        let mut stream = connect(&proxy);
        assert!(ask(&mut stream, "GET /a").starts_with("HTTP/1.1 500"));
        assert_eq!((served(), proxy.pending_faults()), (0, 0));

        proxy.fail_next(|_| true, Fault::AnswerAfter(503));
        assert!(ask(&mut stream, "GET /a").starts_with("HTTP/1.1 503"));
        assert_eq!(served(), 1);
        assert!(ask(&mut stream, "GET /a").starts_with("HTTP/1.1 200"));

        proxy.fail_next(|_| true, Fault::DropAfter);
        assert_eq!(ask(&mut stream, "GET /a"), "");
        assert_eq!(served(), 3);
        proxy.fail_next(|_| true, Fault::DropBefore);
        assert_eq!(ask(&mut connect(&proxy), "GET /a"), "");
        assert_eq!(served(), 3);

        let began = Instant::now();
        proxy.fail_next(|_| true, Fault::Hold(Duration::from_millis(50)));
        assert!(ask(&mut connect(&proxy), "GET /a").starts_with("HTTP/1.1 200"));
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert_eq!(proxy.calls()[1].engine_status, Some(200));
    }

    #[test]
    fn a_cut_closes_and_refuses_until_restored() {
        let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
        let proxy = Proxy::start(fake.socket.clone(), dir.path());
        let mut stream = connect(&proxy);
        ask(&mut stream, "GET /a");
        proxy.cut();
        assert_eq!(ask(&mut stream, "GET /a"), "");
        // A program that another test starts just now has the socket open until it is that program.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let refused = loop {
            match std::os::unix::net::UnixStream::connect(proxy.socket()) {
                Err(refused) => break refused,
                Ok(_) => assert!(std::time::Instant::now() < deadline, "it still accepts"),
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        proxy.restore();
        assert!(ask(&mut connect(&proxy), "GET /a").contains("n\":2"));
    }
}
