//! `medallion profile <table>`: what the columns of a table hold, as a whole and commit by commit.

use ::stage::{Error, Result};
use chrono::{DateTime, Utc};
use lake::ProfiledColumn;
use quality::profile::history::{self, Told};
use quality::profile::shown::{HEADER, mean, median, share, shown};
use quality::profile::{Profile, propose};
use serde_json::{Value, json};

use crate::args::{OutputFormat, ProfileArguments};
use crate::output::{self, counted, thousands};
use crate::workbench::Workbench;

/// The header of what is told commit by commit.
const BY_VERSION: [&str; 9] = ["column", "version", "at", "rows", "nulls", "distinct", "median", "mean", "drift (PSI)"];

/// Shows the profile, or proposes expectations from it.
pub(super) async fn run(workbench: Workbench, arguments: &ProfileArguments, output: OutputFormat) -> Result<u8> {
    let name = workbench.project.table(&arguments.table)?.name.clone();
    let table = workbench.lake.open(&name).await?;
    let told = history::read(&workbench.lake, &workbench.engine, &table, None).await?;
    if told.is_empty() {
        return Err(Error::data(format!(
            "{name} has no profile yet; it is made when rows are written, unless its spec says `profile = false`"
        )));
    }
    let told = of_columns(told, &arguments.columns)?;
    let whole = history::whole(&told);
    if arguments.propose {
        output::print(&propose::propose(&whole));
        return Ok(0);
    }
    let newest = told.len().saturating_sub(arguments.limit);
    output::print(&match output {
        OutputFormat::Json => as_json(&name.to_string(), &whole, &told[newest..])?,
        OutputFormat::Csv => output::csv(&BY_VERSION, &by_version(&told, newest)?),
        OutputFormat::Table => {
            let rows = whole.told()?.first().map_or(0, |column| column.rows);
            let commits = counted(told.len() as u64, "profiled commit");
            let head = format!("{name}: {} in {commits}\n\n", counted(rows, "row"));
            let shown = output::columns(&BY_VERSION, &by_version(&told, newest)?);
            head + &output::columns(&HEADER, &whole_columns(&whole)?) + "\n" + &shown
        }
    });
    Ok(0)
}

/// The profiles without other columns.
fn of_columns(mut told: Vec<Told>, columns: &[String]) -> Result<Vec<Told>> {
    if columns.is_empty() {
        return Ok(told);
    }
    let whole = history::whole(&told);
    if let Some(unknown) = columns.iter().find(|name| whole.column(name).is_none()) {
        let known: Vec<&str> = whole.columns().map(|(name, _)| name).collect();
        return Err(Error::config(format!(
            "there is no profile of a column `{unknown}`; there is of {}",
            known.join(", ")
        )));
    }
    told.iter_mut().for_each(|told| told.profile.keep(columns));
    Ok(told)
}

fn whole_columns(whole: &Profile) -> Result<Vec<Vec<String>>> {
    Ok(whole.told()?.iter().map(shown).collect())
}

/// Column by column, the versions from `newest` on, each with how far it lies from all before it.
fn by_version(told: &[Told], newest: usize) -> Result<Vec<Vec<String>>> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (index, one) in told.iter().enumerate().skip(newest) {
        let before = history::whole(&told[..index]);
        for column in one.profile.told()? {
            let now = one.profile.column(&column.column);
            let drift = now.zip(before.column(&column.column)).and_then(|(now, before)| now.drift_from(before));
            let row = vec![
                column.column.clone(),
                one.version.to_string(),
                at(one.at),
                thousands(column.rows),
                share(column.nulls, column.rows),
                thousands(column.distinct),
                median(&column),
                mean(&column),
                drift.map(|drift| format!("{:.3}", drift.psi)).unwrap_or_default(),
            ];
            rows.push((column.column, row));
        }
    }
    let whole = history::whole(told);
    let place = |name: &str| whole.columns().position(|(column, _)| column == name);
    rows.sort_by_key(|(column, _)| place(column));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn as_json(table: &str, whole: &Profile, told: &[Told]) -> Result<String> {
    let columns =
        |profile: &Profile| -> Result<Vec<Value>> { Ok(profile.told()?.iter().map(column_as_json).collect()) };
    let mut versions = Vec::new();
    for one in told {
        let columns = columns(&one.profile)?;
        let at = DateTime::<Utc>::from_timestamp_micros(one.at).map(|at| at.to_rfc3339());
        versions
            .push(json!({ "version": one.version, "at": at, "replaces_all": one.replaces_all, "columns": columns }));
    }
    Ok(json!({ "table": table, "columns": columns(whole)?, "versions": versions }).to_string())
}

fn column_as_json(column: &ProfiledColumn) -> Value {
    let top: Value = serde_json::from_str(&column.top).unwrap_or_default();
    json!({
        "column": column.column, "type": column.type_name, "rows": column.rows, "nulls": column.nulls,
        "distinct": column.distinct, "minimum": column.minimum, "maximum": column.maximum, "mean": column.mean,
        "deviation": column.deviation, "quantiles": column.quantiles, "top": top,
    })
}

fn at(micros: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().format("%Y-%m-%d %H:%M:%S").to_string()
}
