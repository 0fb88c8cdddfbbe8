//! Kafka that fails: what passes is outlived without losing or doubling a message, what stays is one clear line.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Failure};

use crate::apache::{self, Apache, PASSWORD, USER};
use crate::broker::{Broker, Message, Writer};
use crate::place::Place;
use crate::project::Project;
use crate::running::Running;
use crate::waiting::wait_for;

const JSON: &str = "format = \"json\"";

/// A project with one bronze table, `p.bronze.t`, that is filled from a topic.
fn project(brokers: &str, topic: &str, more: &str) -> Project {
    let source = format!("[source.kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\n{more}\n");
    Project::new(Place::Folder).with("pipelines/p/bronze/t.toml", &source)
}

fn ids(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|id| format!("{{\"id\":{id}}}"))
}

/// Checks that the ids from 0 on are in the table, each once.
fn check_each_once(project: &Project, ids: i64) {
    let sql = "SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS d, MAX(id) + 1 AS m FROM p.bronze.t";
    let row = &project.query(sql)[0];
    assert_eq!([&row["n"], &row["d"], &row["m"]], [ids, ids, ids], "{row}");
}

fn go_on_despite_loss(project: &Project) {
    let spec = std::fs::read_to_string(project.path("pipelines/p/bronze/t.toml")).unwrap();
    project.write("pipelines/p/bronze/t.toml", &format!("{spec}on_data_loss = \"continue\"\n"));
}

fn wait_for_rows(project: &Project, rows: i64) {
    wait_for(&format!("{rows} rows"), || {
        let ended = project.run(&["query", "SELECT COUNT(*) AS n FROM p.bronze.t", "--output", "json"]);
        let found: serde_json::Value = serde_json::from_str(&ended.out).ok()?;
        (found[0]["n"].as_i64()? >= rows).then_some(())
    });
}

fn wait_for_version(project: &Project, version: u64) {
    let commit = project.table("p.bronze.t").join(format!("_delta_log/{version:020}.json"));
    wait_for(&format!("version {version}"), || commit.exists().then_some(()));
}

#[test]
fn what_transactions_leave_behind_is_neither_waited_for_nor_taken_for_lost() {
    let kafka = apache::shared();
    kafka.create_topic("transactions", 1);
    let project = project(kafka.address(), "transactions", JSON);
    kafka.transact("transactions", ids(0..10), true);
    project.succeed(&["bronze", "bronze.t"]);
    check_each_once(&project, 10);
    kafka.transact("transactions", ids(500..510), false);
    project.succeed(&["bronze", "bronze.t"]);
    // Ten messages and a marker, twice: all that retention takes away was read or was never there.
    kafka.delete_records("transactions", 0, 22);
    project.succeed(&["bronze", "bronze.t"]);
    kafka.transact("transactions", ids(10..15), true);
    project.succeed(&["bronze", "bronze.t"]);
    check_each_once(&project, 15);
    let versions = project.versions();
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.versions(), versions, "an idle advance writes nothing");
}

#[test]
fn a_transaction_that_is_open_holds_back_what_is_behind_it() {
    let kafka = apache::shared();
    kafka.create_topic("open", 1);
    let project = project(kafka.address(), "open", JSON);
    kafka.write("open", 0, ids(0..5));
    let writer = Writer::to(kafka.address(), &[("transactional.id", "open")]);
    let patience = Duration::from_secs(30);
    rdkafka::producer::Producer::init_transactions(&writer.0, patience).unwrap();
    rdkafka::producer::Producer::begin_transaction(&writer.0).unwrap();
    writer.write("open", 0, ids(5..8));
    kafka.write("open", 0, ids(8..10));
    project.succeed(&["bronze", "bronze.t"]);
    check_each_once(&project, 5);
    rdkafka::producer::Producer::commit_transaction(&writer.0, patience).unwrap();
    project.succeed(&["bronze", "bronze.t"]);
    check_each_once(&project, 10);
}

