//! Realistic test data, the same for the same seed.
//!
//! [`experiments`] makes feature-flag events and conversions, [`behavior`] a shop with customers, products and events,
//! and [`LiveEvents`] the events of that shop one after the other as they happen, for which a [`TokenBucket`] keeps the pace.
//! Every row is a function of seed and row number, so the data is the same on every machine, whatever is asked beside
//! it; files are streamed, so memory does not grow with the rows. Shares of bad, repeated and late rows are adjustable,
//! and the [`Summary`] says exactly how many there were, so that a test can account for every row.

mod behavior;
mod chance;
mod clock;
mod disorder;
mod experiments;
mod line;
mod live;
mod output;
mod pace;
mod shop;
#[cfg(test)]
mod testing;
mod text;
mod visit;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

pub use behavior::{BehaviorOptions, behavior};
pub use disorder::Disorder;
pub use experiments::{ExperimentsOptions, experiments};
pub use live::{LiveEvent, LiveEvents, LiveOptions};
pub use pace::TokenBucket;

use disorder::Fate;
use output::Written;

/// Where time begins unless the options say otherwise: 1 January 2024.
const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2024, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

/// What was generated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Event lines, bad and repeated ones included.
    pub rows: u64,
    /// Events that no silver table should take, truncated lines included.
    pub bad: u64,
    /// Of the bad ones, lines that end before their object does: they do not parse.
    pub truncated: u64,
    /// Events that repeat the key of an earlier good event.
    pub duplicates: u64,
    /// Events that are older than the hour folder they lie in.
    pub late: u64,
    /// Events that carry the attribute that appears midway.
    pub new_attribute: u64,
    /// Files written.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Rows by landing folder, relative to the folder that was given.
    pub tables: BTreeMap<String, u64>,
}

impl Summary {
    fn add(&mut self, written: Written) {
        self.files += written.files;
        self.bytes += written.bytes;
    }

    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Plain => {}
            Fate::Bad(_) => self.bad += 1,
            Fate::Duplicate(_) => self.duplicates += 1,
            Fate::Late(_) => self.late += 1,
        }
    }
}
