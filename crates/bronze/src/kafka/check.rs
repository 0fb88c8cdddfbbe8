//! What can be said of a Kafka source from its spec alone.

use frame::spec::SchemaSpec;
use regex::Regex;
use stage::Problem;

use super::kind::KIND;
use super::settings;
use super::spec::{KafkaSpec, Mechanism, OptionValue, Preset};
use crate::messages::address::{is_address, may_hold_secret};
use crate::messages::check::{Problems, check_bounds, check_columns, check_registry, check_secret, placed};

/// Properties that are decided here, with what to do instead. A name that ends in `.` stands for all that begin so.
const DECIDED: [(&str, &str); 15] = [
    ("enable.auto.commit", "offsets are kept in the table and never in Kafka, or rows would be lost or doubled"),
    ("enable.auto.offset.store", "offsets are kept in the table and never in Kafka"),
    ("auto.commit.", "offsets are kept in the table and never in Kafka"),
    ("offset.store.", "offsets are kept in the table and never in Kafka"),
    ("group.", "partitions are assigned and there is no consumer group, or rows would be lost or doubled"),
    ("partition.assignment.strategy", "partitions are assigned and there is no consumer group"),
    ("isolation.level", "only committed messages are read, or rows of aborted transactions would stay"),
    ("auto.offset.reset", "write start and on_data_loss instead"),
    ("enable.partition.eof", "the end is found by the position of the consumer"),
    ("bootstrap.servers", "write brokers instead"),
    ("metadata.broker.list", "write brokers instead"),
    ("security.protocol", "write [source.kafka.security] protocol instead"),
    ("sasl.", "write [source.kafka.security] instead"),
    ("ssl.key.", "write [source.kafka.security] key and key_password instead"),
    ("ssl.keystore.", "write [source.kafka.security] certificate and key instead"),
];

/// Every problem of a source and of the columns its table is given. Places begin with `source/kafka`.
pub fn check(spec: &KafkaSpec, schema: &SchemaSpec) -> Vec<Problem> {
    let mut problems = Problems::new();
    check_topics(spec, &mut problems);
    check_bounds(KIND, &spec.start, spec.max_rows, spec.max_bytes, &mut problems);
    check_options(spec, &mut problems);
    check_security(spec, &mut problems);
    check_registry(KIND, spec.schema_registry.as_ref(), spec.format, &mut problems);
    let mut problems = placed(KIND, problems);
    problems.extend(check_columns(KIND, schema, spec.format));
    problems
}

fn check_topics(spec: &KafkaSpec, problems: &mut Problems) {
    let mut report = |at: &str, why: String| problems.push((at.to_owned(), why));
    if spec.brokers.trim().is_empty() {
        report("brokers", "no broker is named; expected host:port, several separated by commas".to_owned());
    }
    if spec.brokers.contains('@') {
        report(
            "brokers",
            "a user cannot stand here; write username and password of [source.kafka.security]".to_owned(),
        );
    }
    match (spec.topics.is_empty(), &spec.pattern) {
        (true, None) => report("", "no topic is named; write topics = [\"...\"], or pattern".to_owned()),
        (false, Some(_)) => report("pattern", "`topics` and `pattern` exclude each other; leave one out".to_owned()),
        _ => {}
    }
    for (index, topic) in spec.topics.iter().enumerate() {
        if topic.trim().is_empty() || spec.topics[..index].contains(topic) {
            let why = if topic.trim().is_empty() { "is empty" } else { "stands here twice" };
            report(&format!("topics/{index}"), format!("the topic `{topic}` {why}"));
        }
    }
    if let Some(Err(error)) = spec.pattern.as_ref().map(|pattern| Regex::new(pattern)) {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        report("pattern", format!("the pattern is not a regular expression: {last}"));
    }
}

fn check_options(spec: &KafkaSpec, problems: &mut Problems) {
    for (name, value) in &spec.options {
        // A dot in a key of ours is a step down in the file, so the place is the table of options.
        let at = format!("options/{name}");
        let is_decided = |decided: &str| name == decided || (decided.ends_with('.') && name.starts_with(decided));
        if let Some((_, why)) = DECIDED.iter().find(|(decided, _)| is_decided(decided)) {
            problems.push((at, format!("`{name}` cannot be set: {why}")));
        } else if let Err(why) = settings::check_property(name, value) {
            problems.push((at, why));
        } else if matches!(value, OptionValue::Text(text) if text.contains("${")) {
            problems.push((at, format!("`{name}` cannot refer to a secret; write [source.kafka.security] instead")));
        }
    }
}

fn check_security(spec: &KafkaSpec, problems: &mut Problems) {
    for (at, text) in spec.secret_texts() {
        check_secret(at, text, problems);
    }
    let mut report = |at: &str, why: &str| {
        let at = format!("security/{at}");
        problems.push((at.trim_end_matches('/').to_owned(), why.to_owned()));
    };
    let security = &spec.security;
    let effective = settings::Effective::of(spec);
    if spec.preset == Some(Preset::EventHubs) {
        let contradicts = security.protocol.is_some_and(|protocol| !effective.is_protocol(protocol));
        if contradicts || security.username.is_some() {
            report("", "the preset event_hubs sets protocol and username itself; leave them out");
        }
    }
    if effective.needs_feature() && !cfg!(feature = "kafka-ssl") {
        report("", NEEDS_FEATURE);
    }
    if security.certificate.is_some() != security.key.is_some() {
        report("", "`certificate` and `key` belong together; write both, or neither");
    }
    if !effective.tls && (security.ca.is_some() || security.certificate.is_some()) {
        report("", "certificates need TLS; write protocol = \"ssl\" or \"sasl_ssl\"");
    }
    match (effective.sasl, effective.mechanism) {
        (false, Some(_)) => report("mechanism", "a login needs protocol = \"sasl_ssl\" or \"sasl_plaintext\""),
        (true, None) => {
            report("", "missing key `mechanism`; expected plain, scram_sha256, scram_sha512 or oauthbearer")
        }
        (true, Some(Mechanism::Oauthbearer)) => check_oauth(spec, &mut report),
        (true, Some(_)) if effective.username.is_none() => report("", "missing key `username`, text"),
        (true, Some(_)) if security.password.is_none() => {
            report("", "missing key `password`, written as ${secret.scope.key}");
        }
        _ => {}
    }
}

