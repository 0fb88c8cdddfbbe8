//! `medallion notify <address or webhook>`: whether notices arrive.

use ::notify::{Destination, Event, Notice};
use ::stage::{Error, Result};

use crate::args::NotifyArguments;
use crate::notifying::notifier;
use crate::output;
use crate::project::{Project, hint};

/// Sends a test notice and waits for it to be taken.
pub(super) async fn run(project: Project, arguments: &NotifyArguments) -> Result<u8> {
    let to = destination(&project, &arguments.to)?;
    let notice = Notice::new(Event::Test, project.name.as_str(), "");
    notifier(&project).send(&notice, &to).await?;
    output::print(&format!("a test notice was sent to {to}"));
    Ok(0)
}

/// An address has an `@` in it, and the id of a webhook never has.
fn destination(project: &Project, text: &str) -> Result<Destination> {
    let to = match text.contains('@') {
        true => Destination::Mail(vec![text.to_owned()]),
        false => Destination::Webhook(text.to_owned()),
    };
    let known = project.notifications.webhooks.keys().map(String::as_str);
    let hint = if text.contains('@') { String::new() } else { hint(text, known) };
    project.notifications.check_destination(&to).map_err(|why| Error::config(format!("{why}{hint}")))?;
    Ok(to)
}
