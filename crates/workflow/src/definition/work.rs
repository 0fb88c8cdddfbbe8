//! What a [`crate::Workshop`] is asked to do: a body without references.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stage::{Layer, Problem, TableName};

use super::body::{TableSelection, is_part};
use crate::spec::{CommandSpec, PipelineTaskSpec, ShellTaskSpec, SqlTaskSpec, TaskSpec};

/// What is to be done, with every reference filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Brings a bronze table up to date.
    Bronze(TableName),
    /// Brings a silver table up to date.
    Silver(TableName),
    /// Brings a gold table up to date.
    Gold(TableName),
    /// Audits a table as it stands.
    Quality(TableName),
    /// Writes the small files of a table together.
    Optimize(TableName),
    /// Deletes files of a table that are no longer needed.
    Vacuum {
        /// The table.
        table: TableName,
        /// How long files stay, such as `7d`; that of the project when it is left out.
        retain: Option<String>,
    },
    /// Brings a pipeline, or a part of it, up to date.
    Pipeline {
        /// The pipeline.
        pipeline: String,
        /// Only the tables of this layer.
        layer: Option<Layer>,
        /// Only these tables.
        selection: TableSelection,
        /// Rebuild the tables from all of their upstream.
        full_refresh: bool,
    },
    /// Asks the lake a question.
    Sql {
        /// The file with the query, relative to the project's folder.
        file: String,
        /// Values for `:name` in it.
        parameters: BTreeMap<String, String>,
    },
    /// Runs a program.
    Shell {
        /// The program and its arguments.
        command: Vec<String>,
        /// Environment variables; values may hold `${secret.scope.key}`, and `$$` stands for a `$` in them.
        environment: BTreeMap<String, String>,
        /// The folder it starts in, relative to the project's folder.
        working_folder: Option<String>,
    },
}

impl Work {
    /// Whether a table is to be rebuilt whatever the run was asked.
    pub fn rebuilds(&self, table: &TableName) -> bool {
        match self {
            Work::Pipeline { full_refresh, selection, .. } => *full_refresh || selection.rebuilt.contains(table),
            _ => false,
        }
    }

    /// Whether any table is to be rebuilt whatever the run was asked.
    pub fn rebuilds_any(&self) -> bool {
        matches!(self, Work::Pipeline { full_refresh, selection, .. } if *full_refresh || !selection.rebuilt.is_empty())
    }

    /// Whether it brings tables forward, which a stream can go on doing.
    pub fn is_streamed(&self) -> bool {
        matches!(self, Work::Bronze(_) | Work::Silver(_) | Work::Gold(_) | Work::Pipeline { .. })
    }

    /// Whether a table is brought up to date by this.
    pub fn writes(&self, table: &TableName) -> bool {
        match self {
            Work::Bronze(name) | Work::Silver(name) | Work::Gold(name) => name == table,
            Work::Pipeline { pipeline, layer, selection, .. } => {
                is_part(table, pipeline, *layer) && selection.chooses(table)
            }
            Work::Quality(_) | Work::Optimize(_) | Work::Vacuum { .. } | Work::Sql { .. } | Work::Shell { .. } => false,
        }
    }
}

/// `shop.silver.orders`, `quality.shop.silver.orders`, `shop`, `shop.silver`, `sql reports/day.sql` or `shell date`.
impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Bronze(table) | Work::Silver(table) | Work::Gold(table) => write!(formatter, "{table}"),
            Work::Quality(table) => write!(formatter, "quality.{table}"),
            Work::Optimize(table) => write!(formatter, "optimize {table}"),
            Work::Vacuum { table, .. } => write!(formatter, "vacuum {table}"),
            Work::Pipeline { pipeline, layer: None, .. } => formatter.write_str(pipeline),
            Work::Pipeline { pipeline, layer: Some(layer), .. } => write!(formatter, "{pipeline}.{layer}"),
            Work::Sql { file, .. } => write!(formatter, "sql {file}"),
            Work::Shell { command, .. } => write!(formatter, "shell {}", command.join(" ")),
        }
    }
}

/// The program that runs a command that was written as one text.
const SHELL: [&str; 2] = ["sh", "-c"];

