//! The parameters of a run, as its tasks see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use stage::Error;

use crate::reference::{Job, Scope, Template, Trigger, Workspace};

/// The parameters with their own references filled in. One that cannot be keeps its text, and the first reason is told by
/// the tasks.
pub(crate) fn filled(
    parameters: BTreeMap<String, String>,
    job: &Job,
    trigger: &Trigger,
    workspace: &Workspace,
    backfill: Option<DateTime<Utc>>,
) -> (BTreeMap<String, String>, Option<String>) {
    let (none, no_tasks) = (BTreeMap::new(), BTreeMap::new());
    let scope =
        Scope { job, parameters: &none, trigger, workspace, task: None, tasks: &no_tasks, input: None, backfill };
    let mut unfilled = None;
    let fill = |(name, text): (String, String)| {
        let template = Template::parse_parameter(&text).map_err(|problem| Error::config(problem.to_string()));
        match template.and_then(|template| template.fill(&scope)) {
            Ok(value) => (name, value),
            Err(error) => {
                unfilled.get_or_insert(format!("parameter `{name}`: {}", error.message()));
                (name, text)
            }
        }
    };
    let parameters = parameters.into_iter().map(fill).collect();
    (parameters, unfilled)
}
