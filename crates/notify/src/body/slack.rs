//! A notice as a message of Slack's incoming webhooks.
//!
//! Texts are `mrkdwn`, in which `&`, `<` and `>` are escaped, so that nothing becomes a link or calls a channel
//! (<https://docs.slack.dev/messaging/formatting-message-text>). A block's text may have 3000 characters and a field's 2000
//! (<https://docs.slack.dev/reference/block-kit/blocks/section-block>); there are never more than ten facts, so one section
//! has room for them.

use serde_json::{Value, json};

use crate::notice::{Event, Notice};
use crate::text::within;

/// The most bytes of a headline, of a fact and of an error; all below what Slack allows in characters.
const MOST: usize = 1_000;
const MOST_OF_ERROR: usize = 2_500;

/// The body.
pub(super) fn body(notice: &Notice) -> Value {
    let headline = escaped(&notice.headline(), MOST);
    let mut blocks = vec![section(&format!("{} *{headline}*", sign(notice.event)))];
    let fields: Vec<Value> =
        notice.facts().iter().map(|(name, value)| text(&format!("*{name}*\n{}", escaped(value, MOST)))).collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if let Some(error) = notice.error() {
        // Three of these would end the block of code.
        let error = escaped(&error.replace('`', "'"), MOST_OF_ERROR);
        blocks.push(section(&format!("```{error}```")));
    }
    // A link that was cut would lead elsewhere. What would end it early cannot stand in one, but for `|`.
    if let Some(link) = notice.web_link().filter(|link| link.len() <= MOST) {
        blocks.push(section(&format!("<{}|Open the run>", link.replace('|', "%7C").replace('&', "&amp;"))));
    }
    json!({ "text": headline, "blocks": blocks })
}

fn sign(event: Event) -> &'static str {
    match event {
        Event::Start => ":arrow_forward:",
        Event::Success => ":white_check_mark:",
        Event::Failure => ":x:",
        Event::DurationWarning | Event::BacklogWarning => ":warning:",
        Event::Skipped => ":fast_forward:",
        Event::Test => ":wave:",
    }
}

fn section(markup: &str) -> Value {
    json!({ "type": "section", "text": text(markup) })
}

/// `verbatim` keeps Slack from finding names and addresses in the text by itself.
fn text(markup: &str) -> Value {
    json!({ "type": "mrkdwn", "text": markup, "verbatim": true })
}

fn escaped(text: &str, most: usize) -> String {
    within(text, most, |one, shown| match one {
        '&' => shown.push_str("&amp;"),
        '<' => shown.push_str("&lt;"),
        '>' => shown.push_str("&gt;"),
        other => shown.push(other),
    })
}
