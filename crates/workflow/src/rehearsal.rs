//! What a run would do, without doing any of it: the tasks in their order, with every reference filled in whose value is
//! known before the run.
//!
//! Not known are the number of the run, what tasks leave for others, and the items of loops; such references stay as they
//! are written and are listed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use stage::{Context, Error, Result};

use crate::cause::{Cause, CauseKind};
use crate::check::MOST_LEVELS;
use crate::condition::holds;
use crate::definition::{Body, Task, Work, Workflow};
use crate::reference::{CurrentTask, Job, JobField, Legacy, Reference, Scope, TaskField, Template, Workspace};
use crate::request::Request;
use crate::workshop::Workshop;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsal {
    /// The workflow.
    pub workflow: String,
    /// The parameters of the run, with their references filled in.
    pub parameters: BTreeMap<String, String>,
    /// How long the run may take.
    pub timeout_seconds: Option<f64>,
    /// The most tasks that run at the same time.
    pub max_parallel_tasks: usize,
    /// The tasks, each after those it depends on.
    pub tasks: Vec<RehearsedTask>,
}

/// What a task would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RehearsedTask {
    /// The task.
    pub task_key: String,
    /// The tasks it waits for.
    pub depends_on: Vec<RehearsedDependency>,
    /// How those must have ended, by its name in Jobs JSON.
    pub run_if: Value,
    /// Why it is left out, when it certainly is.
    pub left_out: Option<&'static str>,
    /// What it does, in words.
    pub does: String,
    /// Whether its condition holds, as far as that is known.
    pub holds: Option<bool>,
    /// What it works with.
    pub body: Value,
    /// The tables it brings forward.
    pub writes: Vec<String>,
    /// The tables it reads besides.
    pub reads: Vec<String>,
    /// References that get their values while the run goes on.
    pub later: Vec<String>,
    /// How often it is tried again; `None` is forever.
    pub max_retries: Option<u32>,
    /// The least time from the start of an attempt to that of the next.
    pub min_retry_interval_millis: u64,
    /// Whether it is tried again after running out of time.
    pub retry_on_timeout: bool,
    /// How long an attempt may take.
    pub timeout_seconds: Option<f64>,
    /// The task that is run for each item.
    pub task: Option<Box<RehearsedTask>>,
    /// The run of another workflow.
    pub run: Option<Box<Rehearsal>>,
}

/// A task that is waited for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RehearsedDependency {
    /// The task.
    pub task_key: String,
    /// The outcome it must have, when it is a condition.
    pub outcome: Option<bool>,
}

/// The tables that a work writes, and those that it reads besides.
pub type Tables<'a> = &'a dyn Fn(&Work) -> (Vec<String>, Vec<String>);

/// Says what [`crate::run`] would do. Nothing is recorded and no number is taken.
///
/// # Errors
/// [`stage::Kind::Config`] as [`crate::run`] has them before it begins, and for a parameter that cannot be filled in.
pub fn rehearse(
    context: &Context,
    workflow: &Workflow,
    request: &Request,
    workspace: &Workspace,
    workshop: &dyn Workshop,
    tables: Tables<'_>,
) -> Result<Rehearsal> {
    let stage = Stage { workspace, workshop, tables, backfill: request.backfill, now: context.now() };
    let selected = request.selection.resolve(workflow)?;
    stage.run(workflow, &selected, &context.parameters, &request.cause, 1)
}

