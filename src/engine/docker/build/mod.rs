//! Building an image with a builder of the Engine.

mod buildkit;
mod context;
mod ignore;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::mpsc;

use super::{DockerEngine, auth, error, refusal};
use crate::engine::{BuildSpec, EngineError};
use crate::model::labels;
use crate::model::service::Build;
use buildkit::{Builder, Progress, Told};
use context::Context;

/// How many lines of the builder's output go into the error.
const LAST_LINES: usize = 10;
/// How much of one line.
const LINE: usize = 400;
/// How much of the context is read ahead: so many pieces of [`PIECE`] bytes.
const AHEAD: usize = 8;
const PIECE: usize = 64 * 1024;
/// Within so long after a failure the reader of the context knows whether it was its own.
const READER_ENDS: Duration = Duration::from_secs(1);

/// Sends the context and waits until the image is there under all its names. A context that is an address is fetched by
/// the Engine.
pub(super) async fn run(engine: &DockerEngine, spec: &BuildSpec<'_>) -> Result<(), EngineError> {
    let refused = EngineError::NotAsked;
    let build = spec.build;
    let builder = Builder::choose(build, engine.api());
    if !Path::new(&build.context).is_absolute() {
        if build.dockerfile_inline.is_some() {
            return Err(refused("`dockerfile_inline` needs a context that is a folder".into()));
        }
        let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
        let query = query(spec, &builder, dockerfile, Some(&build.context));
        return send(engine, spec, builder, query, futures_util::stream::empty()).await;
    }
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let (opened, context) = tokio::sync::oneshot::channel();
    let how = build.clone();
    let reading = tokio::task::spawn_blocking(move || read(&how, opened, sender));
    let dockerfile = match context.await {
        Ok(opened) => opened.map_err(refused)?,
        Err(_) => return Err(refused("the build context cannot be read".into())),
    };
    let pieces = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let query = query(spec, &builder, &dockerfile, None);
    let built = send(engine, spec, builder, query, pieces).await;
    let Err(failure) = built else { return Ok(()) };
    // Why the context could not be sent says more than that the Engine did not get it.
    match tokio::time::timeout(READER_ENDS, reading).await {
        Ok(Ok(Some(reason))) => Err(refused(format!("the build context: {reason}"))),
        _ => Err(failure),
    }
}

/// Reads the context, on a thread of its own: the Dockerfile's name first, then the archive. Says why it could not be read.
fn read(
    build: &Build,
    opened: tokio::sync::oneshot::Sender<Result<String, String>>,
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
) -> Option<String> {
    let context = match Context::open(build) {
        Ok(context) => context,
        Err(reason) => {
            let _ = opened.send(Err(reason));
            return None;
        }
    };
    if opened.send(Ok(context.dockerfile.clone())).is_err() {
        return None;
    }
    let pieces = io::BufWriter::with_capacity(PIECE, Pieces(&sender));
    let error = context.write(pieces).err()?;
    // The Engine hung up: it has its own reason.
    if error.kind() == io::ErrorKind::BrokenPipe {
        return None;
    }
    let reason = error.to_string();
    let _ = sender.blocking_send(Err(error));
    Some(reason)
}

/// Passes on what is written.
struct Pieces<'a>(&'a mpsc::Sender<io::Result<Vec<u8>>>);

impl Write for Pieces<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(Ok(piece.to_vec())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Builds with a client on a runtime of its own: the client leaves the connection of a session open, and with it a task and
/// the credentials; here they end with the build.
async fn send(
    engine: &DockerEngine,
    spec: &BuildSpec<'_>,
    builder: Builder,
    query: String,
    context: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
) -> Result<(), EngineError> {
    let credentials = match builder {
        Builder::Classic => auth::all().await,
        Builder::BuildKit { .. } => auth::by_host().await,
    };
    let (docker, address, teller) = (engine.another_client()?, engine.address.clone(), Teller::of(spec));
    let credentials = Some(credentials).filter(|all| !all.is_empty());
    // Who waits for the build may give up.
    let (awaited, given_up) = tokio::sync::oneshot::channel::<()>();
    let failed = |error: String| EngineError::NoAnswer(error);
    let work = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| failed(e.to_string()))?.block_on(async {
            tokio::select! {
                answer = send_with(docker, &address, teller, builder, query, credentials, context) => answer,
                _ = given_up => Err(failed("nobody waits for it any more".into())),
            }
        })
    });
    let answer = work.await.map_err(|e| failed(e.to_string()))?;
    drop(awaited);
    answer
}

