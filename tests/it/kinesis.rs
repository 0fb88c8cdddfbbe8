//! Streams of Kinesis into bronze: each record once, whatever it is.
//!
//! `make test-kinesis` runs these; every other test is of a build without Kinesis.

use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::moto::{Moto, REGION, Stream};
use crate::place::Place;
use crate::project::{Ended, Project};
use crate::running::Running;
use crate::waiting::wait_for;

/// A project with one bronze table, `p.bronze.t`.
fn project(source: &str) -> Project {
    Project::new(Place::Folder).with("pipelines/p/bronze/t.toml", source)
}

/// A command with credentials that the server believes.
fn command(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    command
}

fn run(project: &Project, arguments: &[&str]) -> Ended {
    Ended::of(command(project, arguments).output().unwrap())
}

fn start(project: &Project, arguments: &[&str]) -> Running {
    Running::of(&mut command(project, arguments))
}

fn advance(project: &Project) -> Ended {
    let ended = run(project, &["bronze", "bronze.t"]);
    assert_eq!(ended.code, 0, "{ended:#?}");
    ended
}

fn ids(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|id| format!("{{\"id\":{id}}}"))
}

/// Every id that is in the table, and how many rows there are.
fn distinct_and_rows(project: &Project) -> (i64, i64) {
    let rows = project.query("SELECT COUNT(DISTINCT id) AS d, COUNT(*) AS n FROM p.bronze.t");
    (rows[0]["d"].as_i64().unwrap(), rows[0]["n"].as_i64().unwrap())
}

/// The newest commit of the table: its `txn` actions and its record.
fn newest(project: &Project) -> (Vec<Value>, Value) {
    let actions = project.log("p.bronze.t").pop().unwrap();
    let record = actions.iter().find_map(|action| action.get("commitInfo")).unwrap()["medallion"].clone();
    (actions.iter().filter_map(|action| action.get("txn").cloned()).collect(), record)
}

#[test]
fn every_record_is_read_once_over_several_runs() {
    let stream = Stream::with(3);
    let project = project(&stream.source("max_rows = 400"));
    advance(&project);
    assert!(project.versions().is_empty(), "an idle advance writes nothing");
    for shard in 0..3 {
        let first = i64::try_from(shard).unwrap() * 1_000;
        stream.put(shard, 3, ids(first..first + 1_000));
    }
    advance(&project);
    assert_eq!(distinct_and_rows(&project), (3_000, 3_000));
    let versions = project.versions()["p.bronze.t"];
    assert!(versions >= 8, "3000 records in commits of 400 at most are {versions} commits");
    advance(&project);
    assert_eq!(project.versions()["p.bronze.t"], versions);
    stream.put(1, 3, ids(3_000..3_005));
    advance(&project);
    assert_eq!(distinct_and_rows(&project), (3_005, 3_005));
    let last = project.query(
        "SELECT _source, _position, _key, _sequence_number, _timestamp IS NULL AS n FROM p.bronze.t WHERE id = 3004",
    );
    assert_eq!(last[0]["_source"], format!("{}/shardId-000000000001", stream.name));
    assert_eq!(
        (&last[0]["_position"], &last[0]["_key"], &last[0]["n"]),
        (&json!(1_004), &json!("key-1"), &json!(false))
    );
    assert_eq!(last[0]["_sequence_number"], "1005");
}

#[test]
fn a_commit_counts_the_batch_and_tells_where_each_shard_stands() {
    let stream = Stream::with(2);
    let project = project(&stream.source(""));
    stream.put(0, 2, ids(0..7));
    advance(&project);
    let (moved, record) = newest(&project);
    let position = format!("kinesis/123456789012/{REGION}/{}", stream.name);
    assert_eq!((&moved[0]["appId"], &moved[0]["version"]), (&json!(position), &json!(1)));
    let shards = &record["states"][&position]["shards"];
    assert_eq!(shards["shardId-000000000000"]["place"], json!({ "after": "7" }));
    assert_eq!(shards["shardId-000000000001"]["place"], json!("trim_horizon"));
    assert_eq!(project.number("SELECT MAX(_batch) AS n FROM p.bronze.t"), 0);
}

#[test]
fn no_row_is_newer_than_the_time_it_is_checked_at() {
    let stream = Stream::with(1);
    let rule = "[[expect]]\nname = \"past\"\nnot_in_future = [\"_ingested_at\"]\non_fail = \"fail\"\n";
    let project = project(&stream.source(rule));
    stream.put(0, 1, ids(0..3));
    advance(&project);
    assert_eq!(distinct_and_rows(&project), (3, 3));
}

