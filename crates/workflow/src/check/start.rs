//! When a workflow starts by itself: at most one of `schedule`, `trigger` and `continuous`, and what it says makes sense.

use stage::{Problem, TableName};

use crate::definition::{Body, RetryPolicy, Task, Work};
use crate::schedule::{Continuous, Cron, FileArrival, Pace, Periodic, Schedule, TableUpdate, TaskRetryMode, Trigger};
use crate::spec::{FileArrivalSpec, PauseStatus, TableUpdateSpec, TriggerSpec, WorkflowSpec};

/// The schemes of locations whose files can be watched.
const SCHEMES: [&str; 3] = ["s3", "s3a", "file"];

/// What starts the workflow; `None` when nothing does, or after what is wrong was noted.
pub(super) fn schedule(
    spec: &WorkflowSpec,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Schedule> {
    let written = [
        spec.schedule.as_ref().map(|_| "schedule"),
        spec.trigger.as_ref().map(|_| "trigger"),
        spec.continuous.as_ref().map(|_| "continuous"),
    ];
    let written: Vec<&str> = written.into_iter().flatten().collect();
    if let [first, second, ..] = written[..] {
        let message =
            format!("`{first}` starts the workflow already; a workflow has one of schedule, trigger and continuous");
        problems.push(Problem::new(second, message));
    }
    if let (Some(_), None | Some(&"continuous")) = (spec.catch_up, written.first()) {
        let message = "only a `schedule` or a `trigger` has times that can be missed; leave `catch_up` out";
        problems.push(Problem::new("catch_up", message));
    }
    if let Some(schedule) = &spec.schedule {
        let cron = Cron::new(&schedule.quartz_cron_expression, &schedule.timezone_id);
        let cron = noted(cron, place_of_cron, problems)?;
        return Some(Schedule { trigger: Trigger::Cron(cron), paused: is_paused(schedule.pause_status) });
    }
    if let Some(trigger) = &spec.trigger {
        let paused = is_paused(trigger.pause_status);
        return Some(Schedule { trigger: checked_trigger(trigger, known, problems)?, paused });
    }
    let continuous = spec.continuous.as_ref()?;
    refuse_dependencies(spec, problems);
    let trigger = Trigger::Continuous(Continuous { task_retry_mode: continuous.task_retry_mode });
    Some(Schedule { trigger, paused: is_paused(continuous.pause_status) })
}

/// Whether failed tasks are left to the next run, whatever they say of retries.
pub(super) fn ignores_retries(schedule: &Schedule) -> bool {
    matches!(&schedule.trigger, Trigger::Continuous(continuous) if continuous.task_retry_mode == TaskRetryMode::Never)
}

/// Takes the retries off a task, and off the one that it runs for each item.
pub(super) fn never_retry(task: &mut Task) {
    task.retry = RetryPolicy::default();
    if let Body::ForEach { task, .. } = &mut task.body {
        never_retry(task);
    }
}

fn is_paused(status: PauseStatus) -> bool {
    status == PauseStatus::Paused
}

/// Only what is wrong with the expression begins with it.
fn place_of_cron(message: &str) -> &'static str {
    let of_expression = message.starts_with("cron expression");
    if of_expression { "schedule/quartz_cron_expression" } else { "schedule/timezone_id" }
}