/// What all runs of a rehearsal share.
struct Stage<'a> {
    workspace: &'a Workspace,
    workshop: &'a dyn Workshop,
    tables: Tables<'a>,
    backfill: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Stage<'_> {
    fn run(
        &self,
        workflow: &Workflow,
        selected: &BTreeSet<usize>,
        given: &BTreeMap<String, String>,
        cause: &Cause,
        level: usize,
    ) -> Result<Rehearsal> {
        let name = workflow.name().to_owned();
        let job = Job { id: name.clone(), name: name.clone(), run_id: 0, repair_count: 0, started: self.now };
        let (none, trigger, tasks) = (BTreeMap::new(), cause.trigger(self.now), BTreeMap::new());
        let empty = Scope {
            job: &job,
            parameters: &none,
            trigger: &trigger,
            workspace: self.workspace,
            task: None,
            tasks: &tasks,
            input: None,
            backfill: self.backfill,
        };
        let mut parameters = BTreeMap::new();
        for (name, text) in workflow.parameters_with(given)? {
            // What a task of another run hands over may hold references that are known later only.
            let filled = Template::parse_parameter(&text).map_or(text, |template| known(&template, &empty).0);
            parameters.insert(name, filled);
        }
        let scope = Scope { parameters: &parameters, ..empty };
        let order = workflow.dag().levels().concat();
        let tasks = order.into_iter().map(|index| self.task(workflow, index, selected, &scope, level));
        Ok(Rehearsal {
            workflow: name,
            timeout_seconds: workflow.timeout().map(|timeout| timeout.as_secs_f64()),
            max_parallel_tasks: workflow.max_parallel_tasks(),
            tasks: tasks.collect::<Result<_>>()?,
            parameters: parameters.clone(),
        })
    }

    fn task(
        &self,
        workflow: &Workflow,
        index: usize,
        selected: &BTreeSet<usize>,
        scope: &Scope<'_>,
        level: usize,
    ) -> Result<RehearsedTask> {
        let task = &workflow.tasks()[index];
        let dependencies = workflow.dag().dependencies(index).iter().map(|dependency| RehearsedDependency {
            task_key: workflow.tasks()[*dependency].key().to_owned(),
            outcome: task.outcome_of(*dependency),
        });
        let left_out = match (selected.contains(&index), task.is_disabled()) {
            (false, _) => Some("not selected"),
            (true, true) => Some("disabled"),
            (true, false) => None,
        };
        Ok(RehearsedTask { depends_on: dependencies.collect(), left_out, ..self.body(task, scope, level)? })
    }

    /// The task by itself.
    fn body(&self, task: &Task, scope: &Scope<'_>, level: usize) -> Result<RehearsedTask> {
        let current = self.current(task);
        let scope = &Scope { task: Some(&current), ..*scope };
        let mut later = BTreeSet::new();
        let mut fill = |template: &Template| {
            let (text, unknown) = known(template, scope);
            later.extend(unknown);
            text
        };
        let (mut holding, mut inner, mut run) = (None, None, None);
        let mut tables = (Vec::new(), Vec::new());
        let (does, body) = match task.body() {
            Body::Work(work) => {
                tables = (self.tables)(work);
                (work.to_string(), described(work, scope.parameters))
            }
            Body::Referring(referring) => match referring.fill_by(&mut fill) {
                Ok(work) => {
                    tables = (self.tables)(&work);
                    (work.to_string(), described(&work, scope.parameters))
                }
                // The name of a table, for example, that is not known yet.
                Err(_) => (task.body().to_string(), Value::Null),
            },
            Body::Condition { operator, left, right } => {
                let (left, right) = (fill(left), fill(right));
                if later.is_empty() {
                    holding = holds(*operator, &left, &right).ok();
                }
                let does = format!("if {left} {} {right}", operator.name());
                (does, json!({"op": operator.name(), "left": left, "right": right}))
            }
            Body::ForEach { inputs, concurrency, task } => {
                let inputs = fill(inputs);
                let each = self.body(task, scope, level)?;
                let does = format!("for each of {inputs}");
                inner = Some(Box::new(each));
                (does, json!({"inputs": inputs, "concurrency": concurrency}))
            }
            Body::RunJob { workflow, parameters } => {
                let filled: BTreeMap<String, String> =
                    parameters.iter().map(|(name, template)| (name.clone(), fill(template))).collect();
                run = Some(Box::new(self.nested(workflow, &filled, level)?));
                (format!("workflow {workflow}"), json!({"workflow": workflow, "parameters": filled}))
            }
        };
        let later = later.into_iter().collect();
        let (writes, reads) = tables;
        Ok(RehearsedTask { does, holds: holding, body, writes, reads, later, task: inner, run, ..limits(task) })
    }

    fn current(&self, task: &Task) -> CurrentTask {
        CurrentTask {
            name: task.key().to_owned(),
            run_id: String::new(),
            execution_count: 1,
            retry_count: 0,
            started: self.now,
        }
    }

    fn nested(&self, name: &str, parameters: &BTreeMap<String, String>, level: usize) -> Result<Rehearsal> {
        if level >= MOST_LEVELS {
            let message = format!("at most {MOST_LEVELS} workflows may be nested, and `{name}` would be one more");
            return Err(Error::config(message));
        }
        let workflow = self.workshop.workflow(name)?;
        let all = (0..workflow.tasks().len()).collect();
        self.run(&workflow, &all, parameters, &Cause::new(CauseKind::RunJob), level + 1)
    }
}

