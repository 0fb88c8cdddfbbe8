//! Edges that a workflow lacks: a task reads what another one writes, and nothing says which of them comes first.
//!
//! The order between tasks is only what `depends_on` says; tables are looked at here to find what was forgotten. A reader
//! that comes before the writer is meant to read what was there, so nothing is said of it.

use std::collections::{BTreeMap, BTreeSet};

use stage::{Problem, TableName};
use workflow::{Body, RunIf, Task, Work, Workflow};

use super::Read;
use crate::project::Project;
use crate::project::graph::written_by;

/// Deeper nesting of workflows is a finding of its own.
const MOST_LEVELS: usize = 3;

/// The edges that are missing in a workflow, one problem for each pair of tasks.
pub(super) fn missing(read: &Read, all: &BTreeMap<String, Read>, project: &Project) -> Vec<Problem> {
    let tasks = read.workflow.tasks();
    let effects: Vec<Effects> = (0..tasks.len()).map(|index| effects(read, index, all, project, 1)).collect();
    let shares = |writing: &Effects| effects.iter().any(|reading| !reading.reads.is_disjoint(&writing.writes));
    if !effects.iter().any(shares) {
        return Vec::new();
    }
    let order = Order::of(&read.workflow);
    let mut problems = Vec::new();
    for (reader, reading) in effects.iter().enumerate().filter(|(_, effects)| !effects.reads.is_empty()) {
        for (writer, writing) in effects.iter().enumerate().filter(|(writer, _)| *writer != reader) {
            let tables: Vec<&TableName> = reading.reads.intersection(&writing.writes).collect();
            let Some(first) = tables.first().filter(|_| order.is_open(reader, writer)) else { continue };
            let more = match tables.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (reader_key, writer_key) = (tasks[reader].key(), tasks[writer].key());
            let message = format!(
                "`{reader_key}` reads {first}{more}, which `{writer_key}` writes; nothing says which comes first: add \
                 {{\"task_key\": \"{writer_key}\"}} to its depends_on"
            );
            problems.push(Problem::new(format!("tasks/{reader}/task_key"), message));
        }
    }
    problems
}

/// What a task does to the tables of the project, as far as it is known before it runs.
#[derive(Default)]
struct Effects {
    writes: BTreeSet<TableName>,
    /// Without those it writes itself: their order is its own.
    reads: BTreeSet<TableName>,
}

fn effects(read: &Read, index: usize, all: &BTreeMap<String, Read>, project: &Project, level: usize) -> Effects {
    let mut effects = Effects::default();
    effects.reads.extend(read.queried.get(&index).into_iter().flatten().filter_map(written_by));
    effects.add_body(&read.workflow.tasks()[index], all, project, level);
    let Effects { writes, reads } = &mut effects;
    reads.retain(|table| !writes.contains(table));
    effects
}

impl Effects {
    fn add_body(&mut self, task: &Task, all: &BTreeMap<String, Read>, project: &Project, level: usize) {
        match task.body() {
            Body::Work(work) => self.add_work(work, project),
            Body::ForEach { task, .. } => self.add_body(task, all, project, level),
            Body::RunJob { workflow, .. } if level < MOST_LEVELS => {
                let Some(nested) = all.get(workflow) else { return };
                for index in 0..nested.workflow.tasks().len() {
                    let inner = effects(nested, index, all, project, level + 1);
                    self.writes.extend(inner.writes);
                    self.reads.extend(inner.reads);
                }
            }
            Body::RunJob { .. } | Body::Referring(_) | Body::Condition { .. } => {}
        }
    }

    fn add_work(&mut self, work: &Work, project: &Project) {
        for table in project.tables.values().filter(|table| work.writes(&table.name)) {
            self.writes.insert(table.name.clone());
            self.reads.extend(project.upstreams(&table.name).into_iter().cloned());
        }
        match work {
            Work::Quality(name) => {
                let checks = project.tables.get(name).map(|table| table.checks()).unwrap_or_default();
                let reads = quality::checks::reads(checks, name.pipeline());
                self.reads.extend(reads.iter().chain([name]).filter_map(written_by));
            }
            Work::Optimize(name) | Work::Vacuum { table: name, .. } => self.reads.extend(written_by(name)),
            Work::Bronze(_) | Work::Silver(_) | Work::Gold(_) | Work::Pipeline { .. } => {}
            Work::Sql { .. } | Work::Shell { .. } => {}
        }
    }
}

/// Which tasks come before which, and which never run both.
struct Order {
    /// All tasks before each task.
    before: Vec<BTreeSet<usize>>,
    /// The outcomes of condition tasks without which each task does not run.
    needs: Vec<Outcomes>,
}

/// Condition tasks and their outcomes.
type Outcomes = BTreeSet<(usize, bool)>;

impl Order {
    fn of(workflow: &Workflow) -> Order {
        let (dag, tasks) = (workflow.dag(), workflow.tasks());
        let mut order = Order { before: vec![BTreeSet::new(); tasks.len()], needs: vec![Outcomes::new(); tasks.len()] };
        // The outcomes without which each task is excluded, which those after it take for a success.
        let mut excluded_without = order.needs.clone();
        for task in dag.levels().into_iter().flatten() {
            let waits_for = |dependency: usize| tasks[task].outcome_of(dependency).map(|outcome| (dependency, outcome));
            let (mut before, mut waited_for) = (BTreeSet::new(), Outcomes::new());
            // Whatever its run_if, a task is excluded when all it depends on are; one that runs is enough to let it run.
            let mut of_all: Option<Outcomes> = None;
            for dependency in dag.dependencies(task) {
                before.insert(*dependency);
                before.extend(&order.before[*dependency]);
                waited_for.extend(waits_for(*dependency));
                let mut of_one = excluded_without[*dependency].clone();
                of_one.extend(waits_for(*dependency));
                of_all = Some(of_all.map_or_else(|| of_one.clone(), |all| &all & &of_one));
            }
            let of_all = of_all.unwrap_or_default();
            order.before[task] = before;
            order.needs[task].clone_from(&of_all);
            if tasks[task].run_if() == RunIf::AllSuccess {
                order.needs[task].extend(waited_for);
            }
            excluded_without[task] = of_all;
        }
        order
    }

    /// Whether two tasks may run in either order.
    fn is_open(&self, one: usize, other: usize) -> bool {
        let excludes = |(task, outcome): &(usize, bool)| self.needs[other].contains(&(*task, !outcome));
        !self.before[one].contains(&other)
            && !self.before[other].contains(&one)
            && !self.needs[one].iter().any(excludes)
    }
}
