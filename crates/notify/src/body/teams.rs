//! A notice as an Adaptive Card in a message, which the Teams workflow "when a Teams webhook request is received" posts
//! (<https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>).
//!
//! Texts are runs of a `RichTextBlock`, in which there is no Markdown, so nothing needs to be escaped
//! (<https://learn.microsoft.com/adaptive-cards/schema-explorer/text-run>). Teams refuses messages beyond 28 KB, so texts
//! are shortened to well below.

use serde_json::{Value, json};

use crate::notice::{Event, Notice};
use crate::text::shortened;

/// The most bytes of a headline or a fact, of an error, and of a link. JSON may write each byte as six.
const MOST: usize = 250;
const MOST_OF_ERROR: usize = 1_000;
const MOST_OF_LINK: usize = 2_000;

/// The body.
pub(super) fn body(notice: &Notice) -> Value {
    let headline = shortened(&notice.headline(), MOST);
    let mut blocks = vec![paragraph(json!([
        { "type": "TextRun", "text": headline, "size": "Large", "weight": "Bolder", "color": color(notice.event) }
    ]))];
    for (name, value) in notice.facts() {
        blocks.push(paragraph(json!([
            { "type": "TextRun", "text": format!("{name}: "), "weight": "Bolder" },
            { "type": "TextRun", "text": shortened(&value, MOST) },
        ])));
    }
    if let Some(error) = notice.error() {
        let error = shortened(&error, MOST_OF_ERROR);
        blocks.push(paragraph(json!([{ "type": "TextRun", "text": error, "fontType": "Monospace" }])));
    }
    // A link that was cut would lead elsewhere.
    let link = notice.web_link().filter(|link| link.len() <= MOST_OF_LINK);
    let actions: Vec<Value> = link
        .map(|link| json!({ "type": "Action.OpenUrl", "title": "Open the run", "url": link }))
        .into_iter()
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "fallbackText": headline,
                "msteams": { "width": "Full" },
                "body": blocks,
                "actions": actions,
            },
        }],
    })
}

fn paragraph(inlines: Value) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

fn color(event: Event) -> &'static str {
    match event {
        Event::Start | Event::Test => "Accent",
        Event::Success => "Good",
        Event::Failure => "Attention",
        Event::DurationWarning | Event::BacklogWarning | Event::Skipped => "Warning",
    }
}
