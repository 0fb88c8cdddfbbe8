//! Who is told of what: addresses and webhooks by occasion, and the figures that are watched.

use std::collections::BTreeMap;

use stage::Problem;

use crate::definition::{HealthRule, Notifications, Occasion, Recipients};
use crate::spec::{HealthSpec, MailSpec, TaskSpec, WebhookSpec, WebhooksSpec, WorkflowSpec};

/// The most webhooks for one occasion.
const MOST_WEBHOOKS: usize = 3;

/// What a workflow says.
pub(super) fn of_workflow(spec: &WorkflowSpec, problems: &mut Vec<Problem>) -> Notifications {
    let settings = spec.notification_settings.clone().unwrap_or_default();
    let older = spec.email_notifications.as_ref().is_some_and(|mail| mail.no_alert_for_skipped_runs);
    Notifications {
        recipients: recipients(spec.email_notifications.as_ref(), spec.webhook_notifications.as_ref(), "", problems),
        not_of_skipped: settings.no_alert_for_skipped_runs || older,
        not_of_canceled: settings.no_alert_for_canceled_runs,
        only_last_attempt: false,
        health: health(spec.health.as_ref(), "health", problems),
    }
}

/// What a task says. A condition task tells nobody anything.
pub(super) fn of_task(task: &TaskSpec, at: &str, problems: &mut Vec<Problem>) -> Notifications {
    let tells = task.email_notifications.is_some() || task.webhook_notifications.is_some();
    if task.condition_task.is_some() && tells {
        problems
            .push(Problem::new(at, "nobody is told of a condition_task; put the notifications on the tasks after it"));
    }
    let settings = task.notification_settings.clone().unwrap_or_default();
    let at = format!("{at}/");
    Notifications {
        recipients: recipients(task.email_notifications.as_ref(), task.webhook_notifications.as_ref(), &at, problems),
        not_of_skipped: settings.no_alert_for_skipped_runs,
        not_of_canceled: settings.no_alert_for_canceled_runs,
        only_last_attempt: settings.alert_on_last_attempt,
        health: health(task.health.as_ref(), &format!("{at}health"), problems),
    }
}

fn recipients(
    mail: Option<&MailSpec>,
    webhooks: Option<&WebhooksSpec>,
    at: &str,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Occasion, Recipients> {
    let (mail, webhooks) = (mail.cloned().unwrap_or_default(), webhooks.cloned().unwrap_or_default());
    let occasions = [
        (Occasion::Start, "on_start", mail.on_start, webhooks.on_start),
        (Occasion::Success, "on_success", mail.on_success, webhooks.on_success),
        (Occasion::Failure, "on_failure", mail.on_failure, webhooks.on_failure),
        (
            Occasion::DurationWarning,
            "on_duration_warning_threshold_exceeded",
            mail.on_duration_warning_threshold_exceeded,
            webhooks.on_duration_warning_threshold_exceeded,
        ),
        (
            Occasion::BacklogWarning,
            "on_streaming_backlog_exceeded",
            mail.on_streaming_backlog_exceeded,
            webhooks.on_streaming_backlog_exceeded,
        ),
    ];
    let mut found = BTreeMap::new();
    for (occasion, field, addresses, webhooks) in occasions {
        for (index, address) in addresses.iter().enumerate().filter(|(_, address)| !is_address(address)) {
            let at = format!("{at}email_notifications/{field}/{index}");
            problems.push(Problem::new(at, format!("`{address}` is no mail address")));
        }
        if webhooks.len() > MOST_WEBHOOKS {
            let message =
                format!("at most {MOST_WEBHOOKS} webhooks are called for one occasion, found {}", webhooks.len());
            problems.push(Problem::new(format!("{at}webhook_notifications/{field}"), message));
        }
        if !addresses.is_empty() || !webhooks.is_empty() {
            let webhooks = webhooks.into_iter().map(|WebhookSpec { id }| id).collect();
            found.insert(occasion, Recipients { addresses, webhooks });
        }
    }
    found
}

/// Only what keeps mistakes from looking right; whether there is such a mailbox its server knows.
fn is_address(text: &str) -> bool {
    let plain = !text.chars().any(|one| one.is_whitespace() || one.is_control() || "<>,;".contains(one));
    plain
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

fn health(spec: Option<&HealthSpec>, at: &str, problems: &mut Vec<Problem>) -> Vec<HealthRule> {
    let rules = spec.map(|spec| spec.rules.as_slice()).unwrap_or_default().iter().enumerate();
    let checked = rules.filter_map(|(index, rule)| match u64::try_from(rule.value) {
        Ok(limit) => Some(HealthRule { metric: rule.metric, limit }),
        Err(_) => {
            let message = format!("expected a limit of at least 0, found {}", rule.value);
            problems.push(Problem::new(format!("{at}/rules/{index}/value"), message));
            None
        }
    });
    checked.collect()
}
