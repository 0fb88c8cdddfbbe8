//! `medallion run <workflow> --from .. --to ..`: which interval is meant, and whether its tables can be made anew in it.

use std::collections::BTreeSet;

use ::stage::{Error, Interval, Result, TableName};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use silver::spec::WriteSpec;

use crate::args::RunArguments;
use crate::output;
use crate::project::{Definition, Project, Table};

/// The interval of event time that a run is asked for.
pub(super) fn asked(arguments: &RunArguments) -> Result<Option<Interval>> {
    let Some(to) = &arguments.to else {
        return match arguments.from.first().filter(|from| time(from).is_ok()) {
            Some(from) => Err(Error::config(format!("--from {from} begins an interval; say where it ends with --to"))),
            None => Ok(None),
        };
    };
    let [from] = arguments.from.as_slice() else {
        return Err(Error::config("--to ends an interval; say where it begins with --from"));
    };
    let interval = Interval { from: time(from)?, to: time(to)? };
    match interval.from < interval.to {
        true => Ok(Some(interval)),
        false => {
            Err(Error::config(format!("the interval from {from} to {to} is empty; --to is the first time behind it")))
        }
    }
}

/// A date or a time; without a zone it is UTC.
fn time(text: &str) -> Result<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let naive = naive.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let expected = || {
        Error::config(format!(
            "expected a date such as 2024-01-31, or a time such as 2024-01-31T08:00:00Z, found `{text}`"
        ))
    };
    naive.or_else(date).map(|time| time.and_utc()).ok_or_else(expected)
}

/// Refuses a run over an interval that some tables cannot follow, and says which are only brought up to date.
pub(super) fn check(project: &Project, tables: &BTreeSet<TableName>) -> Result<()> {
    let mut problems = Vec::new();
    for table in tables.iter().filter_map(|name| project.tables.get(name)) {
        let Definition::Silver { spec, .. } = &table.definition else { continue };
        match &spec.write {
            WriteSpec::Append | WriteSpec::UniqueKey(_) => {
                problems.extend(problem(project, table, spec.event_time.is_some()))
            }
            _ => output::note(&format!(
                "{} is brought up to date as a whole: what its rows are depends on all of {}, not on an interval",
                table.name, spec.from
            )),
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::config(problems.join("; "))),
    }
}

fn problem(project: &Project, table: &Table, has_event_time: bool) -> Option<String> {
    let name = &table.name;
    if !has_event_time {
        return Some(format!(
            "{name} does not say when its rows happened; write event_time = \"<column>\" in {}, a timestamp or date of the table",
            table.file
        ));
    }
    let follows = |other: &&Table| match &other.definition {
        Definition::Silver { spec, from, .. } => from == name && spec.write != WriteSpec::Overwrite,
        _ => false,
    };
    project.tables.values().find(follows).map(|other| {
        format!(
            "rows of {name} cannot be replaced, because {} reads it incrementally; rebuild both with --full-refresh",
            other.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(from: &[&str], to: Option<&str>) -> RunArguments {
        let from = from.iter().map(|text| (*text).to_owned()).collect();
        let to = to.map(str::to_owned);
        RunArguments {
            workflow: "w".into(),
            only: Vec::new(),
            from,
            to,
            full_refresh: false,
            parameters: Vec::new(),
            dry_run: false,
        }
    }

    #[test]
    fn an_interval_has_two_ends_in_order() {
        let interval = asked(&arguments(&["2024-01-01"], Some("2024-02-01T12:00:00+01:00"))).unwrap().unwrap();
        assert_eq!(interval.to.to_rfc3339(), "2024-02-01T11:00:00+00:00");
        assert!(asked(&arguments(&["a", "b"], None)).unwrap().is_none());
        for (from, to) in [
            (vec!["2024-01-01"], None),
            (vec![], Some("2024-01-01")),
            (vec!["2024-01-02"], Some("2024-01-01")),
            (vec!["a"], Some("2024-01-01")),
        ] {
            assert!(asked(&arguments(&from, to)).is_err(), "{from:?} {to:?}");
        }
    }
}
