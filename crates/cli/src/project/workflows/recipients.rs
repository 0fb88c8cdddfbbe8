//! Whether those that a workflow tells can be reached: webhooks and a mail server stand in `[notifications]`.

use std::collections::BTreeSet;

use notify::Destination;
use stage::Problem;
use workflow::{Body, Notifications, Occasion};

use super::Read;
use crate::project::Project;
use crate::project::nearest::hint;

/// The recipients of a workflow and its tasks that cannot be reached, each with why.
pub(super) fn unknown(read: &Read, project: &Project) -> Vec<Problem> {
    let mut problems = of_one(read.workflow.notifications(), "", project);
    for (index, task) in read.workflow.tasks().iter().enumerate() {
        problems.extend(of_one(task.notifications(), &format!("tasks/{index}/"), project));
    }
    problems
}

/// Notifications of the tasks inside loops, which nobody is told by.
pub(super) fn untold(read: &Read) -> Vec<Problem> {
    let tasks = read.workflow.tasks().iter().enumerate();
    let untold = tasks.filter_map(|(index, task)| match task.body() {
        Body::ForEach { task, .. } if !task.notifications().recipients.is_empty() => {
            let message = "items do not tell of themselves; put the notifications on the for_each task";
            Some(Problem::new(format!("tasks/{index}/for_each_task/task/task_key"), message))
        }
        _ => None,
    });
    untold.collect()
}

fn of_one(notifications: &Notifications, at: &str, project: &Project) -> Vec<Problem> {
    let known = &project.notifications;
    let mut problems = Vec::new();
    // That there is no mail server is said once, whoever is to get mail.
    let mut told = BTreeSet::new();
    for (occasion, recipients) in &notifications.recipients {
        let field = field(*occasion);
        for (index, address) in recipients.addresses.iter().enumerate() {
            if let Err(why) = known.check_destination(&Destination::Mail(vec![address.clone()]))
                && told.insert(why.clone())
            {
                problems.push(Problem::new(format!("{at}email_notifications/{field}/{index}"), why));
            }
        }
        for (index, webhook) in recipients.webhooks.iter().enumerate() {
            if let Err(why) = known.check_destination(&Destination::Webhook(webhook.clone())) {
                let hint = hint(webhook, known.webhooks.keys().map(String::as_str));
                let at = format!("{at}webhook_notifications/{field}/{index}/id");
                problems.push(Problem::new(at, format!("{why}{hint}")));
            }
        }
    }
    problems
}

/// The field of Jobs JSON that an occasion has.
fn field(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Start => "on_start",
        Occasion::Success => "on_success",
        Occasion::Failure => "on_failure",
        Occasion::DurationWarning => "on_duration_warning_threshold_exceeded",
        Occasion::BacklogWarning => "on_streaming_backlog_exceeded",
    }
}
