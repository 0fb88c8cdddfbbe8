//! Profiles: what the columns of a table hold, told while the rows stream by.
//!
//! Every part of a profile merges: those of the workers of a batch into one, those of the commits of a table into one of
//! the whole table. So a profile costs one pass over rows that are in the cache anyway, and none over those at rest.

pub mod history;
pub mod propose;
pub mod shown;
pub mod spec;

mod column;
mod distinct;
mod drift;
mod frequent;
mod hashing;
mod numbers;
mod quantiles;
mod sample;
mod texts;
mod told;

use arrow::array::RecordBatch;
use indexmap::IndexMap;

pub use self::column::{ColumnProfile, number_in_words};
use self::column::{ColumnProfiler, Room};
pub use self::drift::Drift;
use self::sample::Sample;
use self::spec::ProfileSpec;

/// The profile of rows: one of each column, in the order of the columns.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub(crate) columns: IndexMap<String, ColumnProfile>,
}

/// Gathers the profile of the rows of one worker.
pub(crate) struct Profiler {
    spec: ProfileSpec,
    columns: IndexMap<String, ColumnProfiler>,
    /// What was gathered of columns that have another type by now.
    before: Profile,
    sample: Sample,
    room: Room,
}

impl Profile {
    /// Adds the rows of another profile. Columns that were not there yet are appended.
    pub fn merge(&mut self, other: &Profile) {
        for (name, column) in &other.columns {
            match self.columns.get_mut(name) {
                Some(known) => known.merge(column),
                None => {
                    self.columns.insert(name.clone(), column.clone());
                }
            }
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.columns.values().all(|column| column.rows == 0)
    }

    /// Leaves out all other columns.
    pub fn keep(&mut self, columns: &[String]) {
        self.columns.retain(|name, _| columns.contains(name));
    }

    /// The columns with their profiles.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &ColumnProfile)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column))
    }

    /// The profile of one column.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.get(name)
    }
}

impl Profiler {
    pub(crate) fn new(spec: &ProfileSpec) -> Profiler {
        Profiler {
            spec: spec.clone(),
            columns: IndexMap::new(),
            before: Profile::default(),
            sample: Sample::default(),
            room: Room::default(),
        }
    }

    /// Takes in the rows of a batch.
    pub(crate) fn add(&mut self, rows: &RecordBatch) {
        self.sample.choose(rows.num_rows());
        let schema = rows.schema();
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            if !self.spec.covers(field.name()) {
                continue;
            }
            let known = self.columns.get(field.name()).is_some_and(|known| known.data_type() == field.data_type());
            if !known
                && let Some(other) = self.columns.insert(field.name().clone(), ColumnProfiler::new(field.data_type()))
            {
                let other = Profile { columns: [(field.name().clone(), other.finish())].into_iter().collect() };
                self.before.merge(&other);
            }
            if let Some(profiler) = self.columns.get_mut(field.name()) {
                profiler.add(column, &self.sample, &mut self.room);
            }
        }
    }

    /// What was gathered.
    pub(crate) fn finish(self) -> Profile {
        let mut profile = self.before;
        let columns = self.columns.into_iter().map(|(name, profiler)| (name, profiler.finish()));
        profile.merge(&Profile { columns: columns.collect() });
        profile
    }
}

#[cfg(test)]
mod tests;
