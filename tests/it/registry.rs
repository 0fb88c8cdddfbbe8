//! A schema registry inside the test: a few answers of one over HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A registry on a port of this machine. Its thread ends with the test binary.
pub struct Registry {
    address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    pub fn new() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Registry { address, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&registry.answers), Arc::clone(&registry.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever hangs up early is not the test's concern.
                let _ = answer(stream, &answers, &asked);
            }
        });
        registry
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Keeps a schema under an identity. `more` are further members of the answer.
    pub fn keep(&self, id: u32, schema: &str, more: &str) {
        let schema = serde_json::Value::from(schema);
        self.answers.lock().unwrap().insert(format!("/schemas/ids/{id}"), format!("{{\"schema\":{schema}{more}}}"));
    }

    /// Keeps a schema under a subject and version, for others to refer to.
    pub fn keep_version(&self, subject: &str, version: i64, schema: &str) {
        let schema = serde_json::Value::from(schema);
        let path = format!("/subjects/{subject}/versions/{version}");
        self.answers.lock().unwrap().insert(path, format!("{{\"schema\":{schema}}}"));
    }

    /// How often something was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

fn answer(
    stream: TcpStream,
    answers: &Mutex<BTreeMap<String, String>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let found = answers.lock().unwrap().get(&path).cloned();
    asked.lock().unwrap().push(path);
    let (status, body) = found.map_or(("404 Not Found", "{}".to_owned()), |body| ("200 OK", body));
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}
