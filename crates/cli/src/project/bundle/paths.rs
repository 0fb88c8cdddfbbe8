//! Paths in a job of a bundle are relative to the file that holds them; those of a workflow to the project's folder.

use std::path::{Component, Path};

use crate::project::document::{Document, Node, Value};

/// Makes every path of a job relative to the project's folder.
pub(super) fn make_relative_to_project(job: &mut Node, document: &Document, root: &Path) {
    if let Some(Value::List(tasks)) = job.get_mut("tasks").map(|tasks| &mut tasks.value) {
        for task in tasks {
            of_task(task, document, root);
        }
    }
    let url = job.get_mut("trigger").and_then(|trigger| trigger.get_mut("file_arrival")?.get_mut("url"));
    change(url, document, root);
}

fn of_task(task: &mut Node, document: &Document, root: &Path) {
    let query = task.get_mut("sql_task").and_then(|body| body.get_mut("file")?.get_mut("path"));
    change(query, document, root);
    let folder = task.get_mut("shell_task").and_then(|body| body.get_mut("working_folder"));
    change(folder, document, root);
    if let Some(inner) = task.get_mut("for_each_task").and_then(|body| body.get_mut("task")) {
        of_task(inner, document, root);
    }
}

fn change(path: Option<&mut Node>, document: &Document, root: &Path) {
    let Some(path) = path else { return };
    let place = path.span.start;
    let Value::Text(text) = &mut path.value else { return };
    if text.text.contains("://") || text.text.contains("{{") {
        return;
    }
    let written = Path::new(&text.text);
    let inside = match (written.is_absolute(), written.strip_prefix(root)) {
        (true, Ok(inside)) => inside.to_path_buf(),
        (true, Err(_)) => return,
        (false, _) => match Path::new(document.file_at(place)).parent() {
            Some(folder) => folder.join(written),
            None => written.to_path_buf(),
        },
    };
    text.text = without_dots(&inside);
}

/// The path without `.`, and without `..` as far as there is something to go up from.
fn without_dots(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_followed() {
        for (path, expected) in [
            ("resources/../sql/day.sql", "sql/day.sql"),
            ("resources/./day.sql", "resources/day.sql"),
            ("a/../../b", "../b"),
            ("resources/..", "."),
        ] {
            assert_eq!(without_dots(Path::new(path)), expected);
        }
    }
}
