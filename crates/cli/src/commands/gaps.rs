//! `medallion gaps <table>`: the days or hours of event time in which a table has no rows.

use std::collections::{BTreeMap, BTreeSet};

use ::stage::{Error, Result, TableName};
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::args::{Every, GapsArguments, OutputFormat};
use crate::output;
use crate::project::{Definition, hint};
use crate::workbench::Workbench;

/// Intervals of one length, half-open, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    from: i64,
    to: i64,
}

/// Lists the gaps between the first and the last row.
pub(super) async fn run(workbench: Workbench, arguments: &GapsArguments, output: OutputFormat) -> Result<u8> {
    let name = workbench.project.table(&arguments.table)?.name.clone();
    let column = column_of(&workbench, &name, arguments.column.as_deref())?;
    let filled = filled(&workbench, &name, &column, arguments.every).await?;
    let length = arguments.every.micros();
    let gaps = gaps(&filled, length);
    let span = filled.first().zip(filled.last()).map(|(first, last)| Gap { from: *first, to: last + length });
    output::print(&match output {
        OutputFormat::Json => as_json(&name, &column, span, &gaps, length),
        _ => listed(&gaps, length, output),
    });
    if let (OutputFormat::Table, Some(span)) = (output, span) {
        output::note(&format!("{name} has rows from {} to {}", at(span.from), at(span.to)));
    }
    Ok(0)
}

/// The column that says when a row happened.
fn column_of(workbench: &Workbench, name: &TableName, given: Option<&str>) -> Result<String> {
    let table = workbench.project.table(&name.to_string())?;
    let declared = match &table.definition {
        Definition::Silver { spec, .. } => spec.event_time.clone(),
        _ => None,
    };
    given.map(str::to_owned).or(declared).ok_or_else(|| {
        Error::config(format!(
            "which column of {name} says when a row happened is not known; name it with --column, or for a silver table \
             write event_time = \"<column>\" in {}",
            table.file
        ))
    })
}

fn is_time(of: &arrow::datatypes::DataType) -> bool {
    use arrow::datatypes::DataType;
    matches!(of, DataType::Timestamp(..) | DataType::Date32)
}

/// The beginnings of the intervals that have rows.
async fn filled(workbench: &Workbench, name: &TableName, column: &str, every: Every) -> Result<BTreeSet<i64>> {
    let table = workbench.lake.open(name).await?;
    let provider = table.provider().await?;
    let schema = table.schema().unwrap_or_else(|| std::sync::Arc::new(arrow::datatypes::Schema::empty()));
    if schema.field_with_name(column).is_err() {
        let hint = hint(column, schema.fields().iter().map(|field| field.name().as_str()));
        return Err(Error::config(format!("there is no column `{column}` in {name}{hint}")));
    }
    if !schema.field_with_name(column).is_ok_and(|field| is_time(field.data_type())) {
        return Err(Error::config(format!("`{column}` of {name} holds no times: name a timestamp or a date")));
    }
    let session = workbench.engine.session(name.pipeline());
    let quoted = format!("\"{}\"", column.replace('"', "\"\""));
    let text = format!(
        "SELECT DISTINCT date_trunc('{}', CAST({quoted} AS TIMESTAMP)) AS begins FROM {name} WHERE {quoted} IS NOT NULL",
        every.name()
    );
    let tables = BTreeMap::from([(name.clone(), provider)]);
    let plan = sql::plan(&session, name.pipeline(), &text, &tables)
        .await
        .map_err(|problem| Error::config(format!("`{column}` of {name} holds no times: {}", problem.message)))?;
    let mut begins = BTreeSet::new();
    for rows in sql::collect(&session, plan).await? {
        let micros = arrow::compute::cast(
            rows.column(0),
            &arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
        );
        let micros = micros.map_err(|error| Error::bug("times have no microseconds").with_source(error))?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        begins.extend((0..micros.len()).filter(|row| micros.is_valid(*row)).map(|row| micros.value(row)));
    }
    Ok(begins)
}

/// The intervals between the first and the last that are missing; those side by side are one.
fn gaps(filled: &BTreeSet<i64>, length: i64) -> Vec<Gap> {
    let next = filled.iter().skip(1);
    let between = filled.iter().zip(next).map(|(one, other)| Gap { from: one + length, to: *other });
    between.filter(|gap| gap.from < gap.to).collect()
}

fn listed(gaps: &[Gap], length: i64, output: OutputFormat) -> String {
    let rows: Vec<Vec<String>> =
        gaps.iter().map(|gap| vec![at(gap.from), at(gap.to), ((gap.to - gap.from) / length).to_string()]).collect();
    let header = ["from", "to", "missing"];
    match output {
        OutputFormat::Csv => output::csv(&header, &rows),
        _ if rows.is_empty() => "no gaps\n".to_owned(),
        _ => output::columns(&header, &rows),
    }
}

fn as_json(name: &TableName, column: &str, span: Option<Gap>, gaps: &[Gap], length: i64) -> String {
    let told = gaps
        .iter()
        .map(|gap| json!({ "from": at(gap.from), "to": at(gap.to), "missing": (gap.to - gap.from) / length }));
    let gaps: Vec<Value> = told.collect();
    let (first, end) = (span.map(|span| at(span.from)), span.map(|span| at(span.to)));
    json!({ "table": name.to_string(), "column": column, "from": first, "to": end, "gaps": gaps }).to_string()
}

fn at(micros: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_between_rows_and_those_side_by_side_are_one() {
        let filled = BTreeSet::from([10, 20, 50, 70]);
        assert_eq!(gaps(&filled, 10), [Gap { from: 30, to: 50 }, Gap { from: 60, to: 70 }]);
        assert!(gaps(&BTreeSet::from([10]), 10).is_empty() && gaps(&BTreeSet::new(), 10).is_empty());
    }
}
