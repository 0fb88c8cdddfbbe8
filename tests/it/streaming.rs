//! `medallion stream` as a process: watched from outside, told to stop, or killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::project::{Ended, Project};
use crate::waiting::{ended_within, wait_for};

/// A stream that runs; it is killed when a test fails.
pub struct Streaming {
    child: Child,
    told: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Streaming {
    /// Starts it and waits for nothing.
    pub fn start(project: &Project, arguments: &[&str]) -> Streaming {
        let mut all = vec!["stream"];
        all.extend(arguments);
        all.extend(["--listen", "127.0.0.1:0"]);
        let mut child = project.command(&all).spawn().unwrap();
        let told = Arc::<Mutex<String>>::default();
        let stderr = child.stderr.take().unwrap();
        let listener = std::thread::spawn({
            let told = told.clone();
            || listen(stderr, told)
        });
        Streaming { child, told, listener: Some(listener) }
    }

    /// What it has said on stderr so far.
    pub fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    /// Where it serves its figures, once it does.
    fn address(&self) -> Option<String> {
        let told = self.told();
        let rest = told.split_once("http://")?.1;
        Some(rest.split_once('/')?.0.to_owned())
    }

    /// The status line and the body of an answer.
    pub fn get(&self, path: &str) -> (String, String) {
        let address = wait_for("the stream to serve", || self.address());
        let mut connection = TcpStream::connect(&address).unwrap_or_else(|error| panic!("{error}: {}", self.told()));
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// What `/health` says of a table.
    pub fn table(&self, name: &str) -> Value {
        let health: Value = serde_json::from_str(&self.get("/health").1).unwrap();
        let tables = health["tables"].as_array().unwrap();
        tables.iter().find(|table| table["table"] == name).unwrap().clone()
    }

    /// A figure that `/health` tells of a table.
    pub fn figure(&self, table: &str, name: &str) -> u64 {
        self.table(table)[name].as_u64().unwrap()
    }

    pub fn wait_for_figure(&self, table: &str, name: &str, least: u64) {
        wait_for(&format!("{name} of {table} to be {least}"), || (self.figure(table, name) >= least).then_some(()));
    }

    /// Bytes of the process that are in RAM.
    pub fn resident_bytes(&self) -> f64 {
        let metrics = self.get("/metrics").1;
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        line.unwrap().parse().unwrap()
    }

    /// Kills it `delay` from now. It must not have ended by then.
    pub fn kill_after(mut self, delay: Duration) -> String {
        let ended = ended_within(&mut self.child, delay);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listen_to_the_end();
        let told = self.told();
        assert!(ended.is_none(), "it ended by itself with {ended:?}: {told}");
        told
    }

    /// Asks it to end as a supervisor does, and waits until it has.
    pub fn stop(mut self) -> Ended {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = ended_within(&mut self.child, Duration::from_secs(40));
        let status = status.unwrap_or_else(|| panic!("it does not stop: {}", self.told()));
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.listen_to_the_end();
        Ended { code: status.code().unwrap(), out, err: self.told() }
    }

    fn listen_to_the_end(&mut self) {
        self.listener.take().unwrap().join().unwrap();
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        // One that has ended by itself needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes in what is said, so that the pipe never fills up.
fn listen(stderr: ChildStderr, told: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stderr);
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        told.lock().unwrap().push_str(&line);
        line.clear();
    }
}