/// What to do when this build cannot secure a connection in the way that is asked for.
pub(crate) const NEEDS_FEATURE: &str = "this medallion was built without TLS for Kafka, and of the logins it has plain \
                                        alone; build it with `--features kafka-ssl`, which needs the headers of OpenSSL";

fn check_oauth(spec: &KafkaSpec, report: &mut impl FnMut(&str, &str)) {
    let Some(oauth) = &spec.security.oauth else {
        return report("", "missing key `oauth`, with a token, or with token_url, client_id and client_secret");
    };
    let asks = oauth.token_url.is_some() && oauth.client_id.is_some() && oauth.client_secret.is_some();
    if oauth.token.is_some() == asks {
        report("oauth", "expected either `token`, or `token_url` with `client_id` and `client_secret`");
    }
    if oauth.token_url.as_ref().is_some_and(|url| !is_address(url)) {
        report("oauth/token_url", "this is not an address; expected http://... or https://...");
    } else if oauth.token_url.as_ref().is_some_and(|url| may_hold_secret(url)) {
        report("oauth/token_url", "a secret cannot stand in an address; write client_id and client_secret instead");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let spec: KafkaSpec = serde_json::from_str(text).unwrap();
        check(&spec, &SchemaSpec::new())
            .into_iter()
            .map(|problem| format!("{}: {}", problem.at, problem.message))
            .collect()
    }

    #[test]
    fn a_plain_source_is_sound() {
        assert_eq!(problems(r#"{"brokers":"b:9092","topics":["t"],"format":"json"}"#), Vec::<String>::new());
    }

    #[test]
    fn what_would_break_exactly_once_is_refused_and_says_why() {
        let found = problems(
            r#"{"brokers":"b","topics":["t"],"format":"json","options":{"enable.auto.commit":true,"group.id":"g",
                "isolation.level":"read_uncommitted","fetch.wait.max.ms":20,"no.such":1,"fetch.min.bytes":"many"}}"#,
        );
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found[0].starts_with("source/kafka/options/enable.auto.commit: `enable.auto.commit` cannot be set"));
        assert!(found[1].contains("no consumer group") && found[2].contains("only committed messages"));
        assert!(found[3].contains("`no.such`") && found[4].contains("`fetch.min.bytes`"), "{found:#?}");
    }

    #[test]
    fn secrets_stand_in_no_file() {
        let found = problems(
            r#"{"brokers":"b","topics":["t"],"format":"json","security":{"protocol":"sasl_ssl","mechanism":"plain",
                "username":"u","password":"hunter2"}}"#,
        );
        assert!(found[0].starts_with("source/kafka/security/password: a secret cannot stand in a file"), "{found:#?}");
        assert!(!found.iter().any(|line| line.contains("hunter2")));
        assert_eq!(found.iter().any(|line| line.contains("--features kafka-ssl")), !cfg!(feature = "kafka-ssl"));
    }

    #[test]
    fn addresses_hold_no_secret_and_none_is_shown() {
        let found = problems(
            r#"{"brokers":"me:hunter2@b:9092","topics":["t"],"format":"avro",
                "schema_registry":{"url":"http://me:hunter2@registry"},"security":{"protocol":"sasl_ssl",
                "mechanism":"oauthbearer","oauth":{"token_url":"https://me:hunter2@idp/token","client_id":"c",
                "client_secret":"${secret.a.b}"}}}"#,
        );
        for place in ["brokers", "schema_registry/url", "security/oauth/token_url"] {
            assert!(
                found.iter().any(|line| line.starts_with(&format!("source/kafka/{place}: "))),
                "{place}: {found:#?}"
            );
        }
        assert!(!found.iter().any(|line| line.contains("hunter2")), "{found:#?}");
    }

    #[test]
    fn a_plain_login_without_tls_needs_no_other_build() {
        let security = r#""security":{"protocol":"sasl_plaintext","mechanism":"plain","username":"u",
                          "password":"${secret.a.b}"}"#;
        let spec = format!(r#"{{"brokers":"b","topics":["t"],"format":"json",{security}}}"#);
        assert_eq!(problems(&spec), Vec::<String>::new());
        let scram = problems(&spec.replace(r#""plain""#, r#""scram_sha256""#));
        assert_eq!(scram.iter().any(|line| line.contains("--features kafka-ssl")), !cfg!(feature = "kafka-ssl"));
    }

    #[test]
    fn every_contradiction_is_named() {
        let found = problems(
            r#"{"brokers":" ","topics":["t","t"],"pattern":"(","format":"avro","start":"soon",
                "max_rows":0}"#,
        );
        assert_eq!(found.len(), 7, "{found:#?}");
    }
}