#[test]
fn merged_shards_are_read_to_their_end_and_what_came_of_them_from_its_beginning() {
    let stream = Stream::with(2);
    let project = project(&stream.source(""));
    stream.put(0, 2, ids(0..5));
    advance(&project);
    stream.put(1, 2, ids(5..9));
    // The server copies what it merges, so the ids stand in the new shard once more.
    let merge = json!({ "ShardToMerge": "shardId-000000000000", "AdjacentShardToMerge": "shardId-000000000001" });
    stream.ask("MergeShards", merge);
    advance(&project);
    let rows =
        project.query("SELECT _source, COUNT(DISTINCT id) AS d, COUNT(*) AS n FROM p.bronze.t GROUP BY 1 ORDER BY 1");
    let row = |shard: usize, count: i64| json!({ "_source": format!("{}/shardId-{shard:012}", stream.name), "d": count, "n": count });
    assert_eq!(rows, [row(0, 5), row(1, 4), row(2, 9)]);
    let (_, record) = newest(&project);
    let state = record["states"].as_object().unwrap().values().next().unwrap()["shards"].clone();
    let places = [0, 1, 2].map(|shard| state[format!("shardId-{shard:012}")]["place"].clone());
    assert_eq!(places, [json!("closed"), json!("closed"), json!({ "after": "9" })]);
    let versions = project.versions()["p.bronze.t"];
    advance(&project);
    assert_eq!(project.versions()["p.bronze.t"], versions);
}

#[test]
fn a_start_at_the_end_or_at_a_time_reads_only_what_comes_later() {
    let stream = Stream::with(1);
    let latest = project(&stream.source("start = \"latest\""));
    stream.put(0, 1, ids(0..3));
    // The clock of the server says seconds.
    let seconds = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let put = seconds();
    wait_for("the next second", || (seconds() > put).then_some(()));
    advance(&latest);
    assert_eq!(latest.count("p.bronze.t"), 0);
    let now = latest.query("SELECT CAST(now() AS STRING) AS now")[0]["now"].as_str().unwrap().replace(' ', "T");
    let since = project(&stream.source(&format!("start = \"{}Z\"", &now[..23])));
    stream.put(0, 1, ids(3..5));
    for project in [latest, since] {
        advance(&project);
        assert_eq!(project.lines("SELECT id FROM p.bronze.t ORDER BY id"), "{\"id\":3}\n{\"id\":4}\n");
    }
}

#[test]
fn what_does_not_decode_is_put_aside_with_its_sequence_number() {
    let stream = Stream::with(1);
    let project = project(&stream.source(""));
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    let one = |payload: &[u8]| field(0x1a, &[&[8, 0][..], &field(0x1a, payload)].concat());
    let packed =
        [b"\xf3\x89\x9a\xc2".to_vec(), field(10, b"packed"), one(b"{\"id\":2}"), one(b"{\"id\":3}"), vec![0; 16]]
            .concat();
    stream.put(0, 1, [&b"{\"id\":1}"[..], b"{\"id\":\"\xff\"}", &packed, &packed[..12], b"{\"id\":4}"]);
    advance(&project);
    let rows = project.lines("SELECT id, _position, _key, _sequence_number AS s FROM p.bronze.t ORDER BY _position");
    let row = |id: i64, position: i64, key: &str, number: &str| {
        format!("{}\n", json!({ "id": id, "_position": position, "_key": key, "s": number }))
    };
    let expected =
        [row(1, 0, "key-0", "1"), row(2, 2, "packed", "3"), row(3, 3, "packed", "3"), row(4, 5, "key-0", "5")];
    assert_eq!(rows, expected.concat());
    let aside = project.query(
        "SELECT \"row\", source, \"position\" AS at, array_to_string(reasons, ' ') AS why FROM p.quarantine.bronze_t \
         ORDER BY \"position\"",
    );
    assert_eq!((aside.len(), &aside[0]["row"], &aside[0]["at"]), (2, &json!("eyJpZCI6Iv8ifQ=="), &json!(1)));
    let why = |index: usize| aside[index]["why"].as_str().unwrap();
    assert!(why(0).ends_with("in the record with sequence number 2"), "{aside:#?}");
    assert!(why(1).contains("packed by the producer library") && why(1).ends_with("number 4"), "{aside:#?}");
}

#[test]
fn two_readers_of_one_stream_never_double_a_row() {
    let stream = Stream::with(2);
    let project = project(&stream.source("max_rows = 50"));
    for shard in 0..2 {
        let first = i64::try_from(shard).unwrap() * 1_000;
        stream.put(shard, 2, ids(first..first + 1_000));
    }
    for reader in [(); 2].map(|()| start(&project, &["bronze", "bronze.t"])) {
        let ended = reader.ended();
        assert!(matches!(ended.code, 0 | 75), "{ended:#?}");
        assert!(ended.code == 0 || ended.err.contains("another writer of the same source was faster"), "{ended:#?}");
    }
    advance(&project);
    assert_eq!(distinct_and_rows(&project), (2_000, 2_000));
}

