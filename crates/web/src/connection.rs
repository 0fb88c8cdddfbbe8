//! Connections that cannot do harm: not too many, and none that is slow for ever.
//!
//! A request has to be there, and answered, [`LONGEST_REQUEST`] after its first byte. A connection on which nothing moves for
//! [`LONGEST_SILENCE`] is cut off; a stream of events says something more often than that.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// From the first byte of a request to the first of its answer.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// Without a byte in either direction.
pub(crate) const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// The most connections at the same time; others wait.
const MOST_CONNECTIONS: usize = 256;
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// Takes connections while there is room for them.
pub(crate) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener) -> Connections {
        Connections { listener, places: Arc::new(Semaphore::new(MOST_CONNECTIONS)) }
    }
}

impl Listener for Connections {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Nobody closes the semaphore; without a place a connection is served all the same.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Events are short and are to arrive at once.
                    let _ = stream.set_nodelay(true);
                    return (Connection::new(stream, place), address);
                }
                Err(error) => {
                    tracing::debug!(%error, "could not take a connection");
                    sleep(NO_ROOM).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its time limits.
pub(crate) struct Connection<S> {
    stream: S,
    /// When it is cut off.
    end: Pin<Box<Sleep>>,
    /// Since when a request comes in that is not answered.
    asked: Option<Instant>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Connection<S> {
    fn new(stream: S, place: Option<OwnedSemaphorePermit>) -> Connection<S> {
        Connection { stream, end: Box::pin(sleep(LONGEST_SILENCE)), asked: None, _place: place }
    }

    /// Bytes moved, so there is time again; a request that has begun keeps its end.
    fn moved(&mut self, now: Instant) {
        let silence = now + LONGEST_SILENCE;
        self.end.as_mut().reset(self.asked.map_or(silence, |asked| silence.min(asked + LONGEST_REQUEST)));
    }

    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            return self.check_time(context).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending);
        }
        if buffer.filled().len() > before {
            let now = Instant::now();
            self.asked.get_or_insert(now);
            self.moved(now);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.check_time(context).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
            written => {
                self.asked = None;
                self.moved(Instant::now());
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sends_a_byte_now_and_then_is_cut_off() {
        let (mut client, server) = duplex(64);
        let mut server = Connection::new(server, None);
        let start = Instant::now();
        let client = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(7)).await;
            }
        });
        let mut bytes = Vec::new();
        let error = server.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!((start.elapsed(), bytes.len()), (LONGEST_REQUEST, 5));
        drop(server);
        client.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_listens_stays_as_long_as_something_is_said() {
        let (mut client, server) = duplex(8);
        let mut server = Connection::new(server, None);
        for _ in 0..10 {
            server.write_all(b"event").await.unwrap();
            client.read_exact(&mut [0; 5]).await.unwrap();
            let silent = tokio::time::timeout(Duration::from_secs(15), server.read_u8()).await;
            assert!(silent.is_err(), "nothing is read and nothing fails");
        }
        let error = server.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "nobody reads any more");
    }
}