#[test]
fn a_topic_that_was_made_anew_is_not_taken_for_the_old_one() {
    let kafka = apache::shared();
    kafka.create_topic("anew", 1);
    let project = project(kafka.address(), "anew", JSON);
    kafka.write("anew", 0, ids(0..10));
    project.succeed(&["bronze", "bronze.t"]);
    kafka.delete_topic("anew");
    project.fail(&["bronze", "bronze.t"], 2, "there is no such topic; check topics in [source.kafka]");
    kafka.create_topic("anew", 1);
    kafka.write("anew", 0, ids(0..3));
    let failed =
        project.fail(&["bronze", "bronze.t"], 1, "anew/0 is to be read from offset 10, but it ends at offset 3");
    assert!(failed.err.contains("on_data_loss = \"continue\""), "{failed:#?}");
    check_each_once(&project, 10);
    go_on_despite_loss(&project);
    let ended = project.succeed(&["bronze", "bronze.t"]);
    assert!(ended.err.contains("going on from offset 3"), "{ended:#?}");
    kafka.write("anew", 0, ids(10..12));
    let ended = project.succeed(&["bronze", "bronze.t"]);
    assert!(!ended.err.contains("going on from offset"), "what the table knows by now is told once: {ended:#?}");
    check_each_once(&project, 12);
}

#[test]
fn messages_that_retention_took_before_they_were_read_are_named() {
    let kafka = apache::shared();
    kafka.create_topic("retained", 1);
    let project = project(kafka.address(), "retained", JSON);
    kafka.write("retained", 0, ids(0..10));
    project.succeed(&["bronze", "bronze.t"]);
    kafka.write("retained", 0, ids(10..20));
    kafka.delete_records("retained", 0, 15);
    let failed = project.fail(&["bronze", "bronze.t"], 1, "retained/0 is to be read from offset 10");
    assert!(failed.err.contains("has offset 15: 5 messages were deleted before they were read"), "{failed:#?}");
    go_on_despite_loss(&project);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.number("SELECT COUNT(*) AS n FROM p.bronze.t WHERE id >= 10"), 5);
}

#[test]
fn a_message_that_is_larger_than_the_client_takes_says_what_to_set() {
    let kafka = apache::shared();
    kafka.create_topic("large", 1);
    let writer = Writer::to(kafka.address(), &[("message.max.bytes", "20000000")]);
    let large = format!("{{\"id\":0,\"text\":\"{}\"}}", "x".repeat(3_000_000));
    writer.write("large", 0, [large]);
    let limits = "[source.kafka.options]\n\"message.max.bytes\" = 1000\n\"fetch.max.bytes\" = 900000\n\
                  \"receive.message.max.bytes\" = 1000000";
    let refused = project(kafka.address(), "large", &format!("{JSON}\n{limits}"));
    refused.fail(
        &["bronze", "bronze.t"],
        1,
        "a message is larger than the client takes; set \"receive.message.max.bytes\"",
    );
    // Alone, the limit of a fetch holds nothing back.
    let taken = project(
        kafka.address(),
        "large",
        &format!("{JSON}\n[source.kafka.options]\n\"fetch.message.max.bytes\" = 1000"),
    );
    taken.succeed(&["bronze", "bronze.t"]);
    check_each_once(&taken, 1);
}

#[test]
fn a_login_that_is_refused_is_one_line_without_the_password() {
    let kafka = apache::shared();
    kafka.create_topic("login", 1);
    kafka.write("login", 0, ids(0..10));
    let login = format!(
        "{JSON}\n[source.kafka.security]\nprotocol = \"sasl_plaintext\"\nmechanism = \"plain\"\nusername = \"{USER}\"\n\
         password = \"${{secret.kafka.password}}\""
    );
    let project = project(kafka.address_with_login(), "login", &login);
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    let secrets = "[secrets.kafka]\nprovider = \"file\"\npath = \"secrets\"\n";
    project.write("medallion.toml", &format!("{settings}{secrets}"));
    project.write("secrets", "password = not-the-word\n");
    let failed =
        project.fail(&["bronze", "bronze.t"], 2, "the broker did not accept the login; check username and password");
    assert!(!failed.err.contains("not-the-word"), "{failed:#?}");
    project.write("secrets", &format!("password = {PASSWORD}\n"));
    project.succeed(&["bronze", "bronze.t"]);
    check_each_once(&project, 10);
}

#[test]
fn a_stream_ends_with_one_line_when_its_topic_is_deleted() {
    let kafka = apache::shared();
    kafka.create_topic("deleted", 1);
    let project = project(kafka.address(), "deleted", JSON);
    kafka.write("deleted", 0, ids(0..10));
    let stream = Running::start(&project, &["stream", "p"]);
    wait_for_rows(&project, 10);
    kafka.delete_topic("deleted");
    let ended = stream.ended();
    assert_eq!(ended.code, 2, "{ended:#?}");
    let said = ended.err.lines().filter(|line| line.starts_with("p.bronze.t stopped after "));
    let said: Vec<&str> = said.collect();
    assert!(matches!(said[..], [one] if one.contains("there is no such topic; check topics in")), "{ended:#?}");
}

