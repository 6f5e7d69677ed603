//! Accepting connections for as long as the process lives, whatever happens to one of them.
//!
//! # Guarantees
//! So many conversations at a time, and no more: further ones wait in the kernel's queue, which costs no memory here. An
//! accept that fails, as with too many open files, is tried again at a growing pace, and told of once until one works.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// After the first accept that failed; the pauses double.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Something that connections arrive at.
pub trait Listener: Send {
    /// One of them.
    type Stream: Send;

    /// Waits for the next one. Dropped, it loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// The next connection, and the right to hold it: while `most` of those are held no further one is accepted. `of`: what
/// listens, in words.
pub struct Accepting<L> {
    of: &'static str,
    listener: L,
    room: Arc<Semaphore>,
    pause: Duration,
}

impl<L: Listener> Accepting<L> {
    /// Begins with as much room as that.
    pub fn new(of: &'static str, listener: L, most: usize) -> Self {
        Self { of, listener, room: Arc::new(Semaphore::new(most)), pause: Duration::ZERO }
    }

    /// Waits for room, and then for a connection. Dropped, it loses none.
    pub async fn next(&mut self) -> (L::Stream, OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
                // Nobody closes it.
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok(stream) => {
                    self.pause = Duration::ZERO;
                    return (stream, permit);
                }
                Err(error) => {
                    if self.pause.is_zero() {
                        tracing::warn!(%error, "{} cannot accept a connection; tried again until it can", self.of);
                    }
                    self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                    tokio::time::sleep(self.pause).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Answers so, and then never again.
    struct Scripted(VecDeque<io::Result<u32>>);

    impl Listener for Scripted {
        type Stream = u32;

        async fn accept(&mut self) -> io::Result<u32> {
            match self.0.pop_front() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    fn full() -> io::Result<u32> {
        // EMFILE
        Err(io::Error::from_raw_os_error(24))
    }

    #[tokio::test(start_paused = true)]
    async fn an_accept_that_fails_is_tried_again_at_a_growing_pace() {
        let answers = std::iter::repeat_with(full).take(10).chain([Ok(1), full(), Ok(2)]);
        let mut accepting = Accepting::new("it", Scripted(answers.collect()), 8);
        let began = tokio::time::Instant::now();
        assert_eq!(accepting.next().await.0, 1);
        // 5, 10, 20 … 640 ms, and twice a second.
        assert_eq!(began.elapsed(), Duration::from_millis(5 * 255) + 2 * LONGEST_PAUSE);
        let began = tokio::time::Instant::now();
        assert_eq!(accepting.next().await.0, 2);
        assert_eq!(began.elapsed(), FIRST_PAUSE, "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_held_than_there_is_room_for() {
        let mut accepting = Accepting::new("it", Scripted((0..3).map(Ok).collect()), 2);
        let (first, second) = (accepting.next().await, accepting.next().await);
        let third = tokio::time::timeout(Duration::from_secs(9), accepting.next()).await;
        assert!(third.is_err(), "it waits");
        drop(first);
        assert_eq!(accepting.next().await.0, 2);
        drop(second);
    }
}
