//! Profiles as commits tell them: figures that people can query, and the sketches that let profiles merge later.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lake::ProfiledColumn;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use super::Profile;
use super::column::ColumnProfile;
use super::distinct::Distinct;
use super::frequent::Frequent;
use super::numbers::Numbers;
use super::quantiles::Quantiles;

/// The shares of the quantiles that are told.
const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// The most frequent values that are told in words.
const TOLD_VALUES: usize = 10;
/// Values rarer than one in so many are not kept.
const RAREST_KEPT: u64 = 100;

/// The sketches of a column as they are written.
#[derive(Serialize, Deserialize)]
struct Sketch {
    #[serde(default)]
    numbers: Option<Numbers>,
    distinct: String,
    quantiles: String,
    frequent: Vec<(u64, u64, String)>,
}

/// A most frequent value as it is told.
#[derive(Serialize)]
struct Top<'a> {
    value: &'a str,
    count: u64,
}

impl Profile {
    /// The profile as a commit tells it.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when it cannot be written.
    pub fn told(&self) -> Result<Vec<ProfiledColumn>> {
        self.columns.iter().map(|(name, column)| told(name, column)).collect()
    }

    /// The profile that commits told.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when a sketch cannot be read.
    pub fn of_told(columns: impl IntoIterator<Item = ProfiledColumn>) -> Result<Profile> {
        let mut profile = Profile::default();
        for column in columns {
            let name = column.column.clone();
            profile.merge(&Profile { columns: [(name, read(column)?)].into_iter().collect() });
        }
        Ok(profile)
    }
}

fn told(name: &str, column: &ColumnProfile) -> Result<ProfiledColumn> {
    let failed = |error| Error::bug(format!("could not write the profile of `{name}`")).with_source(error);
    let values = column.frequent.values();
    let top: Vec<Top<'_>> =
        values.iter().take(TOLD_VALUES).map(|(value, count)| Top { value, count: *count }).collect();
    let least = (column.filled() / RAREST_KEPT).max(1);
    let sketch = Sketch {
        numbers: column.numbers,
        distinct: STANDARD.encode(column.distinct.to_bytes()),
        quantiles: STANDARD.encode(column.quantiles.to_bytes()),
        frequent: column.frequent.to_parts().into_iter().filter(|(_, count, _)| *count >= least).collect(),
    };
    let (minimum, maximum) = column.bounds.clone().unzip();
    Ok(ProfiledColumn {
        column: name.to_owned(),
        type_name: column.type_name.clone(),
        rows: column.rows,
        nulls: column.nulls,
        distinct: column.distinct_values(),
        minimum,
        maximum,
        mean: column.numbers.map(|numbers| numbers.mean),
        deviation: column.numbers.map(|numbers| numbers.deviation()),
        quantiles: column.quantiles.at(SHARES),
        top: serde_json::to_string(&top).map_err(failed)?,
        sketch: serde_json::to_string(&sketch).map_err(failed)?,
    })
}

fn read(told: ProfiledColumn) -> Result<ColumnProfile> {
    let unreadable = || Error::data(format!("the stored profile of `{}` cannot be read", told.column));
    let sketch: Sketch = serde_json::from_str(&told.sketch).map_err(|error| unreadable().with_source(error))?;
    let bytes = |text: &str| STANDARD.decode(text).map_err(|error| unreadable().with_source(error));
    Ok(ColumnProfile {
        distinct: Distinct::from_bytes(&bytes(&sketch.distinct)?).ok_or_else(unreadable)?,
        quantiles: Quantiles::from_bytes(&bytes(&sketch.quantiles)?).ok_or_else(unreadable)?,
        frequent: Frequent::from_parts(sketch.frequent),
        numbers: sketch.numbers,
        bounds: told.minimum.clone().zip(told.maximum.clone()),
        rows: told.rows,
        nulls: told.nulls,
        type_name: told.type_name,
    })
}
