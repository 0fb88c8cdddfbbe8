//! What a task does: work for a [`crate::Workshop`], or something the runner does itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stage::{Layer, Result, TableName};

use super::Task;
use super::work::{SECRET, Work, literally, work};
use crate::condition::Operator;
use crate::reference::{Scope, Template};
use crate::spec::TaskSpec;

/// What a task does.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Work that is known beforehand.
    Work(Work),
    /// Work that references decide when the task starts.
    Referring(Box<Referring>),
    /// Compares two texts or numbers; its outcome decides which tasks follow.
    Condition {
        /// How they are compared.
        operator: Operator,
        /// The left side.
        left: Template,
        /// The right side.
        right: Template,
    },
    /// Runs a task once for each item of a list.
    ForEach {
        /// A JSON array.
        inputs: Template,
        /// How many items run at the same time.
        concurrency: usize,
        /// What is done for each.
        task: Box<Task>,
    },
    /// Runs another workflow and waits for it.
    RunJob {
        /// The name of the workflow.
        workflow: String,
        /// Parameters of its run.
        parameters: BTreeMap<String, Template>,
    },
}

/// Work with references in it: the body as it was written, whose texts are filled in before it is understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Referring {
    /// A task with nothing but its body.
    pub(crate) spec: TaskSpec,
}

impl Referring {
    /// The work, with the references filled in.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a reference has no value, or the value makes no sense where it stands.
    pub(crate) fn fill(&self, scope: &Scope<'_>) -> Result<Work> {
        let mut spec = self.spec.clone();
        let environment = spec.shell_task.as_mut().map(|shell| std::mem::take(&mut shell.env)).unwrap_or_default();
        for text in spec.texts_mut() {
            *text = parsed(text)?.fill(scope)?;
        }
        if let Some(shell) = &mut spec.shell_task {
            let filled = environment.into_iter().map(|(name, text)| Ok((name, filled_around_secrets(&text, scope)?)));
            shell.env = filled.collect::<Result<_>>()?;
        }
        understood(&spec)
    }

    /// The work as far as its references are filled in by `fill`, for showing it.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when it makes no sense before all are.
    pub(crate) fn fill_by(&self, fill: &mut dyn FnMut(&Template) -> String) -> Result<Work> {
        let mut spec = self.spec.clone();
        for text in spec.texts_mut() {
            *text = fill(&parsed(text)?);
        }
        understood(&spec)
    }
}

fn understood(spec: &TaskSpec) -> Result<Work> {
    work(spec).map_err(|problem| stage::Error::config(format!("{}: {}", problem.at, problem.message)))
}

fn parsed(text: &str) -> Result<Template> {
    Template::parse(text).map_err(|problem| stage::Error::config(problem.to_string()))
}

/// A text whose secrets are put in later. What is filled in may come from data, so it never names a secret itself.
fn filled_around_secrets(text: &str, scope: &Scope<'_>) -> Result<String> {
    let template = parsed(text)?;
    if text.contains(SECRET) {
        return template.fill_with(scope, |value| literally(&value));
    }
    let filled = template.fill(scope)?;
    Ok(if filled.contains(SECRET) { literally(&filled) } else { filled })
}

impl Body {
    /// The work that is known beforehand, that of a loop included.
    pub fn work(&self) -> Option<&Work> {
        match self {
            Body::Work(work) => Some(work),
            Body::ForEach { task, .. } => task.body().work(),
            Body::Referring(_) | Body::Condition { .. } | Body::RunJob { .. } => None,
        }
    }

    /// Every reference-holding text of the body, for checks. A loop's own task is not looked into.
    pub(crate) fn templates(&self) -> Vec<Template> {
        match self {
            Body::Work(_) => Vec::new(),
            Body::Referring(referring) => {
                let mut spec = referring.spec.clone();
                spec.texts_mut().into_iter().filter_map(|text| Template::parse(text).ok()).collect()
            }
            Body::Condition { left, right, .. } => vec![left.clone(), right.clone()],
            Body::ForEach { inputs, .. } => vec![inputs.clone()],
            Body::RunJob { parameters, .. } => parameters.values().cloned().collect(),
        }
    }
}

/// In words: `shop.silver.orders`, `quality.shop.silver.orders`, `shop.silver`, `if 1 EQUAL_TO 1`.
impl fmt::Display for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Work(work) => work.fmt(formatter),
            Body::Referring(referring) => match referring.fill_by(&mut ToString::to_string) {
                Ok(work) => work.fmt(formatter),
                // The name of a table, for example, that is not known yet.
                Err(_) => formatter.write_str(&referring.spec.body_in_words()),
            },
            Body::Condition { operator, left, right } => write!(formatter, "if {left} {} {right}", operator.name()),
            Body::ForEach { inputs, task, .. } => write!(formatter, "for each of {inputs}: {}", task.body()),
            Body::RunJob { workflow, .. } => write!(formatter, "workflow {workflow}"),
        }
    }
}

/// The tables a pipeline task is for, beside those of its layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSelection {
    /// Only these; all when empty and nothing is rebuilt either.
    pub refreshed: BTreeSet<TableName>,
    /// These, from all of their upstream.
    pub rebuilt: BTreeSet<TableName>,
}

impl TableSelection {
    /// Whether a table is one of those chosen. Without any choice it is.
    pub fn chooses(&self, table: &TableName) -> bool {
        let none = self.refreshed.is_empty() && self.rebuilt.is_empty();
        none || self.refreshed.contains(table) || self.rebuilt.contains(table)
    }
}

/// Whether a table belongs to a pipeline, or to one layer of it.
pub(crate) fn is_part(table: &TableName, pipeline: &str, layer: Option<Layer>) -> bool {
    table.pipeline() == pipeline && layer.is_none_or(|layer| table.layer() == layer)
}
