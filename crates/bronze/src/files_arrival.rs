//! Waits until files have landed: lists now and then until the listing is no longer the one that was read last.
//!
//! That compares two numbers and asks no table. Whether anything of the change is to be read is found by the next advance.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use stage::{Context, Result};

use crate::listing::{LandedFile, Landing};
use frame::TimeSpan;

/// The least time between two listings, whatever a spec asks for.
const LEAST_PAUSE: Duration = Duration::from_millis(10);

/// One listing, reduced to a number that differs when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of these files.
    pub(crate) fn of(files: &[LandedFile]) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        for file in files {
            (&file.path, &file.etag).hash(&mut hasher);
        }
        Fingerprint(hasher.finish())
    }
}

/// Ends when the listing is not `last`, the one that the last advance saw; at once when it saw none.
///
/// # Errors
/// As [`Landing::list`].
pub(crate) async fn arrival(
    landing: &Landing,
    last: Option<Fingerprint>,
    trigger: TimeSpan,
    context: &Context,
) -> Result<()> {
    let Some(last) = last else { return Ok(()) };
    loop {
        tokio::time::sleep(trigger.duration().max(LEAST_PAUSE)).await;
        if Fingerprint::of(&landing.list(context.now()).await?) != last {
            return Ok(());
        }
    }
}
