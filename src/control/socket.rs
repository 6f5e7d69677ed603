//! The control socket in the state folder: how verbs on this machine hand their request to the controller that holds the
//! lock. Whoever may enter the folder may ask. One line of JSON each way.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LinesCodec};

use super::{Answer, Handle, OperationError, Request};
use crate::accept::Accepting;

/// The answer to a request.
pub type Reply = Result<Answer, OperationError>;

/// A request longer than this is none.
const MAX_REQUEST: usize = 64 * 1024;
/// An answer longer than this is none.
const MAX_ANSWER: usize = 64 << 20;
/// At the same time; whoever comes next waits for one to end.
const CONVERSATIONS: usize = 32;
/// For an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the socket is.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// Answers requests until the task is dropped. The lock is held: an old socket is a leftover.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(folder: &Path, handle: Handle) -> io::Result<tokio::task::JoinHandle<()>> {
    let path = path(folder);
    let _ = std::fs::remove_file(&path);
    let mut accepting = Accepting::new("the control socket", UnixListener::bind(&path)?, CONVERSATIONS);
    Ok(tokio::spawn(async move {
        loop {
            let (stream, permit) = accepting.next().await;
            let handle = handle.clone();
            tokio::spawn(async move {
                let _ = tokio::time::timeout(LIMIT, converse(stream, handle)).await;
                drop(permit);
            });
        }
    }))
}

async fn converse(stream: UnixStream, handle: Handle) -> Option<()> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_REQUEST));
    let line = lines.next().await?.ok()?;
    let reply: Reply = match serde_json::from_str::<Request>(&line) {
        Ok(request) => handle.submit(request).await,
        Err(error) => Err(OperationError::refused(format!("not a request of this version of evenkeel: {error}"))),
    };
    lines.send(serde_json::to_string(&reply).ok()?).await.ok()
}

/// Whether a controller uses this state folder.
pub async fn is_served(folder: &Path) -> bool {
    UnixStream::connect(path(folder)).await.is_ok()
}

/// Asks the controller that uses this state folder; `None`: there is none.
///
/// # Errors
/// When it does not answer.
pub async fn ask(folder: &Path, request: &Request) -> io::Result<Option<Reply>> {
    let stream = match UnixStream::connect(path(folder)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_ANSWER));
    let request = serde_json::to_string(request).map_err(io::Error::other)?;
    let conversation = async {
        lines.send(request).await.map_err(io::Error::other)?;
        let line = lines.next().await.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    };
    tokio::time::timeout(LIMIT, conversation).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(Some)
}
