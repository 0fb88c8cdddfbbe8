//! A stand-in for Kinesis, moto, as a server on a port of this machine. `make test-kinesis` installs it.
//!
//! A shell watches over it: when this process ends, in whatever way, the pipe between them closes, and the shell ends the
//! server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::project::target_folder;
use crate::s3::free_address;
use crate::waiting::wait_for;

const WATCH: &str = r#""$0" -H "$1" -p "$2" >/dev/null 2>&1 & server=$!
    cat >/dev/null
    kill $server; wait $server"#;

/// The region of all streams.
pub const REGION: &str = "eu-west-1";

/// A server.
pub struct Moto {
    address: String,
    streams: AtomicUsize,
    /// Its standard input is the pipe that keeps the server alive.
    _watch: Child,
}

/// The server that tests share; started when it is first asked for.
pub fn server() -> &'static Moto {
    static SERVER: OnceLock<Moto> = OnceLock::new();
    SERVER.get_or_init(Moto::start)
}

/// A stream of its own on the server that tests share.
pub struct Stream {
    pub name: String,
    moto: &'static Moto,
}

impl Moto {
    pub fn start() -> Moto {
        let program = target_folder().join("kinesis/bin/moto_server");
        assert!(program.exists(), "there is no {}; run `make test-kinesis`, which installs it", program.display());
        let address = free_address();
        let (host, port) = address.split_once(':').unwrap();
        let watch = Command::new("sh")
            .args(["-c", WATCH])
            .arg(&program)
            .args([host, port])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        wait_for("moto to answer", || TcpStream::connect(&address).ok());
        Moto { address, streams: AtomicUsize::new(0), _watch: watch }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks the API of Kinesis.
    pub fn kinesis(&self, action: &str, body: &Value) -> Value {
        let headers = format!(
            "content-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.{action}\r\n{}",
            authorization("kinesis")
        );
        let answer = self.post("/", &headers, &body.to_string());
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// Asks the API of users and their rights, and returns the XML it answers with.
    pub fn iam(&self, form: &str) -> String {
        let headers = format!("content-type: application/x-www-form-urlencoded\r\n{}", authorization("iam"));
        self.post("/", &headers, &format!("Version=2010-05-08&{form}"))
    }

    /// From now on requests need a signature and rights.
    pub fn ask_for_signatures(&self) {
        self.post("/moto-api/reset-auth", "", "0");
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        let separator = if headers.is_empty() { "" } else { "\r\n" };
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}{separator}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        body.to_owned()
    }
}

/// What tells the server which service is asked; it believes every signature until it is told not to.
fn authorization(service: &str) -> String {
    format!(
        "authorization: AWS4-HMAC-SHA256 Credential=key/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, \
         Signature=none"
    )
}

impl Stream {
    /// A new stream with so many shards.
    pub fn with(shards: usize) -> Stream {
        let moto = server();
        let name = format!("stream-{}", moto.streams.fetch_add(1, Ordering::Relaxed));
        moto.kinesis("CreateStream", &json!({ "StreamName": name, "ShardCount": shards }));
        Stream { name, moto }
    }

    /// The source of a table that reads it.
    pub fn source(&self, more: &str) -> String {
        let (name, url) = (&self.name, self.moto.url());
        format!(
            "[source.kinesis]\nstream = \"{name}\"\nregion = \"{REGION}\"\nendpoint = \"{url}\"\nformat = \"json\"\n{more}\n"
        )
    }

    /// Puts records into a shard of those it was made with.
    pub fn put(&self, shard: u128, shards: u128, payloads: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let hash = (shard * 2 + 1) * (u128::MAX / shards / 2);
        let record = |payload: &[u8]| {
            let (data, hash) = (base64(payload), hash.to_string());
            json!({ "Data": data, "PartitionKey": format!("key-{shard}"), "ExplicitHashKey": hash })
        };
        let records: Vec<Value> = payloads.into_iter().map(|payload| record(payload.as_ref())).collect();
        for records in records.chunks(500) {
            self.ask("PutRecords", json!({ "Records": records }));
        }
    }

    /// Asks for something about this stream.
    pub fn ask(&self, action: &str, mut body: Value) -> Value {
        body["StreamName"] = json!(self.name);
        self.moto.kinesis(action, &body)
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= three.len() { letter as char } else { '=' });
        }
    }
    text
}
