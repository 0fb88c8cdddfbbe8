//! Connections that cannot do harm: not too many, neither in all nor of one peer, and none that is slow for ever.
//!
//! A request has to be there, and answered, [`LONGEST_REQUEST`] after its first byte. A connection without a request is cut off
//! after [`LONGEST_PAUSE`]; a stream of events says something more often than that. A client that does not take what it is told
//! is given up after [`LONGEST_SILENCE`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// From the first byte of a request to the first of its answer.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// Between two requests, or before the first.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Of a client that has more to read than the system keeps for it.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// The most connections at the same time; others wait.
const MOST_CONNECTIONS: usize = 256;
/// The most of them of one address; others are closed at once. What stands in front of many clients is one address too.
const MOST_OF_A_PEER: usize = 128;
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// Takes connections while there is room for them.
pub(crate) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    peers: Peers,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener) -> Connections {
        Connections { listener, places: Arc::new(Semaphore::new(MOST_CONNECTIONS)), peers: Peers::default() }
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
                    let Some(peer) = self.peers.admit(address.ip()) else { continue };
                    // Events are short and are to arrive at once.
                    let _ = stream.set_nodelay(true);
                    return (Connection::new(stream, Some(Admission { _place: place, _peer: peer })), address);
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

/// How many connections each address has.
#[derive(Debug, Clone, Default)]
struct Peers(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection of an address, counted until this is dropped.
struct Peer {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// Counts one more, unless there are too many.
    fn admit(&self, address: IpAddr) -> Option<Peer> {
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MOST_OF_A_PEER {
            return None;
        }
        *count += 1;
        Some(Peer { peers: self.clone(), address })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = counts.remove(&self.address),
        }
    }
}

/// What a connection takes up, given back with it.
struct Admission {
    _place: Option<OwnedSemaphorePermit>,
    _peer: Peer,
}

/// A connection with its time limits.
pub(crate) struct Connection<S> {
    stream: S,
    /// When it is cut off.
    end: Pin<Box<Sleep>>,
    /// Since when a request comes in that is not answered.
    asked: Option<Instant>,
    /// Whether the client has to read before more can be written.
    is_full: bool,
    _admission: Option<Admission>,
}

impl<S> Connection<S> {
    fn new(stream: S, admission: Option<Admission>) -> Connection<S> {
        let end = Box::pin(sleep(LONGEST_PAUSE));
        Connection { stream, end, asked: None, is_full: false, _admission: admission }
    }

    /// Something changed, so there is time again; a request that has begun keeps its end.
    fn moved(&mut self, now: Instant) {
        let longest = if self.is_full { LONGEST_SILENCE } else { LONGEST_PAUSE };
        self.end.as_mut().reset(self.asked.map_or(now + longest, |asked| asked + LONGEST_REQUEST));
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
            Poll::Pending => {
                if !self.is_full {
                    self.is_full = true;
                    self.moved(Instant::now());
                }
                self.check_time(context).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
            }
            written => {
                self.asked = None;
                self.is_full = false;
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
            let silent = tokio::time::timeout(Duration::from_secs(10), server.read_u8()).await;
            assert!(silent.is_err(), "nothing is read and nothing fails");
        }
        let start = Instant::now();
        let error = server.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "nobody reads any more");
        assert_eq!(start.elapsed(), LONGEST_SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_more_is_cut_off() {
        let (mut client, server) = duplex(64);
        let mut server = Connection::new(server, None);
        client.write_all(b"question").await.unwrap();
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        let start = Instant::now();
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), LONGEST_PAUSE);
    }

    #[test]
    fn one_peer_does_not_take_all_places() {
        let peers = Peers::default();
        let [one, mapped, other] = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let mut held: Vec<Peer> = (0..MOST_OF_A_PEER).map(|_| peers.admit(one).unwrap()).collect();
        assert!(peers.admit(one).is_none() && peers.admit(mapped).is_none());
        assert!(peers.admit(other).is_some());
        held.pop();
        held.push(peers.admit(mapped).unwrap());
        assert!(peers.admit(one).is_none());
        held.clear();
        assert!(peers.0.lock().unwrap().is_empty(), "nothing is kept of who has left");
    }
}
