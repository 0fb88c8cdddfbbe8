//! Where each shard is begun, in which order, and what is gone. Nothing here asks Kinesis or a table; it decides by
//! what they said.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use super::client::Stream;
use super::kind::KIND;
use super::spec::KinesisSpec;
use crate::messages::spec::OnDataLoss;
use crate::messages::start::Start;

/// A shard as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) id: String,
    /// The shards it came of: one by a split, two by a merge.
    pub(crate) parents: Vec<String>,
    /// Whether nothing is put into it any more.
    pub(crate) is_closed: bool,
}

/// Where a shard is to be read next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// At the oldest record that is kept.
    TrimHorizon,
    /// At the first record that came at this time or later, in milliseconds since 1970.
    Since(i64),
    /// Behind the record with this sequence number.
    After(String),
    /// Nowhere: it is closed and was read to its end.
    Closed,
}

/// How far a shard was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardState {
    pub(crate) place: Place,
    /// How many rows were read of it, which is the `_position` of the next one.
    pub(crate) rows: i64,
    /// Until when, in milliseconds since 1970, all that came is known to be read. Unknown while nothing was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<i64>,
}

/// How far a stream was read: what a table keeps for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamState {
    /// When the stream was made, in milliseconds since 1970.
    pub(crate) created: i64,
    /// Every shard that is listed.
    pub(crate) shards: BTreeMap<String, ShardState>,
}

impl StreamState {
    /// This state with what was reached since.
    pub(crate) fn advanced_by(&self, reached: &BTreeMap<String, ShardState>) -> StreamState {
        let mut state = self.clone();
        state.shards.extend(reached.iter().map(|(id, reached)| (id.clone(), reached.clone())));
        state
    }

    /// Whether a table that holds this state should be told how far shards are read `now` although no row came: when
    /// some were closed or found, or when so much time has passed that what is known to be read would soon be older
    /// than what is kept.
    pub(crate) fn is_outdated_by(&self, now: &BTreeMap<String, ShardState>, retention_hours: i64) -> bool {
        let late = TimeDelta::hours(retention_hours).num_milliseconds() / 4;
        now.iter().any(|(id, now)| match self.shards.get(id) {
            None => true,
            Some(before) => {
                let is_stale = before.seen.zip(now.seen).is_some_and(|(was, is)| is - was > late);
                is_stale || (before.place == Place::Closed) != (now.place == Place::Closed)
            }
        })
    }
}

/// Where a stream is begun that the table holds nothing of.
///
/// # Errors
/// [`stage::Kind::Config`] when `start` says nothing that is known, which `check` reports too.
pub(crate) fn first(spec: &KinesisSpec, stream: &Stream, listed: &[Shard]) -> Result<StreamState> {
    let now = stream.now.timestamp_millis();
    let start = Start::of(&spec.start, KIND)?;
    let state_of = |shard: &Shard| {
        let (place, seen) = match start {
            Start::Oldest => (Place::TrimHorizon, None),
            Start::Latest if shard.is_closed => (Place::Closed, None),
            // A moment that can be written down, so that a start before the first record goes on from the same one.
            Start::Latest => (Place::Since(now), Some(now)),
            Start::Since(time) => (Place::Since(time), None),
        };
        ShardState { place, rows: 0, seen }
    };
    let shards = listed.iter().map(|shard| (shard.id.clone(), state_of(shard))).collect();
    Ok(StreamState { created: stream.created, shards })
}