async fn send_with(
    docker: Docker,
    address: &str,
    mut teller: Teller,
    builder: Builder,
    query: String,
    credentials: Option<HashMap<String, DockerCredentials>>,
    context: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
) -> Result<(), EngineError> {
    // The client's own options have no word for some of it.
    let docker = docker.with_request_modifier(move |mut request| {
        let uri = request.uri().to_string();
        let path = uri.split('?').next().unwrap_or_default();
        // The session has a call of its own.
        if path.ends_with("/build")
            && let Ok(uri) = format!("{path}?{query}").parse()
        {
            *request.uri_mut() = uri;
        }
        request
    });
    let body = bollard::body_try_stream(context.map(|piece| piece.map(Into::into)));
    let options = match &builder {
        Builder::Classic => BuildImageOptionsBuilder::new(),
        Builder::BuildKit { session } => {
            BuildImageOptionsBuilder::new().version(BuilderVersion::BuilderBuildKit).session(session)
        }
    };
    let mut output = docker.build_image(options.build(), credentials, Some(body));
    let mut progress = Progress::default();
    while let Some(info) = output.next().await {
        let info = info.map_err(|e| teller.explain(error(address, e)))?;
        if let Some(message) = info.error_detail.and_then(|d| d.message) {
            return Err(teller.explain(refusal::error(None, message)));
        }
        let news = info.aux.map(|told| progress.news(told)).unwrap_or_default();
        news.into_iter().chain(info.stream.map(Told::by_classic)).for_each(|told| teller.tell(told));
    }
    Ok(())
}

/// Tells how a build goes on, without the values of its arguments: BuildKit writes them out in the names of its steps.
struct Teller {
    image: String,
    arguments: Vec<String>,
    last: Last,
}

impl Teller {
    /// A shorter value is no secret, and would blot out half of what is told.
    const SECRET: usize = 4;

    fn of(spec: &BuildSpec<'_>) -> Self {
        let values = spec.build.args.values().flatten().filter(|value| value.len() >= Self::SECRET);
        Self { image: spec.image.to_owned(), arguments: values.cloned().collect(), last: Last::default() }
    }

    fn masked(&self, text: &str) -> String {
        self.arguments.iter().fold(text.to_owned(), |text, value| text.replace(value, "***"))
    }

    fn tell(&mut self, told: Told) {
        // Steps are worth a line in the log; what their programs print is not.
        let text = match told {
            Told::Step(text) => {
                let text = self.masked(&text);
                tracing::info!("{}: {}", self.image, plain(&text));
                text
            }
            Told::Output(text) => {
                let text = self.masked(&text);
                tracing::debug!("{}: {}", self.image, plain(&text));
                text
            }
        };
        self.last.take(&text);
    }

    fn explain(&mut self, error: EngineError) -> EngineError {
        let error = match error {
            EngineError::Refused { reason, message } => EngineError::Refused { reason, message: self.masked(&message) },
            other => other,
        };
        self.last.explain(error)
    }
}

/// The last lines of the output, which comes in pieces that need not be lines.
#[derive(Debug, Default)]
struct Last {
    lines: VecDeque<String>,
    open: String,
}

impl Last {
    fn take(&mut self, piece: &str) {
        for part in piece.split_inclusive('\n') {
            if self.open.len() < LINE {
                self.open.push_str(part.trim_end_matches(['\n', '\r']));
            }
            if part.ends_with('\n') {
                let line = std::mem::take(&mut self.open);
                self.keep(&line);
            }
        }
    }

    fn keep(&mut self, line: &str) {
        let shown = plain(line);
        // What is tidied up tells nobody why.
        if !shown.is_empty() && !shown.starts_with("Removing intermediate container") {
            self.lines.push_back(shown);
        }
        if self.lines.len() > LAST_LINES {
            self.lines.pop_front();
        }
    }

    /// A refusal, with the lines that led to it.
    fn explain(&mut self, error: EngineError) -> EngineError {
        let open = std::mem::take(&mut self.open);
        self.keep(&open);
        match error {
            EngineError::Refused { reason, message } if !self.lines.is_empty() => {
                let lines = self.lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ");
                EngineError::Refused { reason, message: format!("{message}; the builder's last lines: {lines}") }
            }
            other => other,
        }
    }
}

/// A line without colours and control characters, and of bounded length.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default();
    // A colour is `[`, digits and an `m`.
    let colourless = parts.map(|part| match part.split_once('m') {
        Some((colour, text)) if colour.starts_with('[') && colour[1..].chars().all(|c| !c.is_alphabetic()) => text,
        _ => part,
    });
    let text: String = std::iter::once(first).chain(colourless).collect();
    text.chars().filter(|c| !c.is_control()).take(LINE).collect::<String>().trim().to_owned()
}