/// What a task without references asks a workshop for. A task with several such bodies is for the first.
///
/// # Errors
/// The place within the task and what is wrong there.
pub(crate) fn work(spec: &TaskSpec) -> Result<Work, Problem> {
    let tables = [
        ("bronze_task", &spec.bronze_task, Some(Layer::Bronze), Work::Bronze as fn(TableName) -> Work),
        ("silver_task", &spec.silver_task, Some(Layer::Silver), Work::Silver),
        ("gold_task", &spec.gold_task, Some(Layer::Gold), Work::Gold),
        ("quality_task", &spec.quality_task, None, Work::Quality),
        ("optimize_task", &spec.optimize_task, None, Work::Optimize),
    ];
    for (field, body, layer, make) in tables {
        if let Some(body) = body {
            return table(&body.table, field, layer).map(make);
        }
    }
    if let Some(body) = &spec.vacuum_task {
        return Ok(Work::Vacuum { table: table(&body.table, "vacuum_task", None)?, retain: body.retain.clone() });
    }
    if let Some(body) = &spec.pipeline_task {
        return pipeline(body);
    }
    if let Some(body) = &spec.sql_task {
        return sql(body);
    }
    match &spec.shell_task {
        Some(body) => shell(body),
        None => Err(Problem::new("", "the task has no body that a workshop can work on")),
    }
}

fn table(text: &str, field: &str, layer: Option<Layer>) -> Result<TableName, Problem> {
    let at = format!("{field}/table");
    let name: TableName = text.parse().map_err(|error: stage::Error| Problem::new(&at, error.message()))?;
    match layer {
        Some(layer) if name.layer() != layer => {
            let message = format!("{name} is a {} table; use {}_task", name.layer(), name.layer());
            Err(Problem::new(at, message))
        }
        _ => Ok(name),
    }
}

fn pipeline(spec: &PipelineTaskSpec) -> Result<Work, Problem> {
    let pipeline = match (&spec.pipeline, &spec.pipeline_id) {
        (Some(name), None) | (None, Some(name)) => name.clone(),
        (Some(_), Some(_)) => {
            let message = "`pipeline` and `pipeline_id` are the same; write one of them";
            return Err(Problem::new("pipeline_task/pipeline_id", message));
        }
        (None, None) => return Err(Problem::new("pipeline_task", "missing key `pipeline`")),
    };
    let selected = |names: &[String], field: &str| -> Result<BTreeSet<TableName>, Problem> {
        let named = names.iter().enumerate().map(|(index, name)| {
            let at = format!("pipeline_task/{field}/{index}");
            let table = TableName::in_pipeline(&pipeline, name).map_err(|error| Problem::new(&at, error.message()))?;
            match table.pipeline() == pipeline {
                true => Ok(table),
                false => Err(Problem::new(at, format!("{table} is not in the pipeline `{pipeline}`"))),
            }
        });
        named.collect()
    };
    let selection = TableSelection {
        refreshed: selected(&spec.refresh_selection, "refresh_selection")?,
        rebuilt: selected(&spec.full_refresh_selection, "full_refresh_selection")?,
    };
    Ok(Work::Pipeline { selection, layer: spec.layer.map(Layer::from), full_refresh: spec.full_refresh, pipeline })
}

fn sql(spec: &SqlTaskSpec) -> Result<Work, Problem> {
    let Some(file) = &spec.file else {
        return Err(Problem::new("sql_task", "missing key `file`, the query as {\"path\": \"reports/day.sql\"}"));
    };
    Ok(Work::Sql { file: file.path.clone(), parameters: spec.parameters.clone() })
}

fn shell(spec: &ShellTaskSpec) -> Result<Work, Problem> {
    let command = match &spec.command {
        CommandSpec::Text(text) => SHELL.iter().map(ToString::to_string).chain([text.clone()]).collect(),
        CommandSpec::List(parts) => parts.clone(),
    };
    let is_empty = match &spec.command {
        CommandSpec::Text(text) => text.trim().is_empty(),
        CommandSpec::List(parts) => parts.first().is_none_or(|program| program.trim().is_empty()),
    };
    if is_empty {
        return Err(Problem::new("shell_task/command", "the command is empty"));
    }
    let environment = spec.env.iter().map(|(name, text)| (name.clone(), secret_template(text))).collect();
    Ok(Work::Shell { command, environment, working_folder: spec.working_folder.clone() })
}

/// How a reference to a secret begins. A text that holds one comes with `$$` for a `$`, any other as it is.
pub(crate) const SECRET: &str = "${secret.";

/// A text in which secrets can be put in.
fn secret_template(text: &str) -> String {
    if text.contains(SECRET) { text.to_owned() } else { literally(text) }
}

/// A text that stays as it is when secrets are put in.
pub(crate) fn literally(text: &str) -> String {
    text.replace('$', "$$")
}