/// Where a stream goes on that the table holds a state of, and what to warn of.
///
/// # Errors
/// [`stage::Kind::Data`] when records may be gone that were not read, unless the spec says to continue.
pub(crate) fn go_on(
    on_data_loss: OnDataLoss,
    stream: &Stream,
    listed: &[Shard],
    held: &StreamState,
) -> Result<(StreamState, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut state = StreamState { created: stream.created, ..StreamState::default() };
    if held.created != stream.created {
        let what = format!(
            "the stream {} was made anew on {}; the table was filled from the one made on {}",
            stream.name,
            in_words(stream.created),
            in_words(held.created)
        );
        warnings.push(lost(on_data_loss, what, "begin with the oldest record of the new one")?);
        for shard in listed {
            let rows = held.shards.get(&shard.id).map_or(0, |before| before.rows);
            state.shards.insert(shard.id.clone(), ShardState { place: Place::TrimHorizon, rows, seen: None });
        }
        return Ok((state, warnings));
    }
    let horizon = (stream.now - TimeDelta::hours(stream.retention_hours)).timestamp_millis();
    for (id, before) in held.shards.iter().filter(|(_, before)| before.place != Place::Closed) {
        let name = format!("{}/{id}", stream.name);
        if !listed.iter().any(|shard| shard.id == *id) {
            let what = format!("{name} was not read to its end, but the stream no longer has it");
            warnings.push(lost(on_data_loss, what, "go on with the other shards")?);
        } else if let Some(seen) = before.seen.filter(|seen| *seen < horizon) {
            let what = format!(
                "{name} was read until {}, but the stream keeps records for {} hours: what came in between may have been \
                 deleted before it was read",
                in_words(seen),
                stream.retention_hours
            );
            warnings.push(lost(on_data_loss, what, "go on with what is left")?);
        }
    }
    // Of shards that are no longer listed nothing can come any more.
    let kept = held.shards.iter().filter(|(id, _)| listed.iter().any(|shard| shard.id == **id));
    state.shards = kept.map(|(id, before)| (id.clone(), before.clone())).collect();
    for (id, found) in found_later(listed, &state.shards) {
        state.shards.insert(id, found);
    }
    Ok((state, warnings))
}

/// Shards that are listed and have no state yet: they were made since, so all of their records are new.
pub(crate) fn found_later(listed: &[Shard], known: &BTreeMap<String, ShardState>) -> Vec<(String, ShardState)> {
    let new = listed.iter().filter(|shard| !known.contains_key(&shard.id));
    new.map(|shard| {
        let parents = shard.parents.iter().filter_map(|parent| known.get(parent));
        let seen = parents.filter_map(|parent| parent.seen).min();
        (shard.id.clone(), ShardState { place: Place::TrimHorizon, rows: 0, seen })
    })
    .collect()
}

/// Which shards may be read now: those that are not done, and whose parents are done or gone.
pub(crate) fn ready(listed: &[Shard], known: &BTreeMap<String, ShardState>) -> Vec<String> {
    let is_done = |id: &str| known.get(id).is_some_and(|state| state.place == Place::Closed);
    let is_listed = |id: &str| listed.iter().any(|shard| shard.id == id);
    let ready = listed.iter().filter(|shard| {
        let parents_done = shard.parents.iter().all(|parent| is_done(parent) || !is_listed(parent));
        known.contains_key(&shard.id) && !is_done(&shard.id) && parents_done
    });
    ready.map(|shard| shard.id.clone()).collect()
}

/// What is said of records that are gone.
///
/// # Errors
/// [`stage::Kind::Data`], unless the spec says to continue.
pub(crate) fn lost(on_data_loss: OnDataLoss, what: String, otherwise: &str) -> Result<String> {
    match on_data_loss {
        OnDataLoss::Continue => Ok(format!("{what}; reading goes on: {otherwise}")),
        OnDataLoss::Fail => Err(Error::data(format!(
            "{what}; set on_data_loss = \"continue\" in [source.kinesis] to {otherwise}, or \
             delete the folder of the table in the lake, then run again, which reads what the stream still keeps"
        ))),
    }
}