/// What the builder is told, as the query of the call.
fn query(spec: &BuildSpec<'_>, builder: &Builder, dockerfile: &str, remote: Option<&str>) -> String {
    let build = spec.build;
    let mut labels = build.labels.clone();
    labels.insert(labels::IMAGE_BUILDER.to_owned(), builder.name().to_owned());
    let mut pairs: Vec<(&str, String)> =
        vec![("dockerfile", dockerfile.to_owned()), ("labels", json!(labels).to_string())];
    pairs.extend(
        match builder {
            // Containers of steps go also when a step fails.
            Builder::Classic => vec![("version", "1"), ("rm", "1"), ("forcerm", "1")],
            Builder::BuildKit { session } => vec![("version", "2"), ("session", session.as_str())],
        }
        .into_iter()
        .map(|(key, value)| (key, value.to_owned())),
    );
    let names = build.tags.iter().map(String::as_str).chain([spec.image]);
    pairs.extend(names.map(|name| ("t", name.to_owned())));
    pairs.extend(build.extra_hosts.iter().map(|host| ("extrahosts", host.replacen('=', ":", 1))));
    // An argument without a value keeps the Dockerfile's.
    let arguments: BTreeMap<_, _> = build.args.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).collect();
    if !arguments.is_empty() {
        pairs.push(("buildargs", json!(arguments).to_string()));
    }
    if !build.cache_from.is_empty() {
        pairs.push(("cachefrom", json!(build.cache_from).to_string()));
    }
    if !build.ulimits.is_empty() {
        let limit = |(name, limit): (&String, &crate::model::service::Ulimit)| json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard });
        pairs.push(("ulimits", build.ulimits.iter().map(limit).collect::<serde_json::Value>().to_string()));
    }
    let flags = [("nocache", build.no_cache), ("pull", build.pull)];
    pairs.extend(flags.into_iter().filter(|(_, set)| *set).map(|(key, _)| (key, "1".to_owned())));
    let texts = [
        ("remote", remote),
        ("target", build.target.as_deref()),
        ("networkmode", build.network.as_deref()),
        ("isolation", build.isolation.as_deref()),
        ("platform", spec.platform),
    ];
    pairs.extend(texts.into_iter().filter_map(|(key, text)| Some((key, text?.to_owned()))));
    pairs.extend(build.shm_size.map(|size| ("shmsize", size.0.to_string())));
    pairs.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_passed_on_in_the_builders_words() {
        let build = Build {
            args: BTreeMap::from([("A".into(), Some("1 &".into())), ("B".into(), None)]),
            tags: vec!["x:1".into()],
            target: Some("final".into()),
            extra_hosts: vec!["db=10.0.0.1".into()],
            no_cache: true,
            ..Build::default()
        };
        let spec = BuildSpec { image: "shop-web", build: &build, platform: Some("linux/arm64") };
        expect_test::expect![[
            r"dockerfile=D&labels=%7B%22com.docker.compose.image.builder%22%3A%22classic%22%7D&version=1&rm=1&forcerm=1&t=x%3A1&t=shop-web&extrahosts=db%3A10.0.0.1&buildargs=%7B%22A%22%3A%221%20%26%22%7D&nocache=1&target=final&platform=linux%2Farm64"
        ]]
        .assert_eq(&query(&spec, &Builder::Classic, "D", None));
        let buildkit = Builder::BuildKit { session: "s".into() };
        assert!(query(&spec, &buildkit, "D", None).contains("&version=2&session=s&"));
    }

    #[test]
    fn the_values_of_arguments_are_not_told() {
        let args = BTreeMap::from([("TOKEN".into(), Some("s3cret!".into())), ("N".into(), Some("1".into()))]);
        let build = Build { args, ..Build::default() };
        let mut teller = Teller::of(&BuildSpec { image: "shop-web", build: &build, platform: None });
        teller.tell(Told::Step("[1/2] RUN curl -H s3cret! x1\n".into()));
        let error = teller.explain(refusal::error(None, "curl s3cret! failed"));
        let told = error.to_string();
        assert!(told.contains("curl *** failed") && told.contains("[1/2] RUN curl -H *** x1"), "{told}");
    }

    #[test]
    fn the_last_lines_are_kept_whatever_the_pieces() {
        let mut last = Last::default();
        for n in 0..30 {
            last.take(&format!("line {n}\nli"));
            last.take("ne and \u{1b}[1;91mhalf\u{1b}[0m\n\n");
        }
        last.take("Removing intermediate container 1234\nthe end");
        let error = last.explain(refusal::error(None, "it failed")).to_string();
        assert!(error.starts_with("it failed; the builder's last lines: line"), "{error}");
        assert!(error.ends_with("line 29 | line and half | the end"), "{error}");
        assert_eq!(error.matches(" | ").count(), LAST_LINES - 1);
    }
}
