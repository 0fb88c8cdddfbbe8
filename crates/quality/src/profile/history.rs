//! The profiles that the commits of a table told, read from `system.profiles` and merged.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use lake::{Lake, ProfiledColumn, Table};
use stage::{Error, Result};

use super::Profile;

/// The profile of the rows of one commit, or of several that follow each other.
#[derive(Debug, Clone)]
pub struct Told {
    /// The version.
    pub version: i64,
    /// When it was committed, in microseconds since 1970.
    pub at: i64,
    /// Whether the commit replaced all rows.
    pub replaces_all: bool,
    /// What its rows hold.
    pub profile: Profile,
}

/// The profiles of a table, oldest first. Commits that were not profiled, such as those of a stream in between, are not
/// among them. With `column`, of that one alone.
///
/// # Errors
/// When the storage fails, or [`stage::Kind::Data`] when a profile cannot be read.
pub async fn read(lake: &Lake, engine: &sql::Engine, table: &Table, column: Option<&str>) -> Result<Vec<Told>> {
    let profiles = lake.open(&table.name().system("profiles")).await?;
    if profiles.version().is_none() || profiles.files().await?.is_empty() {
        return Ok(Vec::new());
    }
    let (name, id) = (table.name().to_string(), table.id().unwrap_or_default());
    let mut equal = vec![("table", name.as_str()), ("table_id", id.as_str())];
    equal.extend(column.map(|column| ("column", column)));
    let texts = ["column", "type", "minimum", "maximum", "sketch"];
    let numbers = ["version", "rows", "nulls", "replaces_all", "ordinal"];
    let columns: Vec<&str> = texts.into_iter().chain(numbers).chain(["at"]).collect();
    let mut found = Vec::new();
    for batch in sql::select(engine, profiles.provider().await?, &equal, &columns).await? {
        for row in 0..batch.num_rows() {
            found.push(row_of(&batch, row)?);
        }
    }
    // Files are read in any order.
    found.sort_by_key(|row| (row.version, row.ordinal));
    let mut told: Vec<Told> = Vec::new();
    for row in found {
        let profile = Profile::of_told([row.column])?;
        match told.last_mut().filter(|last| last.version == row.version) {
            Some(last) => last.profile.merge(&profile),
            None => told.push(Told { version: row.version, at: row.at, replaces_all: row.replaces_all, profile }),
        }
    }
    Ok(told)
}

/// The profile of all rows that these commits wrote, from the last one on that replaced them all.
pub fn whole(told: &[Told]) -> Profile {
    let first = told.iter().rposition(|told| told.replaces_all).unwrap_or(0);
    let mut whole = Profile::default();
    told.iter().skip(first).for_each(|told| whole.merge(&told.profile));
    whole
}

struct Row {
    version: i64,
    ordinal: i64,
    at: i64,
    replaces_all: bool,
    column: ProfiledColumn,
}

/// One row of `system.profiles`; figures that follow from the sketches are left out.
fn row_of(batch: &RecordBatch, row: usize) -> Result<Row> {
    let gone = |name: &str| Error::data(format!("system.profiles has no column `{name}` of the type it should have"));
    let text = |name: &str| -> Result<Option<String>> {
        let column = batch.column_by_name(name).and_then(|column| column.as_string_view_opt());
        let column = column.ok_or_else(|| gone(name))?;
        Ok(arrow::array::Array::is_valid(column, row).then(|| column.value(row).to_owned()))
    };
    let number = |name: &str| -> Result<i64> {
        let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
        Ok(column.ok_or_else(|| gone(name))?.value(row))
    };
    let at =
        batch.column_by_name("at").and_then(|at| at.as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>());
    Ok(Row {
        version: number("version")?,
        ordinal: number("ordinal")?,
        at: at.ok_or_else(|| gone("at"))?.value(row),
        replaces_all: number("replaces_all")? != 0,
        column: ProfiledColumn {
            column: text("column")?.unwrap_or_default(),
            type_name: text("type")?.unwrap_or_default(),
            rows: number("rows")?.unsigned_abs(),
            nulls: number("nulls")?.unsigned_abs(),
            minimum: text("minimum")?,
            maximum: text("maximum")?,
            sketch: text("sketch")?.unwrap_or_default(),
            ..ProfiledColumn::default()
        },
    })
}