#[test]
fn a_reader_that_is_killed_neither_loses_nor_doubles_a_row() {
    let stream = Stream::with(2);
    let project = project(&stream.source("max_rows = 40"));
    for shard in 0..2 {
        let first = i64::try_from(shard).unwrap() * 1_000;
        stream.put(shard, 2, ids(first..first + 1_000));
    }
    let committed = || project.versions().get("p.bronze.t").copied().unwrap_or(0);
    for crash in 0..5 {
        let before = committed();
        let mut reader = start(&project, &["bronze", "bronze.t"]);
        wait_for("a few commits", || {
            (committed() > before + crash || reader.has_ended_within(Duration::ZERO)).then_some(())
        });
        reader.kill_after(Duration::ZERO);
    }
    advance(&project);
    assert_eq!(distinct_and_rows(&project), (2_000, 2_000));
    let positions = "SELECT COUNT(DISTINCT CONCAT(_source, ' ', _position)) AS n FROM p.bronze.t";
    assert_eq!(project.number(positions), 2_000);
}

#[test]
fn a_stream_takes_what_comes_until_it_is_stopped() {
    let stream = Stream::with(2);
    let project = project(&stream.source("trigger = \"50ms\""));
    stream.put(0, 2, ids(0..10));
    let going = start(&project, &["stream", "p"]);
    let first = project.table("p.bronze.t").join("_delta_log/00000000000000000000.json");
    wait_for("the first records to be read", || first.exists().then_some(()));
    stream.put(1, 2, ids(10..20));
    wait_for("the others to be read", || (project.count("p.bronze.t") == 20).then_some(()));
    let ended = going.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    stream.put(0, 2, ids(20..30));
    advance(&project);
    assert_eq!(distinct_and_rows(&project), (30, 30));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let stream = Stream::with(1);
    let source = stream.source("");
    let missing = project(&source.replace(&stream.name, "no-such"));
    run(&missing, &["bronze", "bronze.t"]).check_failed(2, "there is no such stream or shard; check stream and region");
    let nowhere = project(&source.replace(&format!("region = \"{REGION}\"\n"), ""));
    run(&nowhere, &["bronze", "bronze.t"]).check_failed(2, "no region is set; write region in [source.kinesis]");
    let away = Project::new(Place::Folder).with(
        "pipelines/p/bronze/t.toml",
        &format!("[source.kinesis]\nstream = \"s\"\nregion = \"{REGION}\"\nendpoint = \"http://127.0.0.1:1\"\nformat = \"json\"\n"),
    );
    run(&away, &["bronze", "bronze.t"]).check_failed(75, "http://127.0.0.1:1 cannot be reached");
    let unendorsed = project(&source.replace("endpoint = ", "# endpoint = "));
    let mut told = command(&unendorsed, &["bronze", "bronze.t"]);
    let ended = Ended::of(told.env("AWS_ENDPOINT_URL_KINESIS", "https://me:hunter2@kinesis").output().unwrap());
    assert!(!ended.err.contains("hunter2"), "{ended:#?}");
    ended.check_failed(2, "AWS_ENDPOINT_URL_KINESIS: a user or a password cannot stand in an address");
}

#[test]
fn requests_are_signed_with_credentials_that_never_show() {
    let moto = Moto::start();
    moto.kinesis("CreateStream", &json!({ "StreamName": "s", "ShardCount": 1 }));
    moto.kinesis("PutRecord", &json!({ "StreamName": "s", "PartitionKey": "k", "Data": "eyJpZCI6MX0=" }));
    moto.iam("Action=CreateUser&UserName=reader");
    let answer = moto.iam("Action=CreateAccessKey&UserName=reader");
    let part = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let (key, secret) = (part("AccessKeyId"), part("SecretAccessKey"));
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kinesis:*","Resource":"*"}}"#;
    let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
    moto.iam(&format!("Action=PutUserPolicy&UserName=reader&PolicyName=read&PolicyDocument={policy}"));
    moto.ask_for_signatures();
    let source = format!(
        "[source.kinesis]\nstream = \"s\"\nregion = \"{REGION}\"\nendpoint = \"{}\"\nformat = \"json\"\n\
         access_key_id = \"{key}\"\nsecret_access_key = \"${{secret.aws.secret_access_key}}\"\n",
        moto.url()
    );
    let project = project(&source);
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.write("medallion.toml", &format!("{settings}[secrets.aws]\nprovider = \"file\"\npath = \"secrets\"\n"));
    project.write("secrets", "secret_access_key = not-the-secret\n");
    let refused = project.fail(&["bronze", "bronze.t"], 2, "the credentials were not accepted");
    assert!(!refused.err.contains("not-the-secret"), "{refused:#?}");
    project.write("secrets", &format!("secret_access_key = {secret}\n"));
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.count("p.bronze.t"), 1);
}