#[test]
fn a_stream_outlives_a_broker_that_is_killed() {
    let mut kafka = Apache::start();
    kafka.create_topic("events", 2);
    // What a broker that was killed has taken twice is a message each, so the writer numbers its messages.
    let writer = Writer::to(kafka.address(), &[("enable.idempotence", "true")]);
    let write = |range: std::ops::Range<i64>| {
        for (id, payload) in range.clone().zip(ids(range)) {
            let message = Message { payload: Some(payload.as_bytes()), ..Message::default() };
            writer.send("events", i32::from(id % 2 == 1), &message);
        }
    };
    let project = project(kafka.address(), "events", &format!("{JSON}\ntrigger = \"50ms\"\nmax_rows = 500"));
    let stream = Running::start(&project, &["stream", "p"]);
    write(0..5_000);
    wait_for_version(&project, 1);
    write(5_000..20_000);
    kafka.kill();
    write(20_000..25_000);
    kafka.start_again();
    write(25_000..30_000);
    writer.flush();
    wait_for_rows(&project, 30_000);
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    check_each_once(&project, 30_000);
}

/// A cluster with messages of which each fetch brings a few, and a project that reads them in small commits.
fn slowly_drained() -> (Broker, Project) {
    let broker = Broker::several(3, &[("events", 6)]);
    for partition in 0..6 {
        let first = i64::from(partition) * 1_000;
        broker.write("events", partition, ids(first..first + 1_000));
    }
    let few = format!("{JSON}\nmax_rows = 300\n[source.kafka.options]\n\"fetch.message.max.bytes\" = 1000");
    let project = project(&broker.address(), "events", &few);
    (broker, project)
}

fn fail(cluster: &MockCluster<'_, DefaultProducerContext>, request: RDKafkaApiKey, failures: &[Failure]) {
    cluster.request_errors(request, &failures.repeat(5));
}

#[test]
fn a_drain_outlives_brokers_that_answer_with_errors() {
    let (broker, project) = slowly_drained();
    let passing = [
        Failure::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Failure::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Failure::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        Failure::RD_KAFKA_RESP_ERR_UNKNOWN,
    ];
    fail(&broker.cluster, RDKafkaApiKey::ListOffsets, &passing);
    fail(&broker.cluster, RDKafkaApiKey::Fetch, &passing);
    broker.cluster.topic_error("events", Failure::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE).unwrap();
    let mut drain = Running::start(&project, &["bronze", "bronze.t"]);
    assert!(!drain.has_ended_within(Duration::from_secs(1)), "it does not give up at once");
    broker.cluster.topic_error("events", Failure::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let ended = drain.ended();
    assert_eq!(ended.code, 0, "{ended:#?}");
    check_each_once(&project, 6_000);
}

#[test]
fn a_drain_outlives_a_broker_that_is_away_for_a_while() {
    let (broker, project) = slowly_drained();
    let drain = Running::start(&project, &["bronze", "bronze.t"]);
    wait_for_version(&project, 0);
    broker.cluster.broker_down(2).unwrap();
    wait_for_version(&project, 5);
    broker.cluster.broker_up(2).unwrap();
    let ended = drain.ended();
    assert_eq!(ended.code, 0, "{ended:#?}");
    check_each_once(&project, 6_000);
}

#[test]
fn a_topic_that_may_not_be_read_is_one_line_and_not_tried_again() {
    let (broker, project) = slowly_drained();
    let forbidden = [Failure::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    fail(&broker.cluster, RDKafkaApiKey::Fetch, &forbidden);
    project.fail(&["bronze", "bronze.t"], 2, "the user may not read the topic; give it the rights Read and Describe");
    broker.cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    fail(&broker.cluster, RDKafkaApiKey::Fetch, &forbidden);
    let ended = Running::start(&project, &["stream", "p"]).ended();
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(ended.err.contains("p.bronze.t stopped: could not read events"), "{ended:#?}");
}

#[test]
fn partitions_that_cannot_be_read_hold_up_no_others() {
    let (broker, project) = slowly_drained();
    let stream = Running::start(&project, &["stream", "p"]);
    wait_for_version(&project, 0);
    broker.cluster.broker_down(2).unwrap();
    // Each of the three brokers keeps two of the six partitions.
    wait_for_rows(&project, 4_000);
    broker.cluster.broker_up(2).unwrap();
    wait_for_rows(&project, 6_000);
    assert_eq!(stream.stop().code, 0);
    check_each_once(&project, 6_000);
}
