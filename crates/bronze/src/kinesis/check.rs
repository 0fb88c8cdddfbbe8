//! What can be said of a Kinesis source from its spec alone.

use frame::spec::SchemaSpec;
use regex::Regex;
use stage::Problem;

use super::kind::KIND;
use super::spec::KinesisSpec;
use crate::messages::check::{
    Problems, check_address, check_bounds, check_columns, check_registry, check_secret, placed,
};

/// What to do when this build cannot read from Kinesis.
pub const NEEDS_FEATURE: &str =
    "this medallion was built without Kinesis; build it with `cargo build --release -p cli --features kinesis`";

/// Names of streams and their ARNs, as the reference of the Kinesis API has them.
const STREAM: &str = r"^(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/)?[a-zA-Z0-9_.-]{1,128}$";

/// Every problem of a source and of the columns its table is given. Places begin with `source/kinesis`.
pub fn check(spec: &KinesisSpec, schema: &SchemaSpec) -> Vec<Problem> {
    let mut problems = Problems::new();
    if !cfg!(feature = "kinesis") {
        problems.push((String::new(), NEEDS_FEATURE.to_owned()));
    }
    check_stream(spec, &mut problems);
    check_bounds(KIND, &spec.start, spec.max_rows, spec.max_bytes, &mut problems);
    check_credentials(spec, &mut problems);
    check_registry(KIND, spec.schema_registry.as_ref(), spec.format, &mut problems);
    let mut problems = placed(KIND, problems);
    problems.extend(check_columns(KIND, schema, spec.format));
    problems
}

fn check_stream(spec: &KinesisSpec, problems: &mut Problems) {
    let is_stream = Regex::new(STREAM).is_ok_and(|pattern| pattern.is_match(&spec.stream));
    if !is_stream {
        let why = format!(
            "`{}` is not a stream; expected its name, of letters, digits and `_.-`, or its ARN such as \
             arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            spec.stream
        );
        problems.push(("stream".to_owned(), why));
    }
    if spec.region.as_ref().is_some_and(|region| region.trim().is_empty()) {
        problems.push(("region".to_owned(), "the region is empty; expected one such as eu-west-1".to_owned()));
    }
    if let Some(endpoint) = &spec.endpoint {
        check_address("endpoint", endpoint, "access_key_id and secret_access_key", problems);
    }
}

fn check_credentials(spec: &KinesisSpec, problems: &mut Problems) {
    for (at, text) in spec.secret_texts() {
        check_secret(at, text, problems);
    }
    if spec.access_key_id.is_some() != spec.secret_access_key.is_some() {
        let why = "`access_key_id` and `secret_access_key` belong together; write both, or neither";
        problems.push((String::new(), why.to_owned()));
    }
    if spec.session_token.is_some() && spec.access_key_id.is_none() {
        let why = "a token needs `access_key_id` and `secret_access_key`";
        problems.push(("session_token".to_owned(), why.to_owned()));
    }
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
    fn addresses_hold_no_secret_and_none_is_shown() {
        for (endpoint, registry) in [
            ("https://me:hunter2@kinesis", "http://me:hunter2@registry"),
            ("me:hunter2@kinesis", "me:hunter2@registry"),
        ] {
            let found = problems(&format!(
                r#"{{"stream":"s","format":"avro","endpoint":"{endpoint}","schema_registry":{{"url":"{registry}"}}}}"#
            ));
            assert_eq!(found.len(), 2, "{found:#?}");
            assert!(found[0].starts_with("source/kinesis/endpoint: "), "{found:#?}");
            assert!(found[1].starts_with("source/kinesis/schema_registry/url: "), "{found:#?}");
            assert!(!found.iter().any(|line| line.contains("hunter2")), "{found:#?}");
        }
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
