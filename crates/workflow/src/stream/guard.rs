//! Runs a piece of a stage's work so that a panic in it is an error, and so that it can be dropped when patience is over.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use stage::{Error, Meter, Result};
use tokio_util::sync::CancellationToken;

use crate::attempt::words;

/// How a piece of work ended.
pub(super) enum Ended<T> {
    /// By itself.
    WithResult(Result<T>),
    /// By a panic; whatever it worked on is not to be used again.
    Panicked(Error),
    /// It did not stop when it was told to, and was dropped.
    Dropped,
}

/// Runs `work`, which is called `name` in messages. A commit that it is making when patience is over is not broken off.
pub(super) async fn guarded<T>(
    name: &str,
    patience_over: &CancellationToken,
    meter: &Meter,
    work: impl Future<Output = Result<T>>,
) -> Ended<T> {
    let mut work = std::pin::pin!(AssertUnwindSafe(work).catch_unwind());
    let ended = tokio::select! {
        biased;
        ended = &mut work => ended,
        () = patience_over.cancelled() => {
            if !meter.is_committing() {
                return Ended::Dropped;
            }
            work.await
        }
    };
    match ended {
        Ok(result) => Ended::WithResult(result),
        Err(panic) => Ended::Panicked(Error::bug(format!("{name} panicked: {}", words(&*panic)))),
    }
}
