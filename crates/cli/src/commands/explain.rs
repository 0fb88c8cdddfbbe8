//! `medallion show <table> --explain`: how a table was last brought up to date, why so, and what the next run would do.

use ::stage::{Context, Result};
use gold::Outlook;
use lake::{Considered, Record};
use serde_json::json;

use crate::args::OutputFormat;
use crate::output::{self, counted, thousands};
use crate::project::Table;
use crate::workbench::Workbench;

/// The explanation of one table.
pub(super) async fn explain(workbench: &Workbench, table: &Table, output: OutputFormat) -> Result<String> {
    let opened = workbench.lake.open(&table.name).await?;
    let last = opened.record();
    let gold = workbench.gold(table).filter(|_| !table.is_view());
    let next = match &gold {
        Some(gold) => gold.foresee(&Context::new("explain")).await?,
        None => None,
    };
    if output == OutputFormat::Json {
        let last = last.map(|(version, record)| {
            json!({
                "version": version, "action": record.action, "reason": record.reason, "run": record.run,
                "rows_changed": record.rows_changed, "milliseconds": record.milliseconds,
                "considered": record.considered, "reads": record.reads,
            })
        });
        let next = next.map(
            |next| json!({ "reason": next.reason, "rows_changed": next.rows_changed, "considered": next.considered }),
        );
        return Ok(json!({ "table": table.name.to_string(), "last": last, "next": next }).to_string());
    }
    let mut text = format!("{}\n", table.name);
    text.push_str(&match last {
        Some((version, record)) => last_run(*version, record),
        None if table.is_view() => "a saved query: it runs each time it is asked\n".to_owned(),
        None => "the table does not exist yet\n".to_owned(),
    });
    if gold.is_some() {
        text.push_str(&next_run(next.as_ref()));
    }
    Ok(text)
}

fn last_run(version: u64, record: &Record) -> String {
    let took = match record.milliseconds {
        0 => String::new(),
        milliseconds => format!(" in {} ms", thousands(milliseconds)),
    };
    let changed = match record.rows_changed {
        0 => String::new(),
        rows => format!("{} changed upstream: ", counted(rows, "row")),
    };
    let told = format!("\nversion {version} by `{}`{took}\n{changed}{}\n", record.action, record.reason);
    told + &techniques(&record.considered, "taken")
}

fn next_run(next: Option<&Outlook>) -> String {
    let Some(next) = next else { return "\nthe next run has nothing to do\n".to_owned() };
    let changed = counted(next.rows_changed, "row");
    let told = format!("\nthe next run: {changed} changed upstream: {}\n", next.reason);
    told + &techniques(&next.considered, "would be taken")
}

/// A line for each technique; `first` is said of the first that is possible.
fn techniques(considered: &[Considered], first: &str) -> String {
    if considered.is_empty() {
        return String::new();
    }
    let rows = considered.iter().enumerate().map(|(place, one)| {
        let why = match (&one.refusal, &one.code) {
            (Some(refusal), Some(code)) => format!("not possible [{code}]: {refusal}"),
            _ if place == 0 => first.to_owned(),
            _ => "takes longer".to_owned(),
        };
        let about = |number: Option<u64>, unit: &str| {
            number.map_or(String::new(), |number| format!("~{}{unit}", thousands(number)))
        };
        vec![one.technique.clone(), about(one.rows, ""), about(one.milliseconds, " ms"), why]
    });
    output::columns(&["technique", "rows read", "time", ""], &rows.collect::<Vec<_>>())
}
