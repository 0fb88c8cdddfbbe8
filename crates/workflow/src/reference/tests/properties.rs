//! What holds for all texts, names and references.

use proptest::prelude::*;

use super::facts;
use crate::reference::names::NAMESPACES;
use crate::reference::{
    JobField, Legacy, Reference, TaskField, TaskResult, Template, TimeArgument, TriggerField, WorkspaceField,
};

/// Any name that backticks can hold.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9_]{1,8}", "[^`]{1,12}"]
}

fn time_argument() -> impl Strategy<Value = TimeArgument> {
    use TimeArgument as T;
    proptest::sample::select(vec![
        T::IsoDate,
        T::IsoDatetime,
        T::IsoWeekday,
        T::IsWeekday,
        T::Year,
        T::Month,
        T::Day,
        T::Hour,
        T::Minute,
        T::Second,
        T::TimestampMs,
    ])
}

/// The references that hold no name of a user.
fn fixed_references() -> Vec<Reference> {
    let job = [JobField::Id, JobField::Name, JobField::RunId, JobField::RepairCount].map(Reference::Job);
    let trigger = [TriggerField::Type, TriggerField::FileArrivalLocation, TriggerField::UpdatedTables];
    let task =
        [TaskField::Name, TaskField::RunId, TaskField::ExecutionCount, TaskField::NotebookPath].map(Reference::Task);
    let workspace = [WorkspaceField::Id, WorkspaceField::Url].map(Reference::Workspace);
    let legacy = [
        Legacy::JobId,
        Legacy::RunId,
        Legacy::StartDate,
        Legacy::StartTime,
        Legacy::TaskKey,
        Legacy::ParentRunId,
        Legacy::TaskRetryCount,
    ];
    let trigger = trigger.map(Reference::Trigger);
    [job.as_slice(), &trigger, &task, &workspace, &legacy.map(Reference::Legacy)].concat()
}

fn task_result() -> impl Strategy<Value = TaskResult> {
    let plain = [
        TaskResult::RunId,
        TaskResult::ResultState,
        TaskResult::ErrorCode,
        TaskResult::ExecutionCount,
        TaskResult::Rows,
    ];
    prop_oneof![
        proptest::sample::select(plain.to_vec()),
        name().prop_map(TaskResult::FirstRow),
        (name(), proptest::collection::vec(name(), 0..3)).prop_map(|(key, path)| TaskResult::Value { key, path }),
    ]
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        proptest::sample::select(fixed_references()),
        time_argument().prop_map(Reference::StartTime),
        time_argument().prop_map(Reference::TriggerTime),
        time_argument().prop_map(Reference::Backfill),
        name().prop_map(Reference::JobParameter),
        name().prop_map(|table| Reference::Trigger(TriggerField::TableVersion(table))),
        (name(), time_argument())
            .prop_map(|(table, argument)| Reference::Trigger(TriggerField::TableCommitTime(table, argument))),
        (name(), task_result()).prop_map(|(task, result)| Reference::OtherTask { task, result }),
        proptest::collection::vec(name(), 0..3).prop_map(Reference::Input),
    ]
}

/// Texts made of the parts of references, right and wrong.
fn confusing_text() -> impl Strategy<Value = String> {
    let parts =
        ["{{", "}}", "{", "}", "`", ".", " ", "\n", "job", "tasks", "input", "id", "é", "foo", "values", "{{job.id}}"];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_text_without_braces_is_itself(text in "[^{]*(\\{[^{]+)*") {
        let template = Template::parse(&text).unwrap();
        prop_assert!(template.is_literal());
        prop_assert_eq!(template.fill(&facts().scope()).unwrap(), text);
    }

    #[test]
    fn only_known_namespaces_can_be_misused(text in prop_oneof![any::<String>(), confusing_text()]) {
        match Template::parse(&text) {
            Ok(template) if template.is_literal() => {
                prop_assert_eq!(template.to_string(), text.clone());
                prop_assert_eq!(template.fill(&facts().scope()).unwrap(), text);
            }
            Ok(template) => prop_assert_eq!(Template::parse(&template.to_string()).unwrap(), template),
            Err(problem) => {
                prop_assert!(text.contains(&problem.reference));
                let first = problem.reference.trim_start_matches(|c: char| c.is_whitespace() || "{`".contains(c));
                prop_assert!(NAMESPACES.iter().any(|namespace| first.starts_with(namespace)));
            }
        }
    }

    #[test]
    fn a_reference_is_read_as_it_is_written(reference in reference(), before in "[^{]*", after in "[^}]*") {
        let template = Template::parse(&format!("{before}{reference}{after}"));
        let template = template.unwrap();
        prop_assert_eq!(template.references().next(), Some(&reference));
    }

    #[test]
    fn any_name_survives_in_backticks(name in "[^`]{1,20}", value: String) {
        let mut facts = facts();
        facts.parameters.insert(name.clone(), value.clone());
        let filled = Template::parse(&format!("<{{{{job.parameters.`{name}`}}}}>")).unwrap().fill(&facts.scope());
        prop_assert_eq!(filled.unwrap(), format!("<{value}>"));
    }
}
