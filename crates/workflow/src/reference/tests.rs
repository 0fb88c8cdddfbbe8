//! Every reference with its value, and every misuse with its message.

mod properties;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use stage::Kind;

use super::{CurrentTask, Job, Scope, TableUpdate, TaskResults, Template, Trigger, Workspace};
use crate::ResultState;

/// What a scope borrows from.
struct Facts {
    job: Job,
    parameters: BTreeMap<String, String>,
    trigger: Trigger,
    workspace: Workspace,
    task: CurrentTask,
    tasks: BTreeMap<String, TaskResults>,
    input: Value,
}

impl Facts {
    fn scope(&self) -> Scope<'_> {
        Scope {
            job: &self.job,
            parameters: &self.parameters,
            trigger: &self.trigger,
            workspace: &self.workspace,
            task: Some(&self.task),
            tasks: &self.tasks,
            input: Some(&self.input),
            backfill: Some(at("2025-12-31T00:00:00Z")),
        }
    }

    /// What a run by hand knows before its first task.
    fn bare_scope(&self) -> Scope<'_> {
        Scope { task: None, input: None, backfill: None, ..self.scope() }
    }
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn facts() -> Facts {
    let update = TableUpdate { version: 7, committed: at("2026-03-01T05:59:58Z") };
    Facts {
        job: Job {
            id: "j-1".to_owned(),
            name: "nightly".to_owned(),
            run_id: 42,
            repair_count: 2,
            started: at("2026-03-01T06:05:09.250Z"),
        },
        parameters: [("day", "2026-02-28"), ("param$@", "odd"), ("braces", "{{job.id}}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        trigger: Trigger {
            name: "table_update".to_owned(),
            time: at("2026-03-01T06:00:00Z"),
            file_arrival_location: Some("s3://landing/orders/".to_owned()),
            updated_tables: Some(["silver.orders", "silver.customers"].map(|table| (table.to_owned(), update)).into()),
        },
        workspace: Workspace { id: "shop".to_owned(), url: "http://localhost:9601".to_owned() },
        task: CurrentTask {
            name: "load".to_owned(),
            run_id: "42-load-3".to_owned(),
            execution_count: 3,
            retry_count: 1,
            started: at("2026-03-02T00:00:01Z"),
        },
        tasks: [("count".to_owned(), ended_well()), ("load-orders".to_owned(), ended_badly())].into(),
        input: json!({"table": "orders", "key": {"columns": ["id", 1]}, "last": null}),
    }
}

fn ended_well() -> TaskResults {
    TaskResults {
        run_id: "42-count-1".to_owned(),
        result_state: ResultState::Success,
        error_code: None,
        execution_count: 1,
        values: object(json!({
            "rows": 9_007_199_254_740_993_u64, "share": 0.5, "full": true, "name": "a \"b\"", "list": [1, "x"],
            "table": {"version": 3, "name": "silver.orders"}, "with-dash": 1,
        })),
        rows: Some(vec![object(json!({"day": "2026-03-01", "n": 2})), object(json!({"day": "2026-03-02", "n": null}))]),
    }
}

fn ended_badly() -> TaskResults {
    TaskResults {
        run_id: "42-load-orders-4".to_owned(),
        result_state: ResultState::UpstreamFailed,
        error_code: Some("unavailable".to_owned()),
        execution_count: 4,
        values: Map::new(),
        rows: None,
    }
}

/// A text, and what it becomes with [`facts`].
const VALUES: &[(&str, &str)] = &[
    ("{{job.id}}", "j-1"),
    ("{{job.name}}", "nightly"),
    ("{{job.run_id}}", "42"),
    ("{{job.repair_count}}", "2"),
    ("{{job.start_time.iso_date}}", "2026-03-01"),
    ("{{job.start_time.iso_datetime}}", "2026-03-01T06:05:09Z"),
    ("{{job.start_time.iso_weekday}}", "7"),
    ("{{job.start_time.is_weekday}}", "false"),
    ("{{job.start_time.year}}", "2026"),
    ("{{job.start_time.month}}", "3"),
    ("{{job.start_time.day}}", "1"),
    ("{{job.start_time.hour}}", "6"),
    ("{{job.start_time.minute}}", "5"),
    ("{{job.start_time.second}}", "9"),
    ("{{job.start_time.timestamp_ms}}", "1772345109250"),
    ("{{job.parameters.day}}", "2026-02-28"),
    ("{{job.parameters.`param$@`}}", "odd"),
    ("{{job.trigger.type}}", "table_update"),
    ("{{job.trigger.time.iso_datetime}}", "2026-03-01T06:00:00Z"),
    ("{{job.trigger.time.minute}}", "0"),
    ("{{job.trigger.file_arrival.location}}", "s3://landing/orders/"),
    ("{{job.trigger.table_update.updated_tables}}", r#"["silver.customers","silver.orders"]"#),
    ("{{job.trigger.table_update.silver.orders.version}}", "7"),
    ("{{job.trigger.table_update.`silver.orders`.commit_timestamp.iso_datetime}}", "2026-03-01T05:59:58Z"),
    ("{{task.name}}", "load"),
    ("{{task.run_id}}", "42-load-3"),
    ("{{task.execution_count}}", "3"),
    ("{{tasks.count.run_id}}", "42-count-1"),
    ("{{tasks.count.result_state}}", "success"),
    ("{{tasks.`load-orders`.result_state}}", "upstream_failed"),
    ("{{tasks.count.error_code}}", ""),
    ("{{tasks.`load-orders`.error_code}}", "unavailable"),
    ("{{tasks.`load-orders`.execution_count}}", "4"),
    ("{{tasks.count.values.rows}}", "9007199254740993"),
    ("{{tasks.count.values.share}}", "0.5"),
    ("{{tasks.count.values.full}}", "true"),
    ("{{tasks.count.values.name}}", "a \"b\""),
    ("{{tasks.count.values.list}}", r#"[1,"x"]"#),
    ("{{tasks.count.values.table}}", r#"{"version":3,"name":"silver.orders"}"#),
    ("{{tasks.count.values.table.name}}", "silver.orders"),
    ("{{tasks.count.values.`with-dash`}}", "1"),
    ("{{tasks.count.output.first_row.day}}", "2026-03-01"),
    ("{{tasks.count.output.rows}}", r#"[{"day":"2026-03-01","n":2},{"day":"2026-03-02","n":null}]"#),
    ("{{input}}", r#"{"table":"orders","key":{"columns":["id",1]},"last":null}"#),
    ("{{input.table}}", "orders"),
    ("{{input.key.columns}}", r#"["id",1]"#),
    ("{{input.last}}", "null"),
    ("{{workspace.id}}", "shop"),
    ("{{workspace.url}}", "http://localhost:9601"),
    ("{{backfill.iso_date}}", "2025-12-31"),
    ("{{backfill.iso_datetime}}", "2025-12-31T00:00:00Z"),
    ("{{job_id}}", "j-1"),
    ("{{run_id}}", "42-load-3"),
    ("{{start_date}}", "2026-03-02"),
    ("{{start_time}}", "1772409601000"),
    ("{{task_key}}", "load"),
    ("{{parent_run_id}}", "42"),
    ("{{task_retry_count}}", "1"),
    ("{{ job.id }}", "j-1"),
    ("run {{job.run_id}} of {{job.name}}!", "run 42 of nightly!"),
    ("{\"id\":{{{job.run_id}}}}", "{\"id\":{42}}"),
];

#[test]
fn every_reference_has_its_value() {
    let facts = facts();
    for (text, expected) in VALUES {
        let template = Template::parse(text).unwrap();
        assert!(!template.is_literal(), "{text}");
        assert_eq!(template.fill(&facts.scope()).unwrap(), *expected, "{text}");
    }
}

#[test]
fn what_is_no_reference_stays() {
    let facts = facts();
    for text in [
        "{{foo}}",
        "{{ foo.bar }}",
        "{{jobs.id}}",
        "{{secrets.scope.key}}",
        "{{job.id",
        "{{job.id}",
        "{{job id}}",
        "{{job.id + 1}}",
        "{{job.parameters.run-date}}",
        "{{}}",
        "${var.x} {{{{",
    ] {
        let template = Template::parse(text).unwrap();
        assert!(template.is_literal(), "{text}");
        assert_eq!(template.fill(&facts.scope()).unwrap(), text);
    }
}

#[test]
fn an_unknown_name_of_a_known_namespace_is_a_problem() {
    for (text, reason) in [
        ("{{job.nam}}", "`job` has no `nam`; did you mean `name`?"),
        ("{{job.trigers.type}}", "`job` has no `trigers`; did you mean `trigger`?"),
        (
            "{{job}}",
            "`job` needs one of these after it: id, name, run_id, repair_count, start_time, parameters, trigger",
        ),
        ("{{job.id.x}}", "`job.id` has no fields"),
        ("{{job.start_time.iso_dat}}", "`job.start_time` has no `iso_dat`; did you mean `iso_date`?"),
        (
            "{{job.trigger.time.zone}}",
            "`job.trigger.time` has no `zone`; it has iso_date, iso_datetime, iso_weekday, \
          is_weekday, year, month, day, hour, minute, second, timestamp_ms",
        ),
        ("{{job.trigger.kind}}", "`job.trigger` has no `kind`; it has type, time, file_arrival, table_update"),
        (
            "{{job.trigger.file_arrival.locations}}",
            "`job.trigger.file_arrival` has no `locations`; did you mean `location`?",
        ),
        ("{{job.parameters}}", "`job.parameters` needs the name of a parameter after it"),
        (
            "{{job.parameters.a.b}}",
            "a parameter has no fields; for a parameter with that name, write job.parameters.`a.b`",
        ),
        ("{{task.nmae}}", "`task` has no `nmae`; did you mean `name`?"),
        ("{{tasks}}", "`tasks` needs the key of a task after it"),
        (
            "{{tasks.t.state}}",
            "`tasks.t` has no `state`; it has run_id, result_state, error_code, execution_count, values, output",
        ),
        ("{{tasks.t.value.k}}", "`tasks.t` has no `value`; did you mean `values`?"),
        ("{{tasks.t.values}}", "`tasks.t.values` needs the name of a value after it"),
        ("{{tasks.t.output.row}}", "`tasks.t.output` has no `row`; did you mean `rows`?"),
        ("{{tasks.t.output.first_row}}", "`tasks.t.output.first_row` needs the name of one column after it"),
        ("{{workspace.ur}}", "`workspace` has no `ur`; did you mean `url`?"),
        ("{{backfill.iso_dat}}", "`backfill` has no `iso_dat`; did you mean `iso_date`?"),
    ] {
        let problem = Template::parse(&format!("before {text} after")).unwrap_err();
        assert_eq!(problem.reference, text);
        assert_eq!(problem.reason, reason);
        assert_eq!(stage::Error::from(problem).kind(), Kind::Config);
    }
    assert!(Template::parse("{{job.trigger.table_update.silver.orders}}").unwrap_err().reason.contains("`version`"));
}

#[test]
fn a_reference_without_a_value_says_why() {
    let facts = facts();
    for (text, reason) in [
        ("{{job.parameters.dya}}", "the workflow has no parameter `dya`; did you mean `day`?"),
        ("{{tasks.counts.run_id}}", "task `counts` has not run; did you mean `count`?"),
        (
            "{{tasks.count.values.row}}",
            "task `count` published no value `row`, and ended as SUCCESS; did you mean `rows`?",
        ),
        ("{{tasks.count.values.table.verson}}", "the value `table` has no field `verson`; did you mean `version`?"),
        ("{{tasks.count.values.rows.x}}", "the value `rows` has no field `x`: that part of it is no object"),
        (
            "{{tasks.count.output.first_row.dy}}",
            "the query of task `count` returned no column `dy`; did you mean `day`?",
        ),
        (
            "{{tasks.`load-orders`.output.rows}}",
            "task `load-orders` returned no rows: it is no query, or it ended before, as UPSTREAM_FAILED",
        ),
        ("{{input.tabel}}", "the input has no field `tabel`; did you mean `table`?"),
        ("{{input.key.column}}", "the input has no field `column`; did you mean `columns`?"),
        ("{{task.notebook_path}}", "there are no notebooks here"),
        (
            "{{job.trigger.table_update.`silver.order`.version}}",
            "table `silver.order` is none of those whose update started the run; did you mean `silver.orders`?",
        ),
    ] {
        let error = Template::parse(text).unwrap().fill(&facts.scope()).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.message(), format!("cannot fill `{text}`: {reason}"));
    }
}

#[test]
fn what_a_run_by_hand_lacks_is_named() {
    let mut facts = facts();
    facts.trigger =
        Trigger { name: "onetime".to_owned(), file_arrival_location: None, updated_tables: None, ..facts.trigger };
    for (text, reason) in [
        ("{{task.name}}", "the text belongs to no task"),
        ("{{start_time}}", "the text belongs to no task"),
        ("{{input}}", "the task is not inside a for_each_task"),
        ("{{backfill.iso_date}}", "the run is no backfill"),
        (
            "{{job.trigger.file_arrival.location}}",
            "the run was not started by the arrival of a file; its trigger is `onetime`",
        ),
        (
            "{{job.trigger.table_update.updated_tables}}",
            "the run was not started by the update of a table; its trigger is `onetime`",
        ),
    ] {
        let error = Template::parse(text).unwrap().fill(&facts.bare_scope()).unwrap_err();
        assert_eq!(error.message(), format!("cannot fill `{text}`: {reason}"));
    }
}

#[test]
fn a_query_without_rows_has_no_first_one() {
    let mut facts = facts();
    facts.tasks.get_mut("count").unwrap().rows = Some(Vec::new());
    let fill = |text| Template::parse(text).unwrap().fill(&facts.scope());
    assert_eq!(fill("{{tasks.count.output.rows}}").unwrap(), "[]");
    assert!(fill("{{tasks.count.output.first_row.day}}").unwrap_err().message().contains("returned no row"));
}

#[test]
fn a_value_is_not_searched_for_references() {
    let filled = Template::parse("{{job.parameters.braces}}").unwrap().fill(&facts().scope()).unwrap();
    assert_eq!(filled, "{{job.id}}");
}

#[test]
fn a_parameter_may_refer_to_what_is_known_when_a_run_starts() {
    let parameter = Template::parse_parameter("{{job.start_time.iso_date}}/{{backfill.iso_date}}").unwrap();
    assert_eq!(parameter.fill(&facts().scope()).unwrap(), "2026-03-01/2025-12-31");
    for text in ["{{job.parameters.day}}", "{{task.name}}", "{{tasks.t.run_id}}", "{{input}}", "{{start_date}}"] {
        let problem = Template::parse_parameter(&format!("{{{{job.id}}}} {text}")).unwrap_err();
        assert_eq!(problem.reference, text);
    }
}

#[test]
fn what_looks_like_a_reference_and_is_none_is_found() {
    let text = "{{job.parameters.run-date}} {{foo}} {{ tasks.load-orders.run_id }} {{job.id}} {{jobs}} {{input[0]}}\n\
                {{job.id\n}";
    let template = Template::parse(text).unwrap();
    let expected = ["{{job.parameters.run-date}}", "{{ tasks.load-orders.run_id }}", "{{input[0]}}", "{{job.id"];
    assert_eq!(template.left_alone(), expected);
}

#[test]
fn a_text_is_shown_with_the_values_that_are_known() {
    let template = Template::parse("{{ job.run_id }} {{ tasks.later.values.`a-b` }} {{foo}}").unwrap();
    assert_eq!(template.fill_known(&facts().scope()), "42 {{tasks.later.values.`a-b`}} {{foo}}");
}
