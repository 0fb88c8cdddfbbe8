//! `medallion check`: every problem of the project at once, offline.

use std::collections::BTreeMap;

use ::stage::{Kind, Result};
use serde_json::json;

use crate::args::{OutputFormat, ProjectArguments};
use crate::output::{self, counted};
use crate::project::Finding;

/// Reads and checks the project.
pub(super) async fn run(project: &ProjectArguments, output: OutputFormat) -> Result<u8> {
    let (project, mut findings) = super::load(project)?;
    if let Some(project) = &project {
        findings.extend(project.test_findings.iter().cloned());
        findings.extend(project.check(&BTreeMap::new()).await?);
    }
    findings.sort();
    findings.dedup();
    let notes = project.as_ref().map(|project| project.notes.as_slice()).unwrap_or_default();
    if super::is_for_programs(output) {
        output::print(&as_json(&findings, notes));
    } else {
        for finding in &findings {
            output::print(&finding.to_string());
        }
        for note in notes {
            output::print(&format!("note: {note}"));
        }
        output::note(&match (&project, findings.len()) {
            (Some(project), 0) => {
                let (tables, workflows) = (project.tables.len() as u64, project.workflows.len() as u64);
                format!("{} and {}, nothing wrong", counted(tables, "table"), counted(workflows, "workflow"))
            }
            (_, count) => counted(count as u64, "problem"),
        });
    }
    Ok(if findings.is_empty() { 0 } else { Kind::Config.exit_code() })
}

/// Notes stand behind the problems, and keep nothing from running.
fn as_json(findings: &[Finding], notes: &[Finding]) -> String {
    let object = |level: &'static str| {
        move |finding: &Finding| {
            let Finding { file, line, column, message } = finding;
            json!({ "level": level, "file": file, "line": line, "column": column, "message": message })
        }
    };
    let objects = findings.iter().map(object("error")).chain(notes.iter().map(object("note")));
    serde_json::Value::from(objects.collect::<Vec<_>>()).to_string()
}
