//! `/metrics`, `/health` and `/ready` over HTTP, for whoever watches a stream.
//!
//! No more of HTTP than that takes: the head of a request is read, its path answered, and the connection closed. What is
//! slow, large or too much at once is turned away, so that a scanner cannot do harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stage::{Error, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use workflow::stream::StreamStatus;

use super::metrics;

/// The longest head of a request.
const LONGEST_HEAD: usize = 8 << 10;
/// The most fields in it.
const MOST_FIELDS: usize = 64;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most clients at the same time; others wait.
const MOST_CLIENTS: usize = 32;
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// A server that has its address and does not answer yet.
pub(crate) struct Server {
    listener: TcpListener,
    /// Where it listens; the port is chosen by the system when 0 was asked for.
    pub(crate) address: SocketAddr,
}

struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Server {
    /// Takes an address.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when it cannot be had.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Server> {
        let refused = |error: std::io::Error| {
            let message = format!("could not listen on {address}; is it taken? choose another with --listen");
            Error::config(message).with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Server { listener, address })
    }

    /// Answers for as long as it is polled.
    pub(crate) async fn serve(self, status: Arc<StreamStatus>) {
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((client, _)) => {
                    let status = Arc::clone(&status);
                    tokio::spawn(async move {
                        // A client that is slow or gone is its own business.
                        let _ = tokio::time::timeout(PATIENCE, talk(client, &status)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "could not take a connection");
                    tokio::time::sleep(NO_ROOM).await;
                }
            }
        }
    }
}

async fn talk(mut client: TcpStream, status: &StreamStatus) -> std::io::Result<()> {
    let mut head = Vec::new();
    let answer = loop {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        if let Some(answer) = answer(&head, status) {
            break answer;
        }
    };
    let Answer { status, kind, body } = answer;
    let length = body.len();
    let fields = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n"
    );
    client.write_all(fields.as_bytes()).await?;
    if !head.starts_with(b"HEAD ") {
        client.write_all(body.as_bytes()).await?;
    }
    client.shutdown().await
}

/// The answer to a request; `None` while its head is not complete.
fn answer(head: &[u8], status: &StreamStatus) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < LONGEST_HEAD => return None,
        Ok(httparse::Status::Partial) => return Some(text("431 Request Header Fields Too Large", "too long\n")),
        Err(_) => return Some(text("400 Bad Request", "this is not HTTP\n")),
        Ok(httparse::Status::Complete(_)) => {}
    }
    if !matches!(request.method, Some("GET" | "HEAD")) {
        return Some(text("405 Method Not Allowed", "only GET is answered here\n"));
    }
    let path = request.path.unwrap_or_default();
    Some(match path.split_once('?').map_or(path, |(path, _)| path) {
        "/metrics" => {
            Answer { status: "200 OK", kind: "text/plain; version=0.0.4; charset=utf-8", body: metrics::text(status) }
        }
        "/health" => health(status),
        "/ready" if status.is_ready() => text("200 OK", "ready\n"),
        "/ready" => text("503 Service Unavailable", "not ready\n"),
        "/" => text("200 OK", "/metrics\n/health\n/ready\n"),
        _ => text("404 Not Found", "there are /metrics, /health and /ready\n"),
    })
}

fn health(status: &StreamStatus) -> Answer {
    let is_healthy = status.is_healthy();
    let word = if is_healthy { "ok" } else { "failed" };
    let body = json!({ "status": word, "stopping": status.is_stopping(), "tables": status.tables() });
    let status = if is_healthy { "200 OK" } else { "503 Service Unavailable" };
    Answer { status, kind: "application/json", body: format!("{body}\n") }
}

fn text(status: &'static str, body: &str) -> Answer {
    Answer { status, kind: "text/plain; charset=utf-8", body: body.to_owned() }
}

#[cfg(test)]
mod tests {
    use stage::{Layer, TableName};

    use super::*;

    fn asked(request: &str) -> Option<&'static str> {
        let orders = TableName::new("shop", Layer::Bronze, "orders").unwrap();
        answer(request.as_bytes(), &StreamStatus::new(&[(orders, Vec::new())])).map(|answer| answer.status)
    }

    #[test]
    fn what_is_asked_for_is_answered() {
        for (path, expected) in [
            ("/metrics", "200 OK"),
            ("/metrics?name=up", "200 OK"),
            ("/health", "200 OK"),
            ("/ready", "503 Service Unavailable"),
            ("/other", "404 Not Found"),
        ] {
            assert_eq!(asked(&format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_request_for_us_is_turned_away() {
        assert_eq!(asked("GET /metrics HTTP/1.1\r\nHost: he"), None);
        assert_eq!(asked("POST /metrics HTTP/1.1\r\n\r\n"), Some("405 Method Not Allowed"));
        assert_eq!(asked("\u{16}\u{3}\u{1} hello\r\n\r\n"), Some("400 Bad Request"));
        let endless = format!("GET /{} HTTP/1.1\r\nHost: ", "a".repeat(LONGEST_HEAD));
        assert_eq!(asked(&endless), Some("431 Request Header Fields Too Large"));
    }
}
