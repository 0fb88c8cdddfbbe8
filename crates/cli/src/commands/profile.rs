//! `medallion profile <table>`: what the columns of a table hold, as a whole and commit by commit.

use ::stage::{Error, Result};
use chrono::{DateTime, Utc};
use lake::ProfiledColumn;
use quality::profile::history::{self, Told};
use quality::profile::{Profile, number_in_words, propose};
use serde_json::{Value, json};

use crate::args::{OutputFormat, ProfileArguments};
use crate::output::{self, counted, thousands};
use crate::workbench::Workbench;

/// The header of what is told of whole columns.
const WHOLE: [&str; 9] =
    ["column", "type", "nulls", "distinct", "least", "median", "mean", "greatest", "most frequent"];
/// The header of what is told commit by commit.
const BY_VERSION: [&str; 9] = ["column", "version", "at", "rows", "nulls", "distinct", "median", "mean", "drift (PSI)"];
/// Values of a column that are shown.
const FREQUENT: usize = 3;

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
    let newest = told.len().saturating_sub(arguments.versions);
    output::print(&match output {
        OutputFormat::Json => as_json(&name.to_string(), &whole, &told[newest..])?,
        OutputFormat::Csv => output::csv(&BY_VERSION, &by_version(&told, newest)?),
        OutputFormat::Table => {
            let rows = whole.told()?.first().map_or(0, |column| column.rows);
            let commits = counted(told.len() as u64, "profiled commit");
            let head = format!("{name}: {} in {commits}\n\n", counted(rows, "row"));
            let shown = output::columns(&BY_VERSION, &by_version(&told, newest)?);
            head + &output::columns(&WHOLE, &whole_columns(&whole)?) + "\n" + &shown
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
    let rows = whole.told()?.into_iter().map(|column| {
        vec![
            column.column.clone(),
            column.type_name.clone(),
            share(column.nulls, column.rows),
            thousands(column.distinct),
            shortened(column.minimum.as_deref().unwrap_or_default()),
            median(&column),
            mean(&column),
            shortened(column.maximum.as_deref().unwrap_or_default()),
            frequent(&column),
        ]
    });
    Ok(rows.collect())
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

fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) | (_, 0) => "0 %".to_owned(),
        _ => format!("{:.2} %", part as f64 / whole as f64 * 100.0),
    }
}

fn median(column: &ProfiledColumn) -> String {
    column.quantiles.map(|[_, _, median, ..]| rounded(median, &column.type_name)).unwrap_or_default()
}

fn mean(column: &ProfiledColumn) -> String {
    column.mean.map(|mean| rounded(mean, &column.type_name)).unwrap_or_default()
}

/// A number with the digits that matter to people; dates and times to the second.
fn rounded(number: f64, type_name: &str) -> String {
    match type_name {
        "date" => number_in_words(number.round(), type_name),
        "timestamp" | "timestamp_ntz" => number_in_words((number / 1e6).round() * 1e6, type_name),
        _ if number.abs() >= 1000.0 || number.fract() == 0.0 => format!("{number:.0}"),
        _ if number.abs() >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

fn frequent(column: &ProfiledColumn) -> String {
    let top: Vec<Value> = serde_json::from_str(&column.top).unwrap_or_default();
    let told = top.iter().filter(|top| top["count"].as_u64().unwrap_or(0) > 1).take(FREQUENT).map(|top| {
        let count = top["count"].as_u64().unwrap_or(0);
        format!("{} ({})", shortened(top["value"].as_str().unwrap_or_default()), share(count, column.rows))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A text that fits a column, on one line.
fn shortened(text: &str) -> String {
    const MOST: usize = 24;
    let line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    match line.chars().count() > MOST {
        true => line.chars().take(MOST - 1).chain(['…']).collect(),
        false => line,
    }
}

fn at(micros: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().format("%Y-%m-%d %H:%M:%S").to_string()
}