fn checked_trigger(
    spec: &TriggerSpec,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Trigger> {
    let written = [spec.periodic.is_some(), spec.file_arrival.is_some(), spec.table_update.is_some()];
    if written.iter().filter(|is_written| **is_written).count() != 1 {
        let message = "a trigger has exactly one of `periodic`, `file_arrival` and `table_update`";
        problems.push(Problem::new("trigger", message));
        return None;
    }
    if let Some(periodic) = &spec.periodic {
        let checked = Periodic::new(periodic.interval, periodic.unit);
        return noted(checked, |_| "trigger/periodic/interval", problems).map(Trigger::Periodic);
    }
    if let Some(files) = &spec.file_arrival {
        return file_arrival(files, problems).map(Trigger::FileArrival);
    }
    spec.table_update.as_ref().and_then(|tables| table_update(tables, known, problems)).map(Trigger::TableUpdate)
}

fn file_arrival(spec: &FileArrivalSpec, problems: &mut Vec<Problem>) -> Option<FileArrival> {
    let at = "trigger/file_arrival";
    if let Some((scheme, _)) = spec.url.split_once("://")
        && !SCHEMES.contains(&scheme)
    {
        let message = format!("cannot watch `{scheme}://`; use a folder or s3://bucket/prefix");
        problems.push(Problem::new(format!("{at}/url"), message));
    }
    let pace = pace(spec.min_time_between_triggers_seconds, spec.wait_after_last_change_seconds, at, problems);
    noted(FileArrival::new(&spec.url, pace.unwrap_or_default()), |_| "trigger/file_arrival/url", problems)
        .filter(|_| pace.is_some())
}

fn table_update(
    spec: &TableUpdateSpec,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<TableUpdate> {
    let at = "trigger/table_update";
    for (index, name) in spec.table_names.iter().enumerate() {
        let table = name.parse::<TableName>().map_err(|error| error.message().to_owned());
        // Any work on a table asks whether it is there.
        if let Err(message) = table.and_then(|table| known(&Work::Quality(table))) {
            problems.push(Problem::new(format!("{at}/table_names/{index}"), message));
        }
    }
    let pace = pace(spec.min_time_between_triggers_seconds, spec.wait_after_last_change_seconds, at, problems);
    let tables = TableUpdate::new(spec.table_names.clone(), spec.condition, pace.unwrap_or_default());
    noted(tables, |_| "trigger/table_update/table_names", problems).filter(|_| pace.is_some())
}

fn pace(between: Option<i64>, after: Option<i64>, at: &str, problems: &mut Vec<Problem>) -> Option<Pace> {
    let place = |message: &str| format!("{at}/{}", message.split(':').next().unwrap_or_default());
    noted(Pace::new(between, after), place, problems)
}

/// As in Databricks: the tasks of a continuous workflow do not wait for each other.
fn refuse_dependencies(spec: &WorkflowSpec, problems: &mut Vec<Problem>) {
    for (index, task) in spec.tasks.iter().enumerate() {
        if !task.depends_on.is_empty() {
            let message = "a continuous workflow has no dependencies between its tasks; one pipeline_task brings all \
                           tables of a pipeline up to date in their order, or use a `schedule`";
            problems.push(Problem::new(format!("tasks/{index}/depends_on"), message));
        }
    }
}

/// The value, or nothing after what is wrong was noted at the place that goes with the message. A message that begins
/// with the name of its key is told without it.
fn noted<T, P: Into<String>>(
    result: Result<T, String>,
    place: impl Fn(&str) -> P,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let note = |message: String| {
        let at: String = place(&message).into();
        let key = at.rsplit('/').next().unwrap_or_default();
        let told = message.strip_prefix(&format!("{key}: ")).unwrap_or(&message).to_owned();
        problems.push(Problem::new(at, told));
    };
    result.map_err(note).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse;

    fn found(start: &str) -> Vec<(String, String)> {
        let text = format!(
            r#"{{"name": "w", {start}, "tasks": [{{"task_key": "a", "bronze_task": {{"table": "p.bronze.a"}}}}]}}"#
        );
        let known = |work: &Work| match work.to_string().as_str() {
            "quality.p.silver.gone" => Err("there is no table `p.silver.gone`".to_owned()),
            _ => Ok(()),
        };
        let problems = crate::check(&parse(&text).unwrap(), &known).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.at, problem.message)).collect()
    }

    fn checked(start: &str) -> crate::Workflow {
        let text = format!(
            r#"{{"name": "w", {start}, "tasks": [{{"task_key": "a", "max_retries": 3,
                "bronze_task": {{"table": "p.bronze.a"}}}}]}}"#
        );
        crate::check(&parse(&text).unwrap(), &|_| Ok(())).unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_start_is_told_at_its_place() {
        for (start, at, message) in [
            (
                r#""schedule": {"quartz_cron_expression": "0 0 4 * * ?", "timezone_id": "UTC"}, "continuous": {}"#,
                "continuous",
                "`schedule` starts the workflow already",
            ),
            (
                r#""schedule": {"quartz_cron_expression": "0 4 * * *", "timezone_id": "UTC"}"#,
                "schedule/quartz_cron_expression",
                "looks like Unix cron",
            ),
            (
                r#""schedule": {"quartz_cron_expression": "0 0 4 * * ?", "timezone_id": "Europe/Berln"}"#,
                "schedule/timezone_id",
                "did you mean `Europe/Berlin`?",
            ),
            (r#""trigger": {}"#, "trigger", "exactly one of"),
            (
                r#""trigger": {"periodic": {"interval": 0, "unit": "HOURS"}}"#,
                "trigger/periodic/interval",
                "found 0, expected 1 to",
            ),
            (r#""trigger": {"file_arrival": {"url": "landing/*"}}"#, "trigger/file_arrival/url", "without wildcards"),
            (
                r#""trigger": {"file_arrival": {"url": "abfss://c@a/landing"}}"#,
                "trigger/file_arrival/url",
                "cannot watch `abfss://`",
            ),
            (
                r#""trigger": {"file_arrival": {"url": "landing", "wait_after_last_change_seconds": 5}}"#,
                "trigger/file_arrival/wait_after_last_change_seconds",
                "found 5, expected 60",
            ),
            (
                r#""trigger": {"table_update": {"table_names": ["p.silver.gone"]}}"#,
                "trigger/table_update/table_names/0",
                "there is no table `p.silver.gone`",
            ),
            (
                r#""trigger": {"table_update": {"table_names": ["orders"]}}"#,
                "trigger/table_update/table_names/0",
                "orders",
            ),
            (
                r#""trigger": {"table_update": {"table_names": []}}"#,
                "trigger/table_update/table_names",
                "found 0 tables",
            ),
            (r#""continuous": {}, "catch_up": "all""#, "catch_up", "leave `catch_up` out"),
        ] {
            let found = found(start);
            assert!(found.iter().any(|(a, m)| a == at && m.contains(message)), "{start}: {found:?}");
            assert_eq!(found.len(), 1, "{start}: {found:?}");
        }
    }

    #[test]
    fn a_checked_workflow_says_what_starts_it() {
        let workflow = checked(
            r#""trigger": {"pause_status": "PAUSED", "table_update": {"table_names": ["p.silver.a"]}}, "catch_up": "skip""#,
        );
        let schedule = workflow.schedule().unwrap();
        assert!(schedule.paused && matches!(&schedule.trigger, Trigger::TableUpdate(_)));
        assert_eq!(workflow.catch_up(), crate::schedule::CatchUp::Skip);
        assert!(checked(r#""description": """#).schedule().is_none());
    }

    #[test]
    fn tasks_of_a_continuous_workflow_are_retried_when_it_says_so_only() {
        let retries = |start: &str| checked(start).tasks()[0].retry().max_retries;
        assert_eq!(retries(r#""continuous": {}"#), Some(0));
        assert_eq!(retries(r#""continuous": {"task_retry_mode": "ON_FAILURE"}"#), Some(3));
    }

    #[test]
    fn tasks_of_a_continuous_workflow_do_not_wait_for_each_other() {
        let text = r#"{"name": "w", "continuous": {}, "tasks": [
            {"task_key": "a", "bronze_task": {"table": "p.bronze.a"}},
            {"task_key": "b", "depends_on": [{"task_key": "a"}], "silver_task": {"table": "p.silver.b"}}]}"#;
        let problems = crate::check(&parse(text).unwrap(), &|_| Ok(())).unwrap_err();
        assert_eq!(problems[0].at, "tasks/1/depends_on");
    }
}
