//! The limits that Jobs JSON has for names and lists, so that what is accepted here is accepted there too.

use stage::Problem;

use crate::spec::WorkflowSpec;

/// The most bytes of a name.
const NAME_BYTES: usize = 4096;
/// The most characters of a description.
const DESCRIPTION_CHARACTERS: usize = 27_700;
/// The most tasks.
const TASKS: usize = 1000;
/// The most tags.
const TAGS: usize = 25;

/// What is too long or too many in a workflow.
pub(super) fn exceeded(spec: &WorkflowSpec) -> Vec<Problem> {
    let figures = [
        ("name", "bytes", spec.name.len(), NAME_BYTES),
        ("description", "characters", spec.description.chars().count(), DESCRIPTION_CHARACTERS),
        ("tasks", "tasks", spec.tasks.len(), TASKS),
        ("tags", "tags", spec.tags.len(), TAGS),
    ];
    let exceeded = figures.into_iter().filter(|(_, _, found, most)| found > most);
    exceeded.map(|(at, unit, found, most)| Problem::new(at, format!("at most {most} {unit}, found {found}"))).collect()
}