/// A task with nothing but what limits it.
fn limits(task: &Task) -> RehearsedTask {
    let retry = task.retry();
    RehearsedTask {
        task_key: task.key().to_owned(),
        depends_on: Vec::new(),
        run_if: json!(task.run_if()),
        left_out: None,
        does: String::new(),
        holds: None,
        body: Value::Null,
        writes: Vec::new(),
        reads: Vec::new(),
        later: Vec::new(),
        max_retries: retry.max_retries,
        min_retry_interval_millis: u64::try_from(retry.min_interval.as_millis()).unwrap_or(u64::MAX),
        retry_on_timeout: retry.on_timeout,
        timeout_seconds: task.timeout().map(|timeout| timeout.as_secs_f64()),
        task: None,
        run: None,
    }
}

/// The text with the values that are known, and the references whose values are not.
fn known(template: &Template, scope: &Scope<'_>) -> (String, Vec<String>) {
    let (text, later) = template.fill_unless(scope, is_of_run);
    (text, later.into_iter().map(ToString::to_string).collect())
}

/// Whether the value belongs to a run that has its number.
fn is_of_run(reference: &Reference) -> bool {
    match reference {
        Reference::Job(JobField::RunId) | Reference::Task(TaskField::RunId | TaskField::ExecutionCount) => true,
        Reference::Legacy(legacy) => *legacy != Legacy::JobId && *legacy != Legacy::TaskKey,
        _ => false,
    }
}

/// A work with what it is given, which holds no secrets: those are still references.
fn described(work: &Work, parameters: &BTreeMap<String, String>) -> Value {
    match work {
        Work::Bronze(table)
        | Work::Silver(table)
        | Work::Gold(table)
        | Work::Quality(table)
        | Work::Optimize(table) => {
            json!({"table": table.to_string()})
        }
        Work::Vacuum { table, retain } => json!({"table": table.to_string(), "retain": retain}),
        Work::Pipeline { pipeline, layer, selection, full_refresh } => {
            let names =
                |tables: &BTreeSet<stage::TableName>| tables.iter().map(ToString::to_string).collect::<Vec<_>>();
            json!({
                "pipeline": pipeline, "layer": layer.map(stage::Layer::name), "full_refresh": full_refresh,
                "refresh_selection": names(&selection.refreshed), "full_refresh_selection": names(&selection.rebuilt),
            })
        }
        Work::Sql { file, parameters: own } => {
            let mut given = own.clone();
            given.extend(parameters.clone());
            json!({"file": file, "parameters": given})
        }
        Work::Shell { command, environment, working_folder } => {
            let env: BTreeMap<&String, String> =
                environment.iter().map(|(name, template)| (name, template.replace("$$", "$"))).collect();
            json!({"command": command, "env": env, "working_folder": working_folder})
        }
    }
}