fn in_words(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis)
        .map_or_else(|| millis.to_string(), |time| time.format("%F %T UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_800_000_000_000;

    fn stream() -> Stream {
        Stream {
            position: "kinesis/1/r/s".to_owned(),
            name: "s".to_owned(),
            created: 7,
            retention_hours: 24,
            now: DateTime::from_timestamp_millis(NOW).unwrap(),
        }
    }

    fn spec(start: &str) -> KinesisSpec {
        serde_json::from_str(&format!(r#"{{"stream":"s","format":"json","start":"{start}"}}"#)).unwrap()
    }

    fn shard(id: &str, parents: &[&str], is_closed: bool) -> Shard {
        Shard { id: id.to_owned(), parents: parents.iter().map(|one| (*one).to_owned()).collect(), is_closed }
    }

    fn after(number: &str, seen: i64) -> ShardState {
        ShardState { place: Place::After(number.to_owned()), rows: 5, seen: Some(seen) }
    }

    fn held(shards: &[(&str, ShardState)]) -> StreamState {
        let shards = shards.iter().map(|(id, state)| ((*id).to_owned(), state.clone())).collect();
        StreamState { created: 7, shards }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = held(&[
            ("a", after(&"4".repeat(56), NOW)),
            ("b", first(&spec("latest"), &stream(), &[shard("b", &[], true)]).unwrap().shards["b"].clone()),
        ]);
        let text = serde_json::to_string(&state).unwrap();
        assert!(text.contains(r#""place":{"after":"4444"#) && text.contains(r#""place":"closed""#), "{text}");
        assert_eq!(serde_json::from_str::<StreamState>(&text).unwrap(), state);
    }

    #[test]
    fn a_stream_is_begun_where_start_says() {
        let listed = [shard("a", &[], true), shard("b", &["a"], false)];
        let places = |start: &str| -> Vec<Place> {
            first(&spec(start), &stream(), &listed).unwrap().shards.into_values().map(|state| state.place).collect()
        };
        assert_eq!(places("trim_horizon"), [Place::TrimHorizon, Place::TrimHorizon]);
        assert_eq!(places("latest"), [Place::Closed, Place::Since(NOW)]);
        let time = 1_767_225_600_000;
        assert_eq!(places("2026-01-01T00:00:00Z"), [Place::Since(time), Place::Since(time)]);
    }

    #[test]
    fn children_wait_for_all_of_their_parents() {
        let listed = [
            shard("a", &[], true),
            shard("b", &["gone"], true),
            shard("c", &["a", "b"], false),
            shard("d", &["c"], false),
        ];
        let mut known = first(&spec("trim_horizon"), &stream(), &listed).unwrap().shards;
        assert_eq!(ready(&listed, &known), ["a", "b"]);
        known.get_mut("a").unwrap().place = Place::Closed;
        assert_eq!(ready(&listed, &known), ["b"]);
        known.get_mut("b").unwrap().place = Place::Closed;
        assert_eq!(ready(&listed, &known), ["c"]);
    }

    #[test]
    fn shards_made_later_are_read_from_their_beginning_and_gone_ones_forgotten() {
        let closed = ShardState { place: Place::Closed, rows: 9, seen: Some(NOW - 1) };
        let held = held(&[("a", after("1", NOW)), ("old", closed)]);
        let listed = [shard("a", &["old"], true), shard("b", &["a"], false)];
        let (state, warnings) = go_on(OnDataLoss::Fail, &stream(), &listed, &held).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(state.shards.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(state.shards["a"], after("1", NOW));
        assert_eq!(state.shards["b"], ShardState { place: Place::TrimHorizon, rows: 0, seen: Some(NOW) });
    }

    #[test]
    fn records_that_may_be_gone_are_named() {
        let listed = [shard("a", &[], false)];
        let late = held(&[("a", after("1", NOW - 25 * HOUR))]);
        let missing = held(&[("a", after("1", NOW)), ("b", after("1", NOW))]);
        let anew = StreamState { created: 6, ..late.clone() };
        for (held, said) in
            [(&late, "s/a was read until"), (&missing, "s/b was not read to its end"), (&anew, "made anew")]
        {
            let error = go_on(OnDataLoss::Fail, &stream(), &listed, held).unwrap_err();
            assert_eq!(error.kind(), stage::Kind::Data);
            assert!(
                error.message().contains(said) && error.message().contains("on_data_loss = \"continue\""),
                "{error}"
            );
        }
        let (state, warnings) = go_on(OnDataLoss::Continue, &stream(), &listed, &late).unwrap();
        assert_eq!((&state, warnings.len()), (&late, 1));
        let (state, _) = go_on(OnDataLoss::Continue, &stream(), &listed, &anew).unwrap();
        assert_eq!(state.shards["a"], ShardState { place: Place::TrimHorizon, rows: 5, seen: None });
        let (state, _) = go_on(OnDataLoss::Continue, &stream(), &listed, &missing).unwrap();
        assert_eq!(state.shards.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_quiet_stream_is_told_of_before_what_is_known_grows_too_old() {
        let before = held(&[("a", after("1", NOW))]);
        let is_outdated_by = |shards: &[(&str, ShardState)]| before.is_outdated_by(&held(shards).shards, 24);
        assert!(!is_outdated_by(&[("a", after("1", NOW + 5 * HOUR))]));
        assert!(is_outdated_by(&[("a", after("1", NOW + 7 * HOUR))]));
        assert!(is_outdated_by(&[("a", ShardState { place: Place::Closed, ..after("1", NOW) })]));
        assert!(is_outdated_by(&[("a", after("1", NOW)), ("b", after("1", NOW))]));
    }
}
