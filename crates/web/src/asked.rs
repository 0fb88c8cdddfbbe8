//! What a request asks for, parsed; what cannot be is answered as a [`Failure`].

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// What stands behind the `?`.
pub(crate) struct Asked<T>(pub(crate) T);

/// What stands in the path.
pub(crate) struct Named<T>(pub(crate) T);

/// The body, as JSON; an empty one is `{}`.
pub(crate) struct Told<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Asked(query)).map_err(|rejection| Failure::wrong(rejection.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(path)| Named(path)).map_err(|rejection| Failure::wrong(rejection.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection: BytesRejection| Failure::body(rejection.status()))?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        // Not at once into `T`, which serde would also make of a list.
        let object = serde_json::from_slice::<Map<String, Value>>(text);
        let told = object.and_then(|object| serde_json::from_value(Value::Object(object)));
        told.map(Told).map_err(|error| Failure::wrong(format!("the body: {error}")))
    }
}
