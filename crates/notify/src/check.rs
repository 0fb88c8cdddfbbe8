//! What is wrong with `[notifications]`, as far as it can be told without asking anyone.

use lettre::message::Mailbox;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use stage::Problem;

use crate::notifier::Destination;
use crate::smtp::mail_address;
use crate::spec::{MailSpec, NotificationsSpec, TlsMode, WebhookKind, WebhookSpec};
use crate::template::Template;
use crate::webhook::is_web;

/// Headers that are ours to say.
const DECIDED: [&str; 5] = ["content-type", "content-length", "host", "connection", "transfer-encoding"];

/// Every problem of the settings. Places begin with `notifications`.
pub fn check(spec: &NotificationsSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(mail) = &spec.mail {
        let mut report = |at: &str, why: String| problems.push(Problem::new(format!("notifications/mail/{at}"), why));
        check_mail(mail, &mut report);
    }
    for (id, webhook) in &spec.webhooks {
        let place = format!("notifications/webhooks/{id}");
        let is_id = |one: char| one.is_ascii_alphanumeric() || "_-".contains(one);
        if id.is_empty() || !id.chars().all(is_id) {
            let why = format!("`{id}` is no id of a webhook; expected letters, digits, `_` and `-`");
            problems.push(Problem::new(place.clone(), why));
        }
        let mut report = |at: &str, why: String| problems.push(Problem::new(format!("{place}/{at}"), why));
        check_webhook(webhook, &mut report);
    }
    problems
}

impl NotificationsSpec {
    /// Whether notices can be sent there, and if not, why in words for the user. The nearest known id is for the caller to
    /// name.
    ///
    /// # Errors
    /// What is missing in the settings or wrong with an address.
    pub fn check_destination(&self, to: &Destination) -> Result<(), String> {
        match to {
            Destination::Mail(_) if self.mail.is_none() => {
                Err("no mail server is known; write [notifications.mail] in medallion.toml".to_owned())
            }
            Destination::Mail(addresses) => match addresses.iter().find(|address| mail_address(address).is_none()) {
                Some(address) => Err(format!("`{address}` is no mail address; expected one such as ops@example.com")),
                None => Ok(()),
            },
            Destination::Webhook(id) if !self.webhooks.contains_key(id) => {
                Err(format!("unknown webhook `{id}`; write [notifications.webhooks.{id}] in medallion.toml"))
            }
            Destination::Webhook(_) => Ok(()),
        }
    }
}

fn check_mail(mail: &MailSpec, report: &mut impl FnMut(&str, String)) {
    let is_host = |one: char| one.is_ascii_alphanumeric() || "-._:".contains(one);
    if mail.host.is_empty() {
        report("host", "no mail server is named; expected one such as smtp.example.com".to_owned());
    } else if !mail.host.chars().all(is_host) {
        report("host", format!("`{}` is no host; expected one such as smtp.example.com", mail.host));
    } else if mail.host.parse::<std::net::Ipv6Addr>().is_err() && mail.host.contains(':') {
        report("host", "a port cannot stand here; write it as port".to_owned());
    }
    if mail.port == Some(0) {
        report("port", "0 is no port; leave it out for the usual one".to_owned());
    }
    let sender = mail.from.parse::<Mailbox>().ok();
    if sender.is_none_or(|sender| mail_address(sender.email.as_ref()).is_none()) {
        let expected = "expected one such as ops@example.com or Medallion <ops@example.com>";
        report("from", format!("`{}` is no mail address; {expected}", mail.from));
    }
    match (&mail.username, &mail.password) {
        (Some(_), None) => report("username", "`username` and `password` belong together; write both".to_owned()),
        (None, Some(_)) => report("password", "`username` and `password` belong together; write both".to_owned()),
        _ => {}
    }
    if mail.username.as_ref().is_some_and(String::is_empty) {
        report("username", "no user is named; leave username and password out for no login".to_owned());
    }
    if mail.password.as_ref().is_some_and(|password| !password.is_reference()) {
        let why =
            "a secret cannot stand in a file; write it as ${secret.scope.key}, with [secrets.scope] in medallion.toml";
        report("password", why.to_owned());
    }
    if mail.tls == TlsMode::None && mail.password.is_some() && !is_loopback(&mail.host) {
        let why = "the password would cross the network for all to read; write \"starttls\" or \"implicit\"";
        report("tls", why.to_owned());
    }
    if mail.tls == TlsMode::None && mail.ca_file.is_some() {
        report("ca_file", "certificates need TLS; write tls = \"starttls\" or \"implicit\"".to_owned());
    }
}

fn check_webhook(webhook: &WebhookSpec, report: &mut impl FnMut(&str, String)) {
    if let Err(why) = check_url(webhook.kind, &webhook.url) {
        report("url", why.to_owned());
    }
    for (name, value) in &webhook.headers {
        let at = format!("headers/{name}");
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            report(&at, format!("`{name}` is no name of a header"));
        } else if DECIDED.contains(&name.to_ascii_lowercase().as_str()) {
            report(&at, format!("`{name}` cannot be set; it follows from what is sent"));
        } else if HeaderValue::from_str(value.written()).is_err() {
            report(&at, "the value holds a character that no header can have".to_owned());
        }
    }
}

/// What can be told of an address; one that is a secret is looked at when it is used. Messages never show it.
fn check_url(kind: WebhookKind, template: &Template) -> Result<(), &'static str> {
    const EXPECTED: &str = "not an address; expected http://..., https://... or ${secret.scope.key}";
    let text = template.written();
    if text.starts_with("${secret.") {
        return Ok(());
    }
    // A reference within an address stands for letters that any address may have.
    let plain: String = text.split("${secret.").enumerate().fold(String::new(), |plain, (index, part)| {
        let rest = if index == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) };
        if index == 0 { plain + rest } else { plain + "x" + rest }
    });
    let url = Url::parse(&plain).map_err(|_| EXPECTED)?;
    if !is_web(&url) || !url.has_host() {
        return Err(EXPECTED);
    }
    if url.password().is_some() && !template.is_reference() {
        return Err(
            "a password cannot stand in an address; write headers = { Authorization = \"${secret.scope.key}\" }",
        );
    }
    let is_open = url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default());
    match kind {
        WebhookKind::Slack if is_open => Err("Slack is reached by https://"),
        WebhookKind::Teams if is_open => Err("Teams is reached by https://"),
        _ => Ok(()),
    }
}

/// Whether what is sent there stays on this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
