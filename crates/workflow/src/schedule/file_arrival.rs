//! A run when new files have arrived.
//!
//! A file is new when no file of its path was there before. The state remembers the paths that are there now, as hashes
//! of eight bytes that are written as 16 hexadecimal digits: a file costs 16 bytes, the most files ([`MOST_FILES`]) 16
//! MB. That two of a million paths share a hash, so that one of them starts no run of its own, is as likely as 1 in 37
//! million.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::decision::{Cause, Decision};
use super::hashes::{Hashes, hash};
use super::pace::{Pace, no_later};

/// The most files that can be watched in one location.
pub const MOST_FILES: usize = 1_000_000;

/// Watches a location, everything below it included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileArrival {
    url: String,
    pace: Pace,
}

/// A file as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFile<'a> {
    /// Its path, written the same way in each observation.
    pub path: &'a str,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

/// What is remembered between observations; new when it was never observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileArrivalState {
    /// The location that it is about.
    location: Option<String>,
    /// The files that no run is to start for any more.
    known: Hashes,
    /// The files that are still to start a run.
    fresh: Hashes,
    /// When any file was last written.
    newest_modified: Option<DateTime<Utc>>,
    /// When it was last seen that a file came or, with fresh ones there, that one was written.
    last_change: Option<DateTime<Utc>>,
    last_fired: Option<DateTime<Utc>>,
}

impl FileArrival {
    /// Watches the location `url`.
    ///
    /// # Errors
    /// With a message for its writer when `url` is empty or has wildcards.
    pub fn new(url: &str, pace: Pace) -> Result<FileArrival, String> {
        if url.trim().is_empty() {
            return Err("url: found nothing, expected a folder or a location such as `s3://bucket/landing/`".to_owned());
        }
        if url.contains(['*', '?']) {
            return Err(format!("url: found `{url}`, expected a location without wildcards; all below it is watched"));
        }
        Ok(FileArrival { url: url.to_owned(), pace })
    }

    /// The location.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes note of all files that are at the location at `now`, and decides.
    ///
    /// The first observation of a location starts nothing. A file that has gone and comes again is new; one that is
    /// written again is not, but it prolongs the wait for quiet while there are new ones.
    ///
    /// # Errors
    /// When there are more than [`MOST_FILES`]; the state stays as it was.
    pub fn observe<'a>(
        &self,
        state: &mut FileArrivalState,
        now: DateTime<Utc>,
        files: impl IntoIterator<Item = FoundFile<'a>>,
    ) -> Result<Decision, String> {
        let (paths, newest_modified) = self.read(files)?;
        if state.location.as_ref() != Some(&self.url) {
            *state = FileArrivalState {
                location: Some(self.url.clone()),
                known: paths,
                newest_modified,
                ..Default::default()
            };
            return Ok(Decision::Wait { until: None });
        }
        no_later(&mut state.last_fired, now);
        no_later(&mut state.last_change, now);
        let fresh = paths.without(&state.known);
        let came = !fresh.without(&state.fresh).is_empty();
        let written = newest_modified > state.newest_modified;
        state.newest_modified = newest_modified.max(state.newest_modified);
        if fresh.is_empty() {
            (state.known, state.fresh, state.last_change) = (paths, fresh, None);
            return Ok(Decision::Wait { until: None });
        }
        let last_change = state.last_change.filter(|_| !came && !written).unwrap_or(now);
        let ready_at = self.pace.ready_at(state.last_fired, last_change);
        if now < ready_at {
            (state.known, state.fresh, state.last_change) = (paths.without(&fresh), fresh, Some(last_change));
            return Ok(Decision::Wait { until: Some(ready_at) });
        }
        let cause = Cause::FileArrival { location: self.url.clone(), files: fresh.len() };
        (state.known, state.fresh, state.last_change) = (paths, Hashes::default(), None);
        state.last_fired = Some(now);
        Ok(Decision::Fire(cause))
    }

    fn read<'a>(
        &self,
        files: impl IntoIterator<Item = FoundFile<'a>>,
    ) -> Result<(Hashes, Option<DateTime<Utc>>), String> {
        let mut hashes = Vec::new();
        let mut newest_modified = None;
        for file in files {
            if hashes.len() == MOST_FILES {
                return Err(format!(
                    "{}: found more than {MOST_FILES} files, expected fewer; watch a narrower location or move read files away",
                    self.url
                ));
            }
            hashes.push(hash(file.path));
            newest_modified = newest_modified.max(Some(file.modified));
        }
        Ok((hashes.into_iter().collect(), newest_modified))
    }
}
