//! What an error of Kinesis means: to the reader, which may go on, and to the user.

use stage::{Error, Kind};

use crate::messages::address::shown;

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) error: Error,
}

/// What the reader can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The shard is asked too often, by us or by others. Asking again later helps.
    Throttled,
    /// The service does not answer, or not now. Asking again later may help.
    Away,
    /// The iterator is too old. A new one helps.
    ExpiredIterator,
    /// There is nothing at that place any more.
    NoSuchPlace,
    /// Nothing helps.
    Final,
}

impl Failure {
    /// The service could not be reached.
    pub(crate) fn away(doing: &str, endpoint: &str, source: reqwest::Error) -> Failure {
        let endpoint = shown(endpoint);
        let why = if source.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        let message =
            format!("{doing}: {endpoint} {why}; check region and endpoint in [source.kinesis], and the network");
        Failure { cause: Cause::Away, error: Error::unavailable(message).with_source(source.without_url()) }
    }

    /// The service answered with an error. `code` and `message` are its own.
    pub(crate) fn answered(doing: &str, status: u16, code: &str, message: &str) -> Failure {
        let (cause, kind, remedy) = meaning(status, code);
        let said = if message.is_empty() {
            format!("the service answered {status} {code}").trim_end().to_owned()
        } else {
            one_line(message)
        };
        Failure { cause, error: Error::new(kind, format!("{doing}: {remedy} ({said})")) }
    }

    /// A failure that asking again does not change.
    pub(crate) fn of(error: Error) -> Failure {
        Failure { cause: Cause::Final, error }
    }

    /// Whether asking again later may help.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.cause, Cause::Throttled | Cause::Away)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

/// The codes stand in the reference of each request, and in "Common Errors" of the Kinesis API.
fn meaning(status: u16, code: &str) -> (Cause, Kind, &'static str) {
    const LOGIN: &str = "the credentials were not accepted; check them, in [source.kinesis] or in the environment";
    match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "KMSThrottlingException"
        | "RequestLimitExceeded" => (
            Cause::Throttled,
            Kind::Unavailable,
            "the stream is read too often; each shard answers five times a second, for all who read it",
        ),
        "ExpiredIteratorException" => {
            (Cause::ExpiredIterator, Kind::Unavailable, "the answer came too late to go on from it; try again")
        }
        "InvalidArgumentException" => (
            Cause::NoSuchPlace,
            Kind::Data,
            "the stream does not have that place; check stream, region and start in [source.kinesis]",
        ),
        "ResourceNotFoundException" => (
            Cause::Final,
            Kind::Config,
            "there is no such stream or shard; check stream and region in [source.kinesis], or create it",
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => (Cause::Final, Kind::Config, LOGIN),
        "ExpiredTokenException" | "ExpiredToken" => {
            (Cause::Final, Kind::Config, "the credentials have expired; get new ones")
        }
        "AccessDeniedException" | "AccessDenied" | "OptInRequired" | "NotAuthorized" => (
            Cause::Final,
            Kind::Config,
            "the credentials may not read the stream; allow kinesis:DescribeStreamSummary, kinesis:ListShards, \
             kinesis:GetShardIterator and kinesis:GetRecords",
        ),
        "RequestExpired" | "RequestTimeTooSkewed" => {
            (Cause::Final, Kind::Config, "the clock of this machine is wrong; set it")
        }
        code if code.starts_with("KMS") => (
            Cause::Final,
            Kind::Config,
            "the records are encrypted with a key that cannot be used; check its state and its policy",
        ),
        _ if status == 401 || status == 403 => (Cause::Final, Kind::Config, LOGIN),
        _ if status >= 500 || status == 429 => {
            (Cause::Away, Kind::Unavailable, "the service cannot answer now; try again later")
        }
        _ => (
            Cause::Final,
            Kind::Config,
            "the request was refused; check stream, region and endpoint in [source.kinesis]",
        ),
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_kind_and_its_remedy() {
        let of = |code| Failure::answered("could not read `s`", 400, code, "why\n so");
        let missing = of("ResourceNotFoundException");
        assert_eq!((missing.cause, missing.error.kind()), (Cause::Final, Kind::Config));
        assert!(missing.error.message().ends_with("or create it (why so)"), "{}", missing.error);
        assert!(of("UnrecognizedClientException").error.message().contains("credentials were not accepted"));
        assert!(of("AccessDeniedException").error.message().contains("kinesis:GetRecords"));
        assert_eq!(of("ProvisionedThroughputExceededException").cause, Cause::Throttled);
        assert_eq!(of("ExpiredIteratorException").cause, Cause::ExpiredIterator);
        let down = Failure::answered("could not read `s`", 503, "ServiceUnavailable", "");
        assert_eq!((down.cause, down.error.kind()), (Cause::Away, Kind::Unavailable));
        assert!(down.error.message().ends_with("try again later (the service answered 503 ServiceUnavailable)"));
        let unknown = of("NoSuchCode");
        assert_eq!((unknown.cause, unknown.error.kind()), (Cause::Final, Kind::Config));
        assert!(unknown.error.message().contains("check stream, region and endpoint in [source.kinesis]"));
    }
}
