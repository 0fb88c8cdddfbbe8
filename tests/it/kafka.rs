//! Topics of Kafka into bronze: each message once, whatever it is.

use serde_json::{Value, json};

use crate::broker::{Broker, Message};
use crate::place::Place;
use crate::project::Project;
use crate::registry::Registry;
use crate::running::Running;
use crate::waiting::wait_for;

/// A project with one bronze table, `p.bronze.t`.
fn project(broker: &Broker, source: &str, more: &str) -> Project {
    let brokers = broker.address();
    Project::new(Place::Folder)
        .with("pipelines/p/bronze/t.toml", &format!("[source.kafka]\nbrokers = \"{brokers}\"\n{source}\n{more}\n"))
}

fn ids(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|id| format!("{{\"id\":{id}}}"))
}

/// Every id that is in the table, and how many rows there are.
fn distinct_and_rows(project: &Project) -> (i64, i64) {
    let rows = project.query("SELECT COUNT(DISTINCT id) AS d, COUNT(*) AS n FROM p.bronze.t");
    (rows[0]["d"].as_i64().unwrap(), rows[0]["n"].as_i64().unwrap())
}

#[test]
fn every_message_is_read_once_over_several_runs() {
    let broker = Broker::with(&[("events", 3)]);
    let project = project(&broker, "topics = [\"events\"]\nformat = \"json\"\nmax_rows = 400", "");
    project.succeed(&["bronze", "bronze.t"]);
    assert!(project.versions().is_empty(), "an idle advance writes nothing");
    for partition in 0..3 {
        let first = i64::from(partition) * 1_000;
        broker.write("events", partition, ids(first..first + 1_000));
    }
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(distinct_and_rows(&project), (3_000, 3_000));
    let versions = project.versions()["p.bronze.t"];
    assert!(versions >= 8, "3000 messages in commits of 400 at most are {versions} commits");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.versions()["p.bronze.t"], versions);
    broker.write("events", 1, ids(3_000..3_005));
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(distinct_and_rows(&project), (3_005, 3_005));
    let last = project
        .query("SELECT _source, _position, _timestamp IS NULL AS n, _key, _headers FROM p.bronze.t WHERE id = 3004");
    assert_eq!(last[0]["_source"], "events/1");
    assert_eq!((&last[0]["_position"], &last[0]["n"]), (&json!(1_004), &json!(false)));
}

#[test]
fn a_commit_carries_the_next_offset_of_every_partition() {
    let broker = Broker::with(&[("events", 2)]);
    let project = project(&broker, "topics = [\"events\"]\nformat = \"json\"", "");
    broker.write("events", 0, ids(0..7));
    project.succeed(&["bronze", "bronze.t"]);
    let log = project.log("p.bronze.t");
    let mut positions: Vec<(String, i64)> = log[0]
        .iter()
        .filter_map(|action| action.get("txn"))
        .map(|txn| (txn["appId"].as_str().unwrap().to_owned(), txn["version"].as_i64().unwrap()))
        .collect();
    positions.sort();
    let of = |index: usize| (positions[index].0.rsplit_once("/events/").unwrap().1, positions[index].1);
    assert_eq!((positions.len(), of(0), of(1)), (2, ("0", 7), ("1", 0)));
    assert!(positions[0].0.starts_with("kafka/"));
}

