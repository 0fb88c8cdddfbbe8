//! A small server that takes what webhooks are sent, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::acceptor;

/// What is answered to one request.
#[derive(Clone)]
pub(super) enum Answer {
    /// A status line with headers, and a body.
    Told(&'static str, &'static str),
    /// Nothing, ever.
    Silence,
    /// The end of the connection.
    Closed,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
}

/// The server. It ends with the runtime of its test.
pub(super) struct HttpServer {
    pub(super) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HttpServer {
    /// Answers requests in that order, and all further ones as the last.
    pub(super) async fn start(answers: &[Answer], is_encrypted: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let kept = requests.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (requests, answers) = (kept.clone(), answers.clone());
                tokio::spawn(async move {
                    if !is_encrypted {
                        serve(stream, &requests, &answers).await;
                    } else if let Ok(stream) = acceptor().accept(stream).await {
                        serve(stream, &requests, &answers).await;
                    }
                });
            }
        });
        HttpServer { port, requests }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    requests: &Mutex<Vec<Request>>,
    answers: &Mutex<VecDeque<Answer>>,
) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    requests.lock().unwrap().push(Request { head, body: String::from_utf8(body).unwrap() });
    let answer = {
        let mut answers = answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    };
    match answer {
        Answer::Told(head, body) => {
            let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
        Answer::Silence => std::future::pending().await,
        Answer::Closed => {}
    }
}
