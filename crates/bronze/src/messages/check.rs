//! What can be said of a source of messages from its spec alone, wherever the messages come from.

use frame::spec::SchemaSpec;
use stage::Problem;

use super::address::{is_address, may_hold_secret, shown};
use super::kind::MessageKind;
use super::spec::{MessageFormat, RegistrySpec};
use super::start::Start;

/// Problems of a source: the place below the source, and what is wrong there.
pub(crate) type Problems = Vec<(String, String)>;

/// Where reading begins, and the bounds of a batch.
pub(crate) fn check_bounds(kind: MessageKind, start: &str, max_rows: u64, max_bytes: u64, problems: &mut Problems) {
    if Start::parse(start, kind).is_none() {
        let oldest = kind.oldest;
        let why =
            format!("unknown value `{start}`; expected `{oldest}`, `latest` or a time such as 2026-01-31T08:00:00Z");
        problems.push(("start".to_owned(), why));
    }
    // A bound of nothing would never be met.
    for (at, _) in [("max_rows", max_rows), ("max_bytes", max_bytes)].iter().filter(|(_, most)| *most == 0) {
        problems.push(((*at).to_owned(), "expected at least 1, found 0".to_owned()));
    }
}

/// A text that may only be a reference to a secret. The text itself is not told.
pub(crate) fn check_secret(at: &str, text: &str, problems: &mut Problems) {
    if !text.contains("${secret.") {
        let why = "a secret cannot stand in a file; write it as ${secret.scope.key}, with [secrets.scope] in \
                   medallion.toml";
        problems.push((at.to_owned(), why.to_owned()));
    }
}

/// An address that holds no secret; `instead` is where its user and password are to be written.
pub(crate) fn check_address(at: &str, url: &str, instead: &str, problems: &mut Problems) {
    if !is_address(url) {
        let why = format!("`{}` is not an address; expected http://... or https://...", shown(url));
        problems.push((at.to_owned(), why));
    } else if may_hold_secret(url) {
        let why = format!("a user or a password cannot stand in an address; write {instead} instead");
        problems.push((at.to_owned(), why));
    }
}

/// A registry is there when messages name their schema in one, and only then.
pub(crate) fn check_registry(
    kind: MessageKind,
    registry: Option<&RegistrySpec>,
    format: MessageFormat,
    problems: &mut Problems,
) {
    let MessageKind { source, noun, .. } = kind;
    let mut report = |at: &str, why: String| problems.push((at.to_owned(), why));
    match registry {
        None if format.needs_registry() => {
            report("", format!("missing key `schema_registry`; {noun}s of this format name their schema there"));
        }
        Some(_) if !format.needs_registry() => {
            report("schema_registry", format!("only avro and protobuf {noun}s have their schema in a registry"));
        }
        Some(registry) => {
            if registry.password.is_some() && registry.user.is_none() {
                report("schema_registry", "missing key `user`, text".to_owned());
            }
            let instead = format!("user and password of [source.{source}.schema_registry]");
            check_address("schema_registry/url", &registry.url, &instead, problems);
        }
        None => {}
    }
}

/// The problems at their places in the file of a table.
pub(crate) fn placed(kind: MessageKind, problems: Problems) -> Vec<Problem> {
    let place = |at: &str| format!("source/{}/{at}", kind.source).trim_end_matches('/').to_owned();
    problems.into_iter().map(|(at, why)| Problem::new(place(&at), why)).collect()
}

/// The declared columns that the table cannot have.
pub(crate) fn check_columns(kind: MessageKind, schema: &SchemaSpec, format: MessageFormat) -> Vec<Problem> {
    let why = |name: &str| {
        if kind.brings(name) {
            Some(format!("`{name}` is a column that bronze adds itself; give yours another name"))
        } else if format.is_single_value() {
            Some(format!("{}s of this format are one column, `value`; leave out `{name}`", kind.noun))
        } else {
            None
        }
    };
    schema.keys().filter_map(|name| Some(Problem::new(format!("schema/{name}"), why(name)?))).collect()
}
