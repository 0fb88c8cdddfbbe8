//! What a column holds: counts and bounds of all its values, sketches of how they are spread.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use frame::types::type_name;

use super::distinct::Distinct;
use super::frequent::Frequent;
use super::hashing::hash_column;
use super::numbers::Numbers;
use super::quantiles::Quantiles;
use super::sample::Sample;
use super::texts::{Bounds, cut};

/// The profile of one column. Profiles of the same column merge, whatever rows they are of.
#[derive(Debug, Clone)]
pub struct ColumnProfile {
    /// The type, as specs name it.
    pub(crate) type_name: String,
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) numbers: Option<Numbers>,
    /// The least and the greatest value, in words.
    pub(crate) bounds: Option<(String, String)>,
    pub(crate) distinct: Distinct,
    pub(crate) quantiles: Quantiles,
    pub(crate) frequent: Frequent,
}

/// Gathers the profile of one column, batch by batch.
pub(crate) struct ColumnProfiler {
    data_type: DataType,
    texts: Option<Bounds>,
    profile: ColumnProfile,
}

/// Room that all columns use, one after the other.
#[derive(Default)]
pub(crate) struct Room {
    hashes: Vec<u64>,
    numbers: Vec<f64>,
}

impl ColumnProfiler {
    pub(crate) fn new(data_type: &DataType) -> ColumnProfiler {
        ColumnProfiler {
            data_type: data_type.clone(),
            texts: None,
            profile: ColumnProfile::empty(type_name(data_type)),
        }
    }

    pub(crate) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Takes in the column of a batch. `sample` are the rows that quantiles and frequent values are told from.
    pub(crate) fn add(&mut self, column: &ArrayRef, sample: &Sample, room: &mut Room) {
        self.profile.rows += column.len() as u64;
        self.profile.nulls += column.null_count() as u64;
        if column.null_count() == column.len() {
            return;
        }
        if let Some(texts) = column.as_string_view_opt() {
            self.texts = Bounds::widened(self.texts.take(), texts);
        } else if let Some(flags) = column.as_boolean_opt() {
            self.add_flags(flags);
        } else if is_number(&self.data_type) {
            self.add_numbers(column, sample, &mut room.numbers);
        }
        if hash_column(column, &mut room.hashes) {
            self.add_hashes(column, sample, &room.hashes);
        }
    }

    /// What was gathered.
    pub(crate) fn finish(self) -> ColumnProfile {
        let mut profile = self.profile;
        profile.bounds = match (&self.texts, &profile.numbers) {
            (Some(texts), _) => Some(texts.told()),
            (None, Some(numbers)) => {
                let told = |number| number_in_words(number, &profile.type_name);
                Some((told(numbers.minimum), told(numbers.maximum)))
            }
            (None, None) => None,
        };
        profile
    }

    /// Where no row is null its number counts; else only those of the others do.
    fn add_numbers(&mut self, column: &ArrayRef, sample: &Sample, numbers: &mut Vec<f64>) {
        // What does not fit a number is null afterwards and does not count.
        let Ok(cast) = cast_to_numbers(column) else { return };
        let Some(values) = cast.as_primitive_opt::<Float64Type>() else { return };
        let all = values.values();
        let is_whole = values.null_count() == 0 && (!self.data_type.is_floating() || all.iter().all(|n| n.is_finite()));
        let batch = if is_whole {
            Numbers::of(all)
        } else {
            numbers.clear();
            numbers.extend(values.iter().flatten().filter(|number| number.is_finite()));
            Numbers::of(numbers)
        };
        match (&mut self.profile.numbers, batch) {
            (Some(known), Some(batch)) => known.merge(&batch),
            (known, batch) => *known = known.or(batch),
        }
        for row in &sample.rows {
            if is_whole || (values.is_valid(*row) && all[*row].is_finite()) {
                self.profile.quantiles.insert(all[*row], sample.level);
            }
        }
    }

    /// Flags count as 0 and 1, so that the mean is the share of those that are set.
    fn add_flags(&mut self, flags: &BooleanArray) {
        let (set, unset) = (flags.true_count() as f64, flags.false_count() as f64);
        let mean = set / (set + unset);
        let minimum = if unset > 0.0 { 0.0 } else { 1.0 };
        let maximum = if set > 0.0 { 1.0 } else { 0.0 };
        let squares = set * unset / (set + unset);
        let batch = Numbers { count: (set + unset) as u64, mean, squares, minimum, maximum };
        match &mut self.profile.numbers {
            Some(known) => known.merge(&batch),
            None => self.profile.numbers = Some(batch),
        }
    }

