//! What an error of librdkafka means to the user: whose fault it is, and what to do.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use stage::{Error, Kind};

/// An error of the library as one of ours. `doing` says what was being done, `reason` what the library adds to its code.
pub(crate) fn failure(doing: &str, error: &KafkaError, reason: &str) -> Error {
    let Some(code) = code_of(error) else {
        return match error {
            KafkaError::ClientConfig(_, why, name, _) => {
                Error::config(format!("{doing}: the property `{name}` is not accepted: {why}"))
            }
            KafkaError::ClientCreation(why) => Error::config(format!("{doing}: {why}")),
            other => Error::unavailable(format!("{doing}: {other}")),
        };
    };
    let (kind, why) = meaning(code);
    let reason = without_client(reason);
    match (why, reason.is_empty()) {
        (Some(why), true) => Error::new(kind, format!("{doing}: {why}")),
        (Some(why), false) => Error::new(kind, format!("{doing}: {why} ({reason})")),
        (None, true) => Error::new(kind, format!("{doing}: {}", in_words(code))),
        (None, false) => Error::new(kind, format!("{doing}: {reason}")),
    }
}

/// The library's code of an error, if it has one.
pub(crate) fn code_of(error: &KafkaError) -> Option<Code> {
    error.rdkafka_error_code()
}

/// Whether the error says that brokers cannot be reached at the moment, which the library goes on trying by itself.
pub(crate) fn is_connection(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::Resolve
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::TimedOutQueue
            | Code::CoordinatorLoadInProgress
            | Code::WaitingForCoordinator
    )
}

/// Whether the error says that a broker refuses connections or is not there at all.
pub(crate) fn is_away(code: Code) -> bool {
    matches!(code, Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve)
}

/// Whether the same question may be answered a moment later.
pub(crate) fn may_pass(code: Code) -> bool {
    is_connection(code) || (is_of_broker(code) && meaning(code).0 == Kind::Unavailable)
}

/// Whether a broker said it and not the library. It may pass, and the library asks again by itself.
pub(crate) fn is_of_broker(code: Code) -> bool {
    code == Code::Unknown || code as i32 > Code::NoError as i32
}

/// Whether the topic is not known.
pub(crate) fn is_unknown_topic(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic)
}

/// Whether it may be so for a moment only, and is met again at once when the source is opened while it is so.
pub(crate) fn is_seen_when_opening(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
    )
}

/// Whether the library says that it hung up because an answer is larger than it takes, for which it has no code.
pub(crate) fn is_too_large(reason: &str) -> bool {
    reason.contains("Invalid frame size") || reason.contains("increase receive.message.max.bytes")
}

/// Whether the error is about the consumer group, which is named but never used.
pub(crate) fn is_of_group(code: Code) -> bool {
    matches!(
        code,
        Code::GroupAuthorizationFailed
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::InvalidGroupId
            | Code::WaitingForCoordinator
    )
}

fn meaning(code: Code) -> (Kind, Option<&'static str>) {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => (
            Kind::Config,
            Some("the broker did not accept the login; check username and password in [source.kafka.security]"),
        ),
        Code::SSL => (
            Kind::Config,
            Some("the TLS connection was refused; check protocol, ca, certificate and key in [source.kafka.security]"),
        ),
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => (
            Kind::Config,
            Some("the broker does not take this way to log in; check mechanism in [source.kafka.security]"),
        ),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::InvalidTopic => {
            (Kind::Config, Some("there is no such topic; check topics in [source.kafka], or create it"))
        }
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            (Kind::Config, Some("the user may not read the topic; give it the rights Read and Describe"))
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => (
            Kind::Data,
            Some(
                "a message is larger than the client takes; set \"receive.message.max.bytes\" and \
                 \"fetch.message.max.bytes\" in [source.kafka.options] higher than the largest message",
            ),
        ),
        Code::UnsupportedCompressionType => {
            (Kind::Config, Some("messages are compressed in a way that this build cannot read"))
        }
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => {
            (Kind::Data, Some("a message is damaged; see the broker's log"))
        }
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
            (Kind::Unavailable, Some("no broker can be reached; check that they run and that `brokers` is right"))
        }
        Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            (Kind::Unavailable, Some("the brokers did not answer in time"))
        }
        Code::Fatal => (Kind::Unavailable, None),
        _ => (Kind::Unavailable, None),
    }
}

/// The library's own words for a code, without its capital letters and brackets.
fn in_words(code: Code) -> String {
    let text = code.to_string();
    let text = text.split_once(" (").map_or(text.as_str(), |(_, inner)| inner.trim_end_matches(')'));
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// What the library adds, without the name of the client's thread in front, on one line.
fn without_client(reason: &str) -> String {
    let reason = reason.split_once("]: ").map_or(reason, |(_, rest)| rest);
    let words: Vec<&str> = reason.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_kind_and_its_remedy() {
        let of = |code| failure("could not read `t`", &KafkaError::MessageConsumption(code), "");
        let login = of(Code::Authentication);
        assert_eq!(login.kind(), Kind::Config);
        assert!(login.message().contains("check username and password"));
        assert_eq!(of(Code::AllBrokersDown).kind(), Kind::Unavailable);
        assert_eq!(of(Code::UnknownTopicOrPartition).kind(), Kind::Config);
        let large = of(Code::MessageSizeTooLarge);
        assert_eq!(large.kind(), Kind::Data);
        assert!(large.message().contains("receive.message.max.bytes"));
    }

    #[test]
    fn what_a_broker_cannot_answer_now_is_asked_again_and_what_it_forbids_is_not() {
        for code in [Code::Unknown, Code::KafkaStorageError, Code::NotLeaderForPartition, Code::AllBrokersDown] {
            assert!(may_pass(code), "{code}");
        }
        for code in [Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition, Code::AutoOffsetReset, Code::SSL] {
            assert!(!may_pass(code), "{code}");
        }
        assert!(is_seen_when_opening(Code::UnknownTopic) && !is_seen_when_opening(Code::TopicAuthorizationFailed));
    }

    #[test]
    fn a_connection_that_broke_over_a_size_is_told_apart() {
        assert!(is_too_large("b:1/1: Receive failed: Invalid frame size 3000123"));
        assert!(!is_too_large("b:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused"));
    }

    #[test]
    fn the_words_of_the_library_stay_on_one_line() {
        let error = KafkaError::MessageConsumption(Code::NotEnoughReplicas);
        let error = failure("could not read `t`", &error, "[thrd:b:1/1]: b:1/1:  not\nenough");
        assert_eq!(error.message(), "could not read `t`: b:1/1: not enough");
    }
}
