//! Telling people and programs outside what becomes of runs: what a workflow and its tasks ask for, sent as
//! `[notifications]` says.
//!
//! [`RunNotices`] hears the events of one run and decides what there is to tell and whom. An [`Outbox`] sends it in the
//! background, for all runs of a process: a run never waits for a server, except at its end and not for long, and a notice
//! that cannot be delivered is a warning and never the failure of a run.
//!
//! Items of a loop and the tasks of a nested workflow are told of by the task that they belong to.

mod backlog;
mod outbox;
mod run;
mod scheduled;
#[cfg(test)]
mod tests;

use notify::{Destination, Notifier};
use workflow::{Notifications, Occasion};

pub(crate) use self::backlog::Backlog;
pub(crate) use self::outbox::Outbox;
pub(crate) use self::run::RunNotices;
pub(crate) use self::scheduled::ScheduledNotices;
use crate::project::Project;

/// What sends the notices of a project.
pub(crate) fn notifier(project: &Project) -> Notifier {
    let secrets = project.secrets.clone();
    Notifier::new(project.notifications.clone(), move |text| {
        crate::project::exposed(text, &secrets).map(|(secret, _)| secret)
    })
}

/// Where the notices of an occasion go: one mail for all addresses, and each webhook.
fn destinations(notifications: &Notifications, occasion: Occasion) -> Vec<Destination> {
    let Some(recipients) = notifications.recipients.get(&occasion) else { return Vec::new() };
    let mail = (!recipients.addresses.is_empty()).then(|| Destination::Mail(recipients.addresses.clone()));
    mail.into_iter().chain(recipients.webhooks.iter().cloned().map(Destination::Webhook)).collect()
}
