//! `medallion show`: what a table or a workflow is, in text.

use ::stage::{Error, Result};
use frame::types::type_name;
use serde_json::json;
use workflow::drawing::{self, Picture};
use workflow::{Workflow, pictures};

use crate::args::{DrawingFormat, OutputFormat, ShowArguments};
use crate::output;
use crate::project::Table;
use crate::workbench::Workbench;

/// Shows the named table or workflow, or lists everything.
pub(super) async fn run(workbench: Workbench, arguments: &ShowArguments, output: OutputFormat) -> Result<u8> {
    let text = match &arguments.name {
        None => overview(&workbench, output),
        Some(name) => match workbench.project.workflows.get(name) {
            Some(_) if arguments.explain => {
                return Err(Error::config(format!("`{name}` is a workflow; --explain tells about one table")));
            }
            Some(workflow) => show_workflow(workflow, arguments.format, output),
            None if arguments.format.is_some() => {
                return Err(Error::config(format!("there is no workflow `{name}`, and --format is for workflows")));
            }
            None if arguments.explain => {
                super::explain::explain(&workbench, workbench.project.table(name)?, output).await?
            }
            None => show_table(&workbench, workbench.project.table(name)?, output).await?,
        },
    };
    output::print(&text);
    Ok(0)
}

fn overview(workbench: &Workbench, output: OutputFormat) -> String {
    let project = &workbench.project;
    let tables = project.order().into_iter().filter_map(|name| project.tables.get(name));
    if output == OutputFormat::Json {
        let tables: Vec<_> = tables
            .map(|table| json!({ "table": table.name.to_string(), "description": table.description() }))
            .collect();
        let workflows: Vec<_> = project.workflows.keys().collect();
        return json!({ "project": project.name, "tables": tables, "workflows": workflows }).to_string();
    }
    let mut rows: Vec<Vec<String>> =
        tables.map(|table| vec![table.name.to_string(), table.description().to_owned()]).collect();
    rows.extend(
        project
            .workflows
            .values()
            .map(|workflow| vec![format!("workflow {}", workflow.name()), workflow.description().to_owned()]),
    );
    match output {
        OutputFormat::Csv => output::csv(&["name", "description"], &rows),
        _ => output::columns(&["name", "description"], &rows),
    }
}

async fn show_table(workbench: &Workbench, table: &Table, output: OutputFormat) -> Result<String> {
    let opened = workbench.lake.open(&table.name).await?;
    let schema = opened.schema();
    let columns: Vec<(String, String)> = schema
        .iter()
        .flat_map(|schema| schema.fields().iter())
        .map(|field| (field.name().clone(), type_name(field.data_type())))
        .collect();
    let positions = opened.positions();
    if output == OutputFormat::Json {
        let columns: Vec<_> = columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        let reads: Vec<String> = table.reads().iter().map(ToString::to_string).collect();
        let shown = json!({
            "table": table.name.to_string(), "description": table.description(), "file": table.file,
            "version": opened.version(), "columns": columns, "positions": positions, "reads": reads,
            "sql": table.sql().map(|sql| sql.text.as_str()),
        });
        return Ok(shown.to_string());
    }
    let mut text = format!("{}\n{}\n\n{}\n{}\n", table.name, table.description(), table.file, indented(&table.text));
    if let Some(sql) = table.sql() {
        text.push_str(&format!("{}\n{}\n", sql.file, indented(&sql.text)));
    }
    match opened.version() {
        None => text.push_str("the table does not exist yet\n"),
        Some(version) => {
            let rows: Vec<Vec<String>> = columns.into_iter().map(|(name, kind)| vec![name, kind]).collect();
            text.push_str(&format!("version {version}\n{}", indented(&output::columns(&["column", "type"], &rows))));
            for (id, next) in positions.iter() {
                text.push_str(&format!("reads {id} from {next} on\n"));
            }
        }
    }
    Ok(text)
}

fn show_workflow(workflow: &Workflow, format: Option<DrawingFormat>, output: OutputFormat) -> String {
    let picture = pictures::of_workflow(workflow);
    match format {
        Some(DrawingFormat::Mermaid) => return drawing::mermaid(&picture),
        Some(DrawingFormat::Svg) => return drawing::svg(&picture),
        Some(DrawingFormat::Text) => return drawn(workflow, picture),
        None if output == OutputFormat::Table => return drawn(workflow, picture),
        None => {}
    }
    let tasks: Vec<(String, String, Vec<String>)> = workflow
        .tasks()
        .iter()
        .enumerate()
        .map(|(index, task)| {
            let upstreams =
                workflow.dag().dependencies(index).iter().map(|index| workflow.tasks()[*index].key().to_owned());
            (task.key().to_owned(), task.body().to_string(), upstreams.collect())
        })
        .collect();
    if output == OutputFormat::Json {
        let tasks: Vec<_> = tasks
            .iter()
            .map(|(key, body, depends_on)| json!({ "task_key": key, "body": body, "depends_on": depends_on }))
            .collect();
        return json!({ "workflow": workflow.name(), "description": workflow.description(), "tasks": tasks })
            .to_string();
    }
    let rows: Vec<Vec<String>> =
        tasks.into_iter().map(|(key, body, depends_on)| vec![key, body, depends_on.join(", ")]).collect();
    let header = ["task", "does", "after"];
    match output {
        OutputFormat::Csv => output::csv(&header, &rows),
        _ => output::columns(&header, &rows),
    }
}

/// The head of a workflow, and its tasks with their order as rails.
fn drawn(workflow: &Workflow, mut picture: Picture) -> String {
    picture.title.clear();
    let width = output::width();
    let mut text = format!("{}\n", workflow.name());
    if !workflow.description().is_empty() {
        text.push_str(&format!("{}\n", output::wrapped(workflow.description(), width, "")));
    }
    if let Some(schedule) = workflow.schedule() {
        let paused = if schedule.paused { ", paused" } else { "" };
        text.push_str(&format!(
            "{}\n",
            output::wrapped(&format!("starts      {}{paused}", schedule.trigger), width, "            ")
        ));
    }
    if !workflow.parameters().is_empty() {
        let pairs = workflow.parameters().iter().map(|(name, value)| format!("{name}={value}"));
        let line = format!("parameters  {}", pairs.collect::<Vec<_>>().join(" "));
        text.push_str(&format!("{}\n", output::wrapped(&line, width, "            ")));
    }
    format!("{text}\n{}", drawing::text(&picture, width, output::has_colours()))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}