#[test]
fn key_headers_and_time_are_columns_and_tombstones_are_rows() {
    let broker = Broker::with(&[("events", 1)]);
    let project = project(&broker, "topics = [\"events\"]\nformat = \"json\"", "[schema]\nid = \"long\"");
    let message = Message {
        key: Some(b"k1"),
        payload: Some(b"{\n  \"id\": 1\r\n}"),
        headers: &[("trace", "a"), ("trace", "b")],
        timestamp: Some(1_706_688_000_123),
    };
    broker.send("events", 0, &message);
    broker.send("events", 0, &Message { key: Some(b"k1"), ..Message::default() });
    broker.send(
        "events",
        0,
        &Message { key: Some(b"\xff\x00"), payload: Some(b"{\"id\":2,\"_key\":3}"), ..Message::default() },
    );
    broker.flush();
    project.succeed(&["bronze", "bronze.t"]);
    let rows = project.query(
        "SELECT id, _key, _headers, CAST(_timestamp AS STRING) AS at, _rescued_data FROM p.bronze.t ORDER BY _position",
    );
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["id"], 1);
    assert_eq!(rows[0]["_headers"], r#"{"trace":["a","b"]}"#);
    assert!(rows[0]["at"].as_str().unwrap().starts_with("2024-01-31T08:00:00.123"), "{rows:?}");
    assert_eq!((&rows[1]["_key"], rows[1].get("id").is_none_or(|id| id.is_null())), (&json!("k1"), true));
    assert_eq!(rows[2]["_key"], "/wA=");
    assert_eq!(rows[2]["_rescued_data"], r#"{"_key":3,"_key":"base64"}"#);
}

#[test]
fn a_message_that_does_not_decode_is_put_aside_with_its_bytes() {
    let broker = Broker::with(&[("events", 1)]);
    let project = project(&broker, "topics = [\"events\"]\nformat = \"json\"", "");
    broker.write("events", 0, [&b"{\"id\":1}"[..], b"{\"id\":\"\xff\"}", b"", b"{\"id\":2}"]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.count("p.bronze.t"), 2);
    let aside = project.query(
        "SELECT \"row\", source, \"position\", array_to_string(reasons, ' ') AS why FROM p.quarantine.bronze_t ORDER BY \"position\"",
    );
    assert_eq!(
        (&aside[0]["row"], &aside[0]["source"], &aside[0]["position"]),
        (&json!("eyJpZCI6Iv8ifQ=="), &json!("events/0"), &json!(1))
    );
    assert!(aside[0]["why"].as_str().unwrap().contains("not valid UTF-8"));
    assert!(aside[1]["why"].as_str().unwrap().contains("empty"));
    assert_eq!(aside.len(), 2);
}

#[test]
fn messages_that_are_gone_are_named_and_skipped_only_when_told_to() {
    let broker = Broker::with(&[("events", 1)]);
    let source = "topics = [\"events\"]\nformat = \"json\"";
    let project = project(&broker, source, "");
    broker.write("events", 0, ids(0..10));
    project.succeed(&["bronze", "bronze.t"]);
    // The stand-in keeps 5 MB of a partition.
    let long = "x".repeat(100_000);
    broker.write("events", 0, (10..90).map(|id| format!("{{\"id\":{id},\"long\":\"{long}\"}}")));
    let failed = project.fail(&["bronze", "bronze.t"], 1, "events/0 is to be read from offset 10");
    assert!(failed.err.contains("the earliest message that is kept has offset"), "{failed:#?}");
    assert!(failed.err.contains("on_data_loss = \"continue\""), "{failed:#?}");
    assert_eq!(project.count("p.bronze.t"), 10);
    let brokers = broker.address();
    let spec = format!("[source.kafka]\nbrokers = \"{brokers}\"\n{source}\non_data_loss = \"continue\"\n");
    project.write("pipelines/p/bronze/t.toml", &spec);
    let ended = project.succeed(&["bronze", "bronze.t"]);
    assert!(ended.err.contains("going on from offset"), "{ended:#?}");
    assert_eq!(project.number("SELECT MAX(id) AS n FROM p.bronze.t"), 89);
}

#[test]
fn topics_of_a_pattern_are_found_later_and_read_from_their_beginning() {
    let broker = Broker::with(&[("orders-eu", 1), ("other", 1)]);
    let project = project(&broker, "pattern = \"orders-.*\"\nformat = \"json\"", "");
    broker.write("other", 0, ids(500..510));
    broker.write("orders-eu", 0, ids(0..10));
    project.succeed(&["bronze", "bronze.t"]);
    broker.cluster.create_topic("orders-us", 2, 1).unwrap();
    broker.write("orders-us", 1, ids(10..15));
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(distinct_and_rows(&project), (15, 15));
    assert_eq!(project.number("SELECT MAX(id) AS n FROM p.bronze.t"), 14);
}

#[test]
fn a_start_at_the_end_reads_only_what_comes_later() {
    let broker = Broker::with(&[("events", 1)]);
    let project = project(&broker, "topics = [\"events\"]\nformat = \"string\"\nstart = \"latest\"", "");
    broker.write("events", 0, ["a", "b"]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.count("p.bronze.t"), 0);
    broker.write("events", 0, ["c"]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.lines("SELECT value, _position FROM p.bronze.t"), "{\"value\":\"c\",\"_position\":2}\n");
}

#[test]
fn texts_and_bytes_are_one_column() {
    let broker = Broker::with(&[("events", 1)]);
    broker.write("events", 0, [&b"plain\ntext"[..], b"\xff\xfe"]);
    let texts = project(&broker, "topics = [\"events\"]\nformat = \"string\"", "");
    texts.succeed(&["bronze", "bronze.t"]);
    assert_eq!(texts.lines("SELECT value FROM p.bronze.t"), "{\"value\":\"plain\\ntext\"}\n");
    assert_eq!(texts.count("p.quarantine.bronze_t"), 1);
    let bytes = project(&broker, "topics = [\"events\"]\nformat = \"bytes\"", "");
    bytes.succeed(&["bronze", "bronze.t"]);
    let rows = bytes.query("SELECT encode(value, 'hex') AS h FROM p.bronze.t ORDER BY _position");
    assert_eq!((rows.len(), &rows[1]["h"]), (2, &json!("fffe")));
}

#[test]
fn a_cluster_that_is_away_is_worth_another_try() {
    let project = Project::new(Place::Folder).with(
        "pipelines/p/bronze/t.toml",
        "[source.kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"events\"]\nformat = \"json\"\n",
    );
    project.fail(&["bronze", "bronze.t"], 75, "no broker can be reached");
}

#[test]
fn a_topic_that_does_not_exist_is_named() {
    let broker = Broker::with(&[("events", 1)]);
    let project = project(&broker, "topics = [\"evnets\"]\nformat = \"json\"", "");
    project.fail(&["bronze", "bronze.t"], 2, "`evnets`");
}

#[test]
fn what_would_break_exactly_once_is_refused_at_its_place() {
    let project = Project::new(Place::Folder).with(
        "pipelines/p/bronze/t.toml",
        "[source.kafka]\nbrokers = \"b:9092\"\ntopics = [\"events\"]\nformat = \"json\"\ntrigger = \"soon\"\n\
         [source.kafka.options]\n\"enable.auto.commit\" = true\n\"fetch.min.byte\" = 1\n\
         [source.kafka.security]\npassword = \"hunter2\"\n[schema]\n_key = \"string\"\n",
    );
    let trigger = project.run(&["check"]);
    assert_eq!(trigger.code, 2, "{trigger:#?}");
    assert!(
        format!("{}{}", trigger.out, trigger.err).contains("t.toml:5:11: `soon` is not a time span"),
        "{trigger:#?}"
    );
    let spec = std::fs::read_to_string(project.path("pipelines/p/bronze/t.toml")).unwrap();
    project.write("pipelines/p/bronze/t.toml", &spec.replace("soon", "1s"));
    let ended = project.run(&["check"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    let said = format!("{}{}", ended.out, ended.err);
    for line in [
        "t.toml:7:1: `enable.auto.commit` cannot be set",
        "t.toml:8:1: librdkafka has no property `fetch.min.byte`",
        "t.toml:10:12: a secret cannot stand in a file",
        "t.toml:12:1: `_key` is a column that bronze adds itself",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("hunter2"));
}

fn with_registry(broker: &Broker, registry: &Registry, format: &str, more: &str) -> Project {
    let source =
        format!("topics = [\"events\"]\nformat = \"{format}\"\nschema_registry = {{ url = \"{}\" }}", registry.url());
    project(broker, &source, more)
}

/// A body behind the identity of its schema.
fn framed(schema: u8, body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, schema][..], body].concat()
}

#[test]
fn avro_messages_follow_the_schemas_they_name() {
    let (broker, registry) = (Broker::with(&[("events", 1)]), Registry::new());
    let project = with_registry(&broker, &registry, "avro", "");
    let at = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let price = r#"{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}"#;
    let fields =
        format!(r#"{{"name":"id","type":"long"}},{{"name":"at","type":{at}}},{{"name":"price","type":{price}}}"#);
    registry.keep(1, &format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#), "");
    let more =
        format!(r#"{{"type":"record","name":"R","fields":[{fields},{{"name":"note","type":["null","string"]}}]}}"#);
    registry.keep(2, &more, "");
    let row =
        [&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..], &[0xd0, 0x0f], &[4, 0x04, 0xd2]].concat();
    broker.write("events", 0, [framed(1, &row), framed(1, &row[..9]), b"plain".to_vec()]);
    broker.send("events", 0, &Message { key: Some(b"k"), ..Message::default() });
    broker.flush();
    project.succeed(&["bronze", "bronze.t"]);
    let types = project.query("SELECT arrow_typeof(at) AS at, arrow_typeof(price) AS price FROM p.bronze.t LIMIT 1");
    assert!(
        types[0]["at"].as_str().unwrap().starts_with("Timestamp(") && types[0]["price"] == "Decimal128(12, 2)",
        "{types:?}"
    );
    let text =
        "SELECT id, CAST(at AS STRING) AS at, CAST(price AS STRING) AS price FROM p.bronze.t WHERE id IS NOT NULL";
    let rows = project.query(text);
    assert_eq!((&rows[0]["id"], &rows[0]["price"], rows.len()), (&json!(i64::MAX), &json!("12.34"), 1));
    assert!(rows[0]["at"].as_str().unwrap().starts_with("1970-01-01T00:00:01"), "{rows:?}");
    assert_eq!((project.count("p.bronze.t"), project.count("p.quarantine.bronze_t")), (2, 2));
    broker.write("events", 0, [framed(2, &[&row[..], &[2, 4, b'h', b'i']].concat())]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.query("SELECT note FROM p.bronze.t WHERE note IS NOT NULL"), [json!({ "note": "hi" })]);
    assert_eq!(registry.asked("/schemas/ids/1"), 1);
}

#[test]
fn protobuf_messages_follow_the_files_they_name() {
    let (broker, registry) = (Broker::with(&[("events", 1)]), Registry::new());
    let project = with_registry(&broker, &registry, "protobuf", "");
    registry.keep_version("item", 3, "syntax = \"proto3\"; message Item { string sku = 1; }");
    let file = "syntax = \"proto3\"; import \"item.proto\"; message Other {} \
                message Order { int64 id = 1; repeated Item items = 2; }";
    let references = r#","schemaType":"PROTOBUF","references":[{"name":"item.proto","subject":"item","version":3}]"#;
    registry.keep(1, file, references);
    broker.write("events", 0, [framed(1, &[2, 2, 0x08, 7, 0x12, 3, 0x0a, 1, b'a']), framed(1, &[2, 2, 0x08])]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(
        project.query("SELECT id, get_field(items[1], 'sku') AS sku FROM p.bronze.t"),
        [json!({ "id": 7, "sku": "a" })]
    );
    let aside = project.query("SELECT array_to_string(reasons, ' ') AS why FROM p.quarantine.bronze_t");
    assert!(aside[0]["why"].as_str().unwrap().contains("it does not fit schema 1"), "{aside:?}");
}

#[test]
fn a_schema_that_cannot_be_had_stops_the_batch_with_one_line() {
    let (broker, registry) = (Broker::with(&[("events", 1)]), Registry::new());
    broker.write("events", 0, [framed(9, &[2])]);
    let unknown = with_registry(&broker, &registry, "avro", "");
    unknown.fail(&["bronze", "bronze.t"], 1, "could not read schema 9 from the registry");
    let away = project(
        &broker,
        "topics = [\"events\"]\nformat = \"avro\"\nschema_registry = { url = \"http://127.0.0.1:1\" }",
        "",
    );
    away.fail(&["bronze", "bronze.t"], 75, "could not read schema 9 from the registry");
}

#[test]
fn a_stream_takes_what_comes_and_finds_topics_that_are_made_meanwhile() {
    let broker = Broker::with(&[("orders-eu", 2)]);
    let project =
        project(&broker, "pattern = \"orders-.*\"\nformat = \"json\"\nstart = \"latest\"\ntrigger = \"50ms\"", "");
    broker.write("orders-eu", 0, ids(0..10));
    let stream = Running::start(&project, &["stream", "p"]);
    // What is written before the stream has begun is not its concern, so something is written until it is.
    let mut next = 10;
    wait_for("the stream to read", || {
        broker.write("orders-eu", 1, ids(next..next + 1));
        next += 1;
        // The first commit only tells where reading began.
        project.table("p.bronze.t").join("_delta_log/00000000000000000001.json").exists().then_some(())
    });
    broker.cluster.create_topic("orders-us", 1, 1).unwrap();
    broker.write("orders-us", 0, ids(next..next + 5));
    let wanted = format!("SELECT COUNT(*) AS n FROM p.bronze.t WHERE id = {}", next + 4);
    wait_for("the new topic to be read", || (project.number(&wanted) == 1).then_some(()));
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    broker.write("orders-eu", 0, ids(1_000..1_010));
    project.succeed(&["bronze", "bronze.t"]);
    let (distinct, rows) = distinct_and_rows(&project);
    assert_eq!(distinct, rows);
    assert_eq!(project.number("SELECT COUNT(*) AS n FROM p.bronze.t WHERE id < 10"), 0);
    assert_eq!(project.number("SELECT COUNT(*) AS n FROM p.bronze.t WHERE id >= 1000"), 10);
}

#[test]
fn two_readers_of_one_source_never_double_a_row() {
    let broker = Broker::with(&[("events", 2)]);
    let project = project(&broker, "topics = [\"events\"]\nformat = \"json\"\nmax_rows = 50", "");
    for partition in 0..2 {
        let first = i64::from(partition) * 1_000;
        broker.write("events", partition, ids(first..first + 1_000));
    }
    for reader in [(); 2].map(|()| Running::start(&project, &["bronze", "bronze.t"])) {
        let ended = reader.ended();
        assert!(matches!(ended.code, 0 | 75), "{ended:#?}");
        assert!(ended.code == 0 || ended.err.contains("another writer of the same source was faster"), "{ended:#?}");
    }
    project.succeed(&["bronze", "bronze.t"]);
    let told: Vec<String> = project.log("p.bronze.t").iter().map(|actions| moved(actions)).collect();
    assert_eq!(distinct_and_rows(&project), (2_000, 2_000), "{told:#?}");
}

/// Who committed, where to, and how many rows.
fn moved(actions: &[Value]) -> String {
    let info = actions.iter().find_map(|action| action.get("commitInfo")).unwrap();
    let record = &info["medallion"];
    let txn: Vec<String> = actions
        .iter()
        .filter_map(|action| action.get("txn"))
        .map(|txn| format!("{}={}", txn["appId"], txn["version"]))
        .collect();
    format!("{} {} {} {txn:?}", record["run"], record["batch"], record["rows_written"])
}
