//! What can be said of a Kinesis source from its spec alone.

use chrono::{DateTime, Utc};
use frame::spec::SchemaSpec;
use regex::Regex;
use stage::Problem;

use super::columns;
use super::spec::KinesisSpec;
use crate::kafka::spec::KafkaFormat;

/// What to do when this build cannot read from Kinesis.
pub const NEEDS_FEATURE: &str =
    "this medallion was built without Kinesis; build it with `cargo build --release -p cli --features kinesis`";

/// Names of streams and their ARNs, as the reference of the Kinesis API has them.
const STREAM: &str = r"^(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/)?[a-zA-Z0-9_.-]{1,128}$";

/// Every problem of a source and of the columns its table is given. Places begin with `source/kinesis`.
pub fn check(spec: &KinesisSpec, schema: &SchemaSpec) -> Vec<Problem> {
    let mut problems: Vec<(&str, String)> = Vec::new();
    if !cfg!(feature = "kinesis") {
        problems.push(("", NEEDS_FEATURE.to_owned()));
    }
    check_stream(spec, &mut problems);
    check_bounds(spec, &mut problems);
    check_credentials(spec, &mut problems);
    check_registry(spec, &mut problems);
    let mut problems: Vec<Problem> = problems
        .into_iter()
        .map(|(at, why)| Problem::new(format!("source/kinesis/{at}").trim_end_matches('/'), why))
        .collect();
    for name in schema.keys() {
        if columns::is_of_record(name) {
            let message = format!("`{name}` is a column that bronze adds itself; give yours another name");
            problems.push(Problem::new(format!("schema/{name}"), message));
        } else if spec.format.is_single_value() {
            let message = format!("records of this format are one column, `value`; leave out `{name}`");
            problems.push(Problem::new(format!("schema/{name}"), message));
        }
    }
    problems
}

fn check_stream(spec: &KinesisSpec, problems: &mut Vec<(&str, String)>) {
    let is_stream = Regex::new(STREAM).is_ok_and(|pattern| pattern.is_match(&spec.stream));
    if !is_stream {
        let why = format!(
            "`{}` is not a stream; expected its name, of letters, digits and `_.-`, or its ARN such as \
             arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            spec.stream
        );
        problems.push(("stream", why));
    }
    if spec.region.as_ref().is_some_and(|region| region.trim().is_empty()) {
        problems.push(("region", "the region is empty; expected one such as eu-west-1".to_owned()));
    }
    if let Some(endpoint) = spec.endpoint.as_ref().filter(|endpoint| !is_address(endpoint)) {
        problems.push(("endpoint", format!("`{endpoint}` is not an address; expected http://... or https://...")));
    }
}

fn check_bounds(spec: &KinesisSpec, problems: &mut Vec<(&str, String)>) {
    let is_time = || spec.start.parse::<DateTime<Utc>>().is_ok();
    if !matches!(spec.start.as_str(), "trim_horizon" | "latest") && !is_time() {
        let why = format!(
            "unknown value `{}`; expected `trim_horizon`, `latest` or a time such as 2026-01-31T08:00:00Z",
            spec.start
        );
        problems.push(("start", why));
    }
    for (key, number) in [("max_rows", spec.max_rows), ("max_bytes", spec.max_bytes)] {
        if number == 0 {
            problems.push((key, "expected at least 1, found 0".to_owned()));
        }
    }
}

fn check_credentials(spec: &KinesisSpec, problems: &mut Vec<(&str, String)>) {
    for (at, text) in spec.secret_texts() {
        if !text.contains("${secret.") {
            let why = "a secret cannot stand in a file; write it as ${secret.scope.key}, with [secrets.scope] in \
                       medallion.toml";
            problems.push((at, why.to_owned()));
        }
    }
    if spec.access_key_id.is_some() != spec.secret_access_key.is_some() {
        let why = "`access_key_id` and `secret_access_key` belong together; write both, or neither";
        problems.push(("", why.to_owned()));
    }
    if spec.session_token.is_some() && spec.access_key_id.is_none() {
        problems.push(("session_token", "a token needs `access_key_id` and `secret_access_key`".to_owned()));
    }
}

fn check_registry(spec: &KinesisSpec, problems: &mut Vec<(&str, String)>) {
    match (&spec.schema_registry, spec.format) {
        (None, KafkaFormat::Avro | KafkaFormat::Protobuf) => {
            let why = "missing key `schema_registry`; records of this format name their schema there";
            problems.push(("", why.to_owned()));
        }
        (Some(_), format) if !format.needs_registry() => {
            let why = "only avro and protobuf records have their schema in a registry";
            problems.push(("schema_registry", why.to_owned()));
        }
        (Some(registry), _) if !is_address(&registry.url) => {
            let why = format!("`{}` is not an address; expected http://... or https://...", registry.url);
            problems.push(("schema_registry/url", why));
        }
        (Some(registry), _) if registry.password.is_some() && registry.user.is_none() => {
            problems.push(("schema_registry", "missing key `user`, text".to_owned()));
        }
        _ => {}
    }
}

fn is_address(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every problem but that of a build without Kinesis.
    fn problems(text: &str) -> Vec<String> {
        let spec: KinesisSpec = serde_json::from_str(text).unwrap();
        let found = check(&spec, &SchemaSpec::new()).into_iter().filter(|problem| problem.message != NEEDS_FEATURE);
        found.map(|problem| format!("{}: {}", problem.at, problem.message)).collect()
    }

    #[test]
    fn a_plain_source_is_sound_where_it_can_be_read() {
        for stream in ["orders", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders.v2"] {
            assert_eq!(problems(&format!(r#"{{"stream":"{stream}","format":"json"}}"#)), Vec::<String>::new());
        }
        let spec: KinesisSpec = serde_json::from_str(r#"{"stream":"s","format":"json"}"#).unwrap();
        assert_eq!(check(&spec, &SchemaSpec::new()).is_empty(), cfg!(feature = "kinesis"));
    }

    #[test]
    fn secrets_stand_in_no_file() {
        let found = problems(
            r#"{"stream":"s","format":"json","access_key_id":"AKIA","secret_access_key":"hunter2",
                "session_token":"hunter3"}"#,
        );
        assert!(
            found[0].starts_with("source/kinesis/secret_access_key: a secret cannot stand in a file"),
            "{found:#?}"
        );
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(!found.iter().any(|line| line.contains("hunter")));
    }

    #[test]
    fn every_contradiction_is_named() {
        let found = problems(
            r#"{"stream":"a b","region":" ","endpoint":"localhost:4566","format":"avro","start":"earliest","max_rows":0,
                "access_key_id":"A"}"#,
        );
        assert_eq!(found.len(), 7, "{found:#?}");
    }

    #[test]
    fn columns_of_records_cannot_be_declared() {
        let spec: KinesisSpec = serde_json::from_str(r#"{"stream":"s","format":"json"}"#).unwrap();
        let schema: SchemaSpec = serde_json::from_str(r#"{"_Sequence_Number":"string","id":"long"}"#).unwrap();
        let found = check(&spec, &schema);
        assert_eq!(found.iter().filter(|problem| problem.at == "schema/_Sequence_Number").count(), 1, "{found:#?}");
        assert!(!found.iter().any(|problem| problem.at == "schema/id"));
    }
}
