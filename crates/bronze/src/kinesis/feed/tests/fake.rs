//! A stream in memory, for tests: shards that split and merge, refusals in a row, records that are gone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::Utc;

use crate::kinesis::client::{Client, Record, Records, Stream};
use crate::kinesis::failure::{Cause, Failure};
use crate::kinesis::shards::{Place, Shard};

/// More digits than any number of the machine has, as those of the service.
const PREFIX: &str = "4959033827149025660855969254836157121182";
/// The most records of one answer.
const MOST: usize = 3;

#[derive(Default)]
pub(crate) struct Fake {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    shards: BTreeMap<String, FakeShard>,
    created: i64,
    refusals: VecDeque<(&'static str, Cause)>,
    asked: Vec<String>,
}

#[derive(Default)]
struct FakeShard {
    parents: Vec<String>,
    records: Vec<Record>,
    is_closed: bool,
}

/// The sequence number of the record with this index in its shard.
pub(crate) fn sequence_number(index: usize) -> String {
    format!("{PREFIX}{index:016}")
}

impl Fake {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a shard, and closes those it comes of.
    pub(crate) fn shard(&self, id: &str, parents: &[&str]) {
        self.with(|inner| {
            for parent in parents {
                inner.shards.get_mut(*parent).unwrap().is_closed = true;
            }
            let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
            inner.shards.insert(id.to_owned(), FakeShard { parents, ..FakeShard::default() });
        });
    }

    pub(crate) fn put(&self, shard: &str, payloads: &[impl AsRef<[u8]>]) {
        self.with(|inner| {
            let records = &mut inner.shards.get_mut(shard).unwrap().records;
            for payload in payloads {
                let record = Record {
                    key: "k".to_owned(),
                    sequence_number: sequence_number(records.len()),
                    arrived: Some(Utc::now().timestamp_millis()),
                    payload: payload.as_ref().to_vec(),
                };
                records.push(record);
            }
        });
    }

    /// Refuses the next requests of this name.
    pub(crate) fn refuse(&self, request: &'static str, cause: Cause, times: usize) {
        self.with(|inner| inner.refusals.extend(std::iter::repeat_n((request, cause), times)));
    }

    /// Deletes a shard with all it held, as the service does when its records are too old.
    pub(crate) fn expire(&self, shard: &str) {
        self.with(|inner| inner.shards.remove(shard));
    }

    /// The stream is another one under the same name.
    pub(crate) fn make_anew(&self) {
        self.with(|inner| inner.created += 1);
    }

    /// What was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.with(|inner| inner.asked.clone())
    }

    fn admit(&self, request: &'static str) -> Result<(), Failure> {
        let refused = self.with(|inner| match inner.refusals.front() {
            Some((name, _)) if *name == request => inner.refusals.pop_front(),
            _ => None,
        });
        match refused {
            Some((_, cause)) => Err(Failure { cause, error: stage::Error::unavailable(format!("{request} refused")) }),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Client for Fake {
    async fn stream(&self) -> Result<Stream, Failure> {
        self.admit("stream")?;
        Ok(Stream {
            position: "kinesis/1/r/s".to_owned(),
            name: "s".to_owned(),
            created: self.with(|inner| inner.created),
            retention_hours: 24,
            now: Utc::now(),
        })
    }

    async fn shards(&self) -> Result<Vec<Shard>, Failure> {
        self.admit("shards")?;
        let listed = |(id, shard): (&String, &FakeShard)| Shard {
            id: id.clone(),
            parents: shard.parents.clone(),
            is_closed: shard.is_closed,
        };
        Ok(self.with(|inner| inner.shards.iter().map(listed).collect()))
    }

    async fn iterator(&self, shard: &str, place: &Place) -> Result<String, Failure> {
        self.admit("iterator")?;
        self.with(|inner| {
            inner.asked.push(format!("{shard} {place:?}"));
            let records = &inner.shards[shard].records;
            let index = match place {
                Place::After(number) => records.iter().position(|one| one.sequence_number == *number).map(|at| at + 1),
                Place::Since(time) => Some(records.iter().filter(|one| one.arrived < Some(*time)).count()),
                _ => Some(0),
            };
            index.map(|index| format!("{shard}:{index}")).ok_or_else(|| Failure {
                cause: Cause::NoSuchPlace,
                error: stage::Error::data("it did not come from this stream"),
            })
        })
    }

    async fn records(&self, iterator: &str) -> Result<Records, Failure> {
        self.admit("records")?;
        let (shard, index) = iterator.split_once(':').unwrap();
        let index: usize = index.parse().unwrap();
        self.with(|inner| {
            let shard_of = &inner.shards[shard];
            let records: Vec<Record> = shard_of.records.iter().skip(index).take(MOST).cloned().collect();
            let next = index + records.len();
            let is_end = shard_of.is_closed && next == shard_of.records.len();
            let behind_millis = if next == shard_of.records.len() { 0 } else { 60_000 };
            Ok(Records { records, next: (!is_end).then(|| format!("{shard}:{next}")), behind_millis })
        })
    }
}
