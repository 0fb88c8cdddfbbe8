//! `/api/events`: changes as they happen, as server-sent events.
//!
//! An event has the name of its [`crate::Change`] and carries it as JSON. A client that reads too slowly to be told everything gets a
//! `resync` in place of what it missed, and asks anew for what it shows. A stream holds its
//! connection for as long as the client likes, so there are at most [`MOST_STREAMS`] of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream, StreamExt as _};

use crate::failure::Failure;
use crate::routes::Site;

/// How often something is said when nothing happens; more often than silent connections are cut off.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The most clients that are told at the same time, well below the most connections of one peer and of all.
pub(crate) const MOST_STREAMS: usize = 64;

/// Changes from now on, without an end.
pub(crate) async fn events(
    State(site): State<Arc<Site>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Failure> {
    let place = Arc::clone(&site.streams).try_acquire_owned();
    let place =
        place.map_err(|_| Failure::unavailable("too many clients listen to events; close some, or ask again later"))?;
    let changes = site.host.changes();
    // The first one tells the client that nothing is missed from here on.
    let hello = stream::once(async { Event::default().event("hello").data("{}") });
    let told = changes.map(move |change| {
        // Given back with the stream.
        let _place = &place;
        let data = serde_json::to_string(&change).unwrap_or_default();
        Event::default().event(change.name()).data(data)
    });
    Ok(Sse::new(hello.chain(told).map(Ok)).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}
