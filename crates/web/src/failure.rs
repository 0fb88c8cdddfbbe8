//! What a request that failed is answered with: a status and `{kind, message}`.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use stage::{Error, Kind};

/// Why a request is not done.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Failure {
    /// The request makes no sense.
    pub(crate) fn wrong(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::BAD_REQUEST, kind: Kind::Config.name(), message: message.into() }
    }

    /// There is no such thing.
    pub(crate) fn missing(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::NOT_FOUND, kind: "not_found", message: message.into() }
    }

    /// It is there, and of another kind of doing.
    pub(crate) fn method() -> Failure {
        let message = "this address is there, but for another method".to_owned();
        Failure { status: StatusCode::METHOD_NOT_ALLOWED, kind: "method_not_allowed", message }
    }

    /// The token is missing or another one.
    pub(crate) fn unauthorized(message: &str) -> Failure {
        Failure { status: StatusCode::UNAUTHORIZED, kind: "unauthorized", message: message.to_owned() }
    }

    /// Whoever asks is not to be answered.
    pub(crate) fn forbidden(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::FORBIDDEN, kind: "forbidden", message: message.into() }
    }

    /// It does not fit how things are now.
    pub(crate) fn conflict(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::CONFLICT, kind: Kind::Conflict.name(), message: message.into() }
    }

    /// There is no room for it right now.
    pub(crate) fn unavailable(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::SERVICE_UNAVAILABLE, kind: Kind::Unavailable.name(), message: message.into() }
    }

    /// As [`Failure::from`] an error, of something that is there and was rightly named: what was wrong is how it stands.
    pub(crate) fn of_state(error: Error) -> Failure {
        match error.kind() {
            Kind::Config => Failure::conflict(error.chain()),
            _ => error.into(),
        }
    }

    /// The body is too long, or did not come.
    pub(crate) fn body(status: StatusCode) -> Failure {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Failure { status, kind: "too_large", message: "the body is longer than 64 KiB".to_owned() }
            }
            _ => Failure::wrong("the body could not be read"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = match error.kind() {
            Kind::Config => StatusCode::BAD_REQUEST,
            Kind::Data | Kind::Quality => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unavailable | Kind::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure { status, kind: error.kind().name(), message: error.chain() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure { status, kind, message } = self;
        let mut response = (status, Json(json!({ "kind": kind, "message": message }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
