//! The files that tasks name: queries of `sql_task`, and the folders that `shell_task` starts in.

use std::collections::{BTreeMap, BTreeSet};

use stage::{Problem, TableName};
use workflow::spec::{TaskSpec, WorkflowSpec};

use crate::project::check::known;
use crate::project::files::Files;
use crate::project::finding::line_and_column;
use crate::project::{Finding, Project, check};

/// What stands for the pipeline of a name of two parts when there are several pipelines.
const NO_PIPELINE: &str = "pipeline";

/// What the files that the tasks of a workflow name are like.
#[derive(Default)]
pub(super) struct Queries {
    /// The tables that queries read, by the index of the task.
    pub(super) reads: BTreeMap<usize, BTreeSet<TableName>>,
    /// What is wrong in the workflow.
    pub(super) problems: Vec<Problem>,
    /// What is wrong in the queries.
    pub(super) findings: Vec<Finding>,
    /// The parameters of the workflow, which every query knows.
    parameters: BTreeMap<String, String>,
}

/// Looks at every file that the tasks of a workflow name.
pub(super) fn check(spec: &WorkflowSpec, project: &Project, files: &Files) -> Queries {
    let parameters = spec.parameters.iter().map(|one| (one.name.clone(), one.default.clone())).collect();
    let mut queries = Queries { parameters, ..Queries::default() };
    for (index, task) in spec.tasks.iter().enumerate() {
        queries.look_at(task, index, &format!("tasks/{index}"), project, files);
        if let Some(body) = &task.for_each_task {
            queries.look_at(&body.task, index, &format!("tasks/{index}/for_each_task/task"), project, files);
        }
    }
    queries
}

impl Queries {
    fn look_at(&mut self, task: &TaskSpec, index: usize, at: &str, project: &Project, files: &Files) {
        if let Some(body) = &task.sql_task
            && let Some(file) = &body.file
        {
            let at = format!("{at}/sql_task/file/path");
            match std::fs::read_to_string(project.root.join(&file.path)) {
                Ok(text) => {
                    self.look_into(&file.path, &text, index, project, files);
                    self.look_at_parameters(&file.path, &text, &body.parameters);
                }
                Err(error) => {
                    let why = match error.kind() {
                        std::io::ErrorKind::NotFound => "there is no such file in the project".to_owned(),
                        _ => format!("the file cannot be read: {error}"),
                    };
                    self.problems.push(Problem::new(at, format!("`{}`: {why}", file.path)));
                }
            }
        }
        let folder = task.shell_task.as_ref().and_then(|body| body.working_folder.as_ref());
        if let Some(folder) = folder.filter(|folder| !folder.contains("{{"))
            && !project.root.join(folder).is_dir()
        {
            let message = format!("there is no folder `{folder}` in the project");
            self.problems.push(Problem::new(format!("{at}/shell_task/working_folder"), message));
        }
    }

    /// Every `:name` needs a value.
    fn look_at_parameters(&mut self, file: &str, text: &str, own: &BTreeMap<String, String>) {
        let mut given = self.parameters.clone();
        given.extend(own.clone());
        // A text that is no SELECT has been reported as such.
        if sql::references(text, NO_PIPELINE).is_ok()
            && let Err(problem) = sql::check_parameters(text, NO_PIPELINE, &given)
        {
            let sql::SqlProblem { line, column, message, .. } = problem;
            self.findings.push(Finding { file: file.to_owned(), line, column, message });
        }
    }

    fn look_into(&mut self, file: &str, text: &str, index: usize, project: &Project, files: &Files) {
        let pipeline = match files.pipelines.first() {
            Some(only) if files.pipelines.len() == 1 => only.as_str(),
            _ => NO_PIPELINE,
        };
        let mut report = |line: usize, column: usize, message: String| {
            self.findings.push(Finding { file: file.to_owned(), line, column, message });
        };
        let tables = match sql::references(text, pipeline) {
            Ok(tables) => tables,
            Err(problem) => return report(problem.line, problem.column, problem.message),
        };
        for name in &tables {
            let is_short = name.pipeline() == pipeline && !files.pipelines.contains(pipeline);
            let wrong = match known(name, files) {
                Err(_) if is_short => {
                    Err(format!("`{}.{}` may be of any pipeline; write its full name", name.layer(), name.table()))
                }
                known => known,
            };
            if let Err(message) = wrong {
                let (line, column) = line_and_column(text, check::place_in(text, name));
                report(line, column, message);
            }
        }
        let through_views = tables.iter().filter_map(|name| project.tables.get(name)).filter(|table| table.is_view());
        let behind: Vec<TableName> = through_views.flat_map(|view| view.reads().iter().cloned()).collect();
        self.reads.entry(index).or_default().extend(tables.into_iter().chain(behind));
    }
}
