//! `medallion stream`, watched from outside by the figures that it serves.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::project::{Ended, Project};
use crate::running::Running;
use crate::waiting::wait_for;

/// A stream that runs; it is killed when a test fails.
pub struct Streaming {
    pub running: Running,
}

impl Streaming {
    /// Starts it and waits for nothing.
    pub fn start(project: &Project, arguments: &[&str]) -> Streaming {
        let all = [&["stream"], arguments, &["--listen", "127.0.0.1:0"]].concat();
        Streaming { running: Running::start(project, &all) }
    }

    /// What it has said on stderr so far.
    pub fn told(&self) -> String {
        self.running.told()
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

    /// Waits until it has written that many rows into a table.
    pub fn wait_for_rows(&self, table: &str, rows: i64) {
        wait_for(&format!("{rows} rows in {table}"), || {
            (self.table(table)["progress"]["rows_written"].as_i64()? >= rows).then_some(())
        });
    }

    pub fn wait_for_state(&self, table: &str, state: &str) {
        wait_for(&format!("{table} to be {state}"), || (self.table(table)["state"] == state).then_some(()));
    }

    /// Bytes of the process that are in RAM.
    pub fn resident_bytes(&self) -> f64 {
        let metrics = self.get("/metrics").1;
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        line.unwrap().parse().unwrap()
    }

    /// Kills it `delay` from now, and returns what it had said. It must not have ended by then.
    pub fn kill_after(self, delay: Duration) -> String {
        let ended = self.running.kill_after(delay);
        assert_eq!(ended.code, -9, "it ended by itself: {ended:#?}");
        ended.err
    }

    /// Asks it to end as a supervisor does, and waits until it has.
    pub fn stop(self) -> Ended {
        self.running.stop()
    }
}
