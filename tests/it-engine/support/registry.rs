//! A registry on loopback with one small image in it, which asks for a name and a password and can misbehave.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::image::demo_layer;

/// `someone:secret`.
const BASIC: &str = "c29tZW9uZTpzZWNyZXQ=";

/// What is asked of it, and how it answers.
pub struct Registry {
    port: u16,
    state: Arc<State>,
}

struct State {
    blobs: Vec<(String, Vec<u8>)>,
    manifest: Vec<u8>,
    manifest_digest: String,
    layer: String,
    /// So many requests for the manifest are refused as too many.
    busy: AtomicUsize,
    /// So many times the layer is sent broken.
    broken: AtomicUsize,
    manifests: AtomicUsize,
    /// Requests without the right name and password.
    refused: Mutex<usize>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    /// Starts it; it ends with the test's process.
    pub fn start() -> Self {
        let layer = demo_layer();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/demo-service"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}, "history": [{"created_by": "a test"}],
        });
        let config = config.to_string().into_bytes();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": digest(&config),
            },
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": digest(&layer),
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            manifest_digest: digest(&manifest),
            layer: digest(&layer),
            blobs: vec![(digest(&config), config), (digest(&layer), layer)],
            manifest,
            busy: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            manifests: AtomicUsize::new(0),
            refused: Mutex::new(0),
        });
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&served);
                std::thread::spawn(move || while serve(&state, &stream).is_some() {});
            }
        });
        Self { port, state }
    }

    /// `localhost:PORT`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The next so many requests for the manifest are too many.
    pub fn is_busy(&self, times: usize) {
        self.state.busy.store(times, Ordering::SeqCst);
    }

    /// The layer is sent broken so many times.
    pub fn breaks_layers(&self, times: usize) {
        self.state.broken.store(times, Ordering::SeqCst);
    }

    /// Requests for the manifest so far, by somebody with the right name and password.
    pub fn manifests(&self) -> usize {
        self.state.manifests.load(Ordering::SeqCst)
    }

    /// Requests so far by others.
    pub fn refused(&self) -> usize {
        *self.state.refused.lock().unwrap()
    }

    /// A `config.json` as `docker login` leaves it.
    pub fn config(&self) -> String {
        serde_json::json!({"auths": {self.host(): {"auth": BASIC}}}).to_string()
    }
}

fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

/// One request; `None`: the connection is over.
fn serve(state: &State, stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let known = lines.iter().any(|l| l.to_lowercase().starts_with("authorization:") && l.ends_with(BASIC));
    let answer = |status: &str, headers: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        let mut stream = stream;
        stream.write_all(head.as_bytes()).ok()?;
        if method == "HEAD" { Some(()) } else { stream.write_all(body).ok() }
    };
    if !known {
        *state.refused.lock().unwrap() += 1;
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        let headers = "WWW-Authenticate: Basic realm=\"tests\"\r\nContent-Type: application/json\r\n";
        return answer("401 Unauthorized", headers, body);
    }
    if path.contains("/manifests/") {
        state.manifests.fetch_add(1, Ordering::SeqCst);
        if take(&state.busy) {
            let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"you have reached your pull rate limit"}]}"#;
            return answer("429 Too Many Requests", "Content-Type: application/json\r\nRetry-After: 1\r\n", body);
        }
        let headers = format!(
            "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\nDocker-Content-Digest: {}\r\n",
            state.manifest_digest
        );
        return answer("200 OK", &headers, &state.manifest);
    }
    if let Some((_, wanted)) = path.rsplit_once("/blobs/") {
        let Some((_, blob)) = state.blobs.iter().find(|(digest, _)| digest == wanted) else {
            return answer("404 Not Found", "", b"");
        };
        let mut blob = blob.clone();
        if wanted == state.layer && method == "GET" && take(&state.broken) {
            let middle = blob.len() / 2;
            blob[middle] ^= 0xff;
        }
        return answer("200 OK", "Content-Type: application/octet-stream\r\n", &blob);
    }
    answer("200 OK", "Docker-Distribution-Api-Version: registry/2.0\r\n", b"{}")
}