    fn add_hashes(&mut self, column: &ArrayRef, sample: &Sample, hashes: &[u64]) {
        let ColumnProfile { distinct, frequent, .. } = &mut self.profile;
        let weight = 1 << sample.level;
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                hashes.iter().for_each(|hash| distinct.insert(*hash));
                sample.rows.iter().for_each(|row| frequent.insert(hashes[*row], *row, weight));
            }
            Some(nulls) => {
                nulls.valid_indices().for_each(|row| distinct.insert(hashes[row]));
                let filled = sample.rows.iter().filter(|row| nulls.is_valid(**row));
                filled.for_each(|row| frequent.insert(hashes[*row], *row, weight));
            }
        }
        frequent.settle(|row| text_of(column, row));
    }
}

impl ColumnProfile {
    pub(crate) fn empty(type_name: String) -> ColumnProfile {
        ColumnProfile {
            type_name,
            rows: 0,
            nulls: 0,
            numbers: None,
            bounds: None,
            distinct: Distinct::default(),
            quantiles: Quantiles::default(),
            frequent: Frequent::default(),
        }
    }

    /// Adds the rows of another profile of the same column.
    pub(crate) fn merge(&mut self, other: &ColumnProfile) {
        if self.type_name != other.type_name {
            // A column that was made anew with another type begins anew.
            *self = other.clone();
            return;
        }
        self.rows += other.rows;
        self.nulls += other.nulls;
        let before = self.numbers;
        match (&mut self.numbers, &other.numbers) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours, theirs) => *ours = ours.or(*theirs),
        }
        self.bounds = match (self.bounds.take(), other.bounds.clone()) {
            (Some(ours), Some(theirs)) => Some(match (before, other.numbers) {
                (Some(left), Some(right)) => (
                    if left.minimum <= right.minimum { ours.0 } else { theirs.0 },
                    if left.maximum >= right.maximum { ours.1 } else { theirs.1 },
                ),
                _ => (ours.0.min(theirs.0), ours.1.max(theirs.1)),
            }),
            (ours, theirs) => ours.or(theirs),
        };
        self.distinct.merge(&other.distinct);
        self.quantiles.merge(&other.quantiles);
        self.frequent.merge(&other.frequent);
    }

    /// Values that are there.
    pub(crate) fn filled(&self) -> u64 {
        self.rows - self.nulls.min(self.rows)
    }

    /// About how many different values there are; never more than there are values.
    pub(crate) fn distinct_values(&self) -> u64 {
        (self.distinct.estimate().round() as u64).min(self.filled())
    }
}

/// Whether the values of a type have a mean and quantiles.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

/// A number in the words of a type: dates and times count days and microseconds since 1970.
pub fn number_in_words(number: f64, type_name: &str) -> String {
    match type_name {
        "date" => {
            let day = chrono::DateTime::from_timestamp(number as i64 * 86_400, 0);
            day.map_or_else(|| number.to_string(), |day| day.format("%Y-%m-%d").to_string())
        }
        "timestamp" | "timestamp_ntz" => {
            let ending = if type_name == "timestamp" { "Z" } else { "" };
            let time = chrono::DateTime::from_timestamp_micros(number as i64);
            time.map_or_else(|| number.to_string(), |time| format!("{}{ending}", time.format("%Y-%m-%dT%H:%M:%S%.f")))
        }
        _ => number.to_string(),
    }
}

fn cast_to_numbers(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match column.data_type() {
        DataType::Float64 => Ok(column.clone()),
        DataType::Date32 => cast(&cast(column, &DataType::Int32)?, &DataType::Float64),
        DataType::Timestamp(..) => cast(&cast(column, &DataType::Int64)?, &DataType::Float64),
        _ => cast(column, &DataType::Float64),
    }
}

fn text_of(column: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default();
    match ArrayFormatter::try_new(column.as_ref(), &options) {
        Ok(formatter) => cut(&formatter.value(row).to_string()),
        Err(_) => String::new(),
    }
}
