//! As much of an HTTP client as the tests need.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

pub(super) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Client {
        Client { stream: BufReader::new(TcpStream::connect(address).await.unwrap()), address }
    }

    pub(super) async fn ask(mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut answer = self.begin(method, path, fields, body).await;
        self.stream.read_to_string(&mut answer.body).await.unwrap();
        answer
    }

    /// Asks, and reads the head of the answer. Without a `Host` among the fields it is the address.
    pub(super) async fn begin(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if fields.iter().all(|(name, _)| *name != "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        fields.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str(&format!("\r\n{body}"));
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let first = self.line().await;
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(": ") else { break };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Answer { status, fields, body: String::new() }
    }

    pub(super) async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}
