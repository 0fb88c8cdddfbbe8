//! Apache Kafka itself, for what librdkafka's stand-in does not do: transactions, retention, logins, topics that are made
//! anew, and brokers that are killed. One server is started once for the whole test binary.
//!
//! A shell watches over each server, as over the S3 server: when this process ends, in whatever way, the pipe between
//! them closes, and the shell kills the server and removes its folder.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use crate::broker::Writer;
use crate::project::repository;
use crate::waiting::wait_for;

pub const USER: &str = "reader";
pub const PASSWORD: &str = "medallion-tests-secret";

/// Tells the number of each server process on a line; each line it is given starts the server again.
const WATCH: &str = r#"start() { "$0" "$@" & server=$!; echo $server; }
    start "$@"
    while read -r _; do wait; start "$@"; done
    kill -9 $server; wait; rm -rf "$1""#;
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker that may also be asked for a login.
pub struct Apache {
    address: String,
    with_login: String,
    writer: Writer,
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
    watch: Child,
    told: BufReader<ChildStdout>,
    process: String,
}

/// The server that tests share, each with topics of its own; started when it is first asked for.
pub fn shared() -> &'static Apache {
    static SHARED: OnceLock<Apache> = OnceLock::new();
    SHARED.get_or_init(Apache::start)
}

impl Apache {
    /// A server of one's own.
    pub fn start() -> Apache {
        let folder = tempfile::Builder::new().prefix("medallion-kafka-").tempdir().unwrap().keep();
        let [port, controller, login] = free_ports();
        let (address, with_login) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{login}"));
        let named = format!("PLAINTEXT://{address},SASL_PLAINTEXT://{with_login}");
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let settings = [
            format!("listeners={named},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners={named}"),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT"
                .to_owned(),
            "sasl.enabled.mechanisms=PLAIN".to_owned(),
            format!(
                "listener.name.sasl_plaintext.plain.sasl.jaas.config={module} required user_{USER}=\"{PASSWORD}\";"
            ),
            "auto.create.topics.enable=false".to_owned(),
        ];
        let mut watch = Command::new("sh")
            .args(["-c", WATCH])
            .arg(repository().join("tests/kafka/serve"))
            .args([folder.to_str().unwrap(), &port.to_string(), &controller.to_string()])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut told = BufReader::new(watch.stdout.take().unwrap());
        let process = next_line(&mut told);
        let admin = ClientConfig::new().set("bootstrap.servers", &address).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let apache =
            Apache { writer: Writer::to(&address, &[]), address, with_login, admin, runtime, watch, told, process };
        apache.wait_until_it_answers();
        apache
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where [`USER`] logs in with [`PASSWORD`].
    pub fn address_with_login(&self) -> &str {
        &self.with_login
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", "20000000");
        let created = self.runtime.block_on(self.admin.create_topics([&topic], &patient())).unwrap();
        assert_eq!(created, [Ok(name.to_owned())]);
    }

    /// Deletes a topic and waits until nobody finds it any more.
    pub fn delete_topic(&self, name: &str) {
        let deleted = self.runtime.block_on(self.admin.delete_topics(&[name], &patient())).unwrap();
        assert_eq!(deleted, [Ok(name.to_owned())]);
        wait_for("the topic to be gone", || {
            let metadata = self.admin.inner().fetch_metadata(None, PATIENCE).ok()?;
            metadata.topics().iter().all(|topic| topic.name() != name).then_some(())
        });
    }

    /// Deletes the messages of a partition below an offset, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, below: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(below)).unwrap();
        let deleted = self.runtime.block_on(self.admin.delete_records(&list, &patient())).unwrap();
        assert_eq!(deleted.elements()[0].offset(), Offset::Offset(below));
    }

    /// Writes in a transaction, which is then committed or aborted.
    pub fn transact(&self, topic: &str, payloads: impl IntoIterator<Item = impl AsRef<[u8]>>, is_committed: bool) {
        let writer = Writer::to(&self.address, &[("transactional.id", &format!("writer of {topic}"))]);
        writer.0.init_transactions(PATIENCE).unwrap();
        writer.0.begin_transaction().unwrap();
        writer.write(topic, 0, payloads);
        match is_committed {
            true => writer.0.commit_transaction(PATIENCE).unwrap(),
            false => writer.0.abort_transaction(PATIENCE).unwrap(),
        }
    }

    /// Ends the broker at once, without a chance to tidy up.
    pub fn kill(&self) {
        let ended = Command::new("kill").args(["-KILL", &self.process]).status().unwrap();
        assert!(ended.success());
    }

    /// Starts the broker that was killed on the data it left behind.
    pub fn start_again(&mut self) {
        writeln!(self.watch.stdin.as_mut().unwrap()).unwrap();
        self.process = next_line(&mut self.told);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&self) {
        wait_for("Kafka to answer", || {
            let metadata = self.admin.inner().fetch_metadata(None, Duration::from_secs(1)).ok()?;
            (!metadata.brokers().is_empty()).then_some(())
        });
    }
}

impl Deref for Apache {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

fn patient() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

fn next_line(told: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Ports of this machine that nobody listens on.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
