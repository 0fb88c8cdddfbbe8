//! A notice as mail: plain text, and the same as HTML.
//!
//! Every header is one line whatever a name holds, since names are put on one line before and encoded by the library after
//! (RFC 2047). Mails of one run refer to one message that never was, so that mail programs show them as a thread.

use std::time::SystemTime;

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use stage::{Error, Result};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::notice::Notice;
use crate::text::{html, shortened};

/// The most bytes of a subject, and of each text below it.
const MOST_OF_SUBJECT: usize = 250;
const MOST: usize = 20_000;

/// What makes one mail different from the same at another time.
pub(crate) struct Stamp {
    pub(crate) date: SystemTime,
    pub(crate) id: Uuid,
}

impl Stamp {
    /// That of a mail that is written now.
    pub(crate) fn now() -> Self {
        Stamp { date: SystemTime::now(), id: Uuid::new_v4() }
    }
}

/// The mail.
pub(crate) fn mail(notice: &Notice, from: &Mailbox, to: &[Mailbox], stamp: &Stamp) -> Result<Message> {
    let domain = from.email.domain();
    let mut mail = Message::builder()
        .from(from.clone())
        .subject(shortened(&notice.headline(), MOST_OF_SUBJECT))
        .date(stamp.date)
        .message_id(Some(format!("<{}@{domain}>", stamp.id.simple())))
        // Programs that answer mail by themselves leave such alone (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    for address in to {
        mail = mail.to(address.clone());
    }
    if let Some(thread) = thread(notice) {
        let thread = format!("<{thread}@{domain}>");
        mail = mail.in_reply_to(thread.clone()).references(thread);
    }
    // Named here, or no addresses would be an error that says nothing.
    let addresses = to.iter().map(|address| address.email.clone()).collect();
    let envelope = Envelope::new(Some(from.email.clone()), addresses);
    let envelope = envelope.map_err(|_| Error::config("could not write a mail: it has no recipient"))?;
    let parts = MultiPart::alternative()
        .boundary(stamp.id.simple().to_string())
        .singlepart(SinglePart::plain(plain_text(notice)))
        .singlepart(SinglePart::html(page(notice)));
    let mail = mail.envelope(envelope).multipart(parts);
    mail.map_err(|error| Error::bug("could not write a mail").with_source(error))
}

/// What all mails of one run have in common.
fn thread(notice: &Notice) -> Option<String> {
    let run = notice.run?;
    let names = format!("{}\0{}", notice.project, notice.workflow);
    Some(format!("run-{run}.{:016x}", xxh3_64(names.as_bytes())))
}

fn plain_text(notice: &Notice) -> String {
    let mut text = format!("{}\n\n", notice.headline());
    for (name, value) in notice.facts() {
        text += &format!("{:14}{}\n", format!("{name}:"), shortened(&value, MOST));
    }
    if let Some(error) = notice.error() {
        text += &format!("\n{}\n", shortened(&error, MOST));
    }
    if let Some(link) = notice.web_link() {
        text += &format!("\n{link}\n");
    }
    text
}

fn page(notice: &Notice) -> String {
    let headline = html(&notice.headline());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{headline}</title>\n</head>\n\
         <body style=\"font-family: sans-serif\">\n<h2 style=\"font-size: 18px\">{headline}</h2>\n"
    );
    let facts = notice.facts();
    if !facts.is_empty() {
        page += "<table cellpadding=\"4\">\n";
        for (name, value) in facts {
            let value = html(&shortened(&value, MOST));
            page += &format!("<tr><td style=\"color: #666\">{name}</td><td>{value}</td></tr>\n");
        }
        page += "</table>\n";
    }
    if let Some(error) = notice.error() {
        let style = "background: #f6f6f6; padding: 8px; white-space: pre-wrap";
        page += &format!("<pre style=\"{style}\">{}</pre>\n", html(&shortened(&error, MOST)));
    }
    if let Some(link) = notice.web_link() {
        page += &format!("<p><a href=\"{}\">Open the run</a></p>\n", html(&link));
    }
    page + "</body>\n</html>\n"
}
