//! Settings as users write them, and what is wrong with them.

use serde_json::{Value, json};

use crate::{Destination, NotificationsSpec, check};

fn spec(value: Value) -> NotificationsSpec {
    serde_json::from_value(value).unwrap()
}

/// The places of all problems.
fn places(value: Value) -> Vec<String> {
    check(&spec(value)).into_iter().map(|problem| problem.at.trim_start_matches("notifications/").to_owned()).collect()
}

fn mail(changed: Value) -> Value {
    let mut mail = json!({
        "host": "smtp.example.com", "from": "Medallion <ops@example.com>", "username": "ops",
        "password": "${secret.mail.password}",
    });
    mail.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    json!({ "mail": mail })
}

fn webhook(kind: &str, url: &str, headers: Value) -> Value {
    json!({ "webhooks": { "ops": { "kind": kind, "url": url, "headers": headers } } })
}

#[test]
fn settings_that_are_right_have_no_problem() {
    for right in [
        json!({}),
        mail(json!({})),
        mail(json!({ "tls": "implicit", "port": 4650, "ca_file": "ca.pem", "from": "ops@example.com" })),
        mail(json!({ "tls": "none", "host": "127.0.0.1" })),
        mail(json!({ "tls": "none", "host": "::1" })),
        mail(json!({ "tls": "none", "username": null, "password": null })),
        webhook("slack", "https://hooks.slack.com/services/${secret.slack.path}", json!({})),
        webhook("teams", "${secret.teams.url}", json!({})),
        webhook("generic", "http://intranet/hook", json!({ "X-Key": "${secret.hook.key}" })),
        webhook("generic", "https://${secret.hook.user}:${secret.hook.password}@intranet/hook", json!({})),
    ] {
        assert_eq!(check(&spec(right.clone())), [], "{right}");
    }
}

#[test]
fn every_mistake_is_reported_where_it_stands() {
    for (wrong, place) in [
        (mail(json!({ "host": "" })), "mail/host"),
        (mail(json!({ "host": "smtp://example.com" })), "mail/host"),
        (mail(json!({ "host": "example.com:25" })), "mail/host"),
        (mail(json!({ "port": 0 })), "mail/port"),
        (mail(json!({ "from": "ops" })), "mail/from"),
        (mail(json!({ "from": "jürgen@example.com" })), "mail/from"),
        (mail(json!({ "username": null })), "mail/password"),
        (mail(json!({ "password": null })), "mail/username"),
        (mail(json!({ "username": "" })), "mail/username"),
        (mail(json!({ "password": "hunter2" })), "mail/password"),
        (mail(json!({ "tls": "none" })), "mail/tls"),
        (mail(json!({ "tls": "none", "host": "::1", "ca_file": "ca.pem" })), "mail/ca_file"),
        (webhook("generic", "ftp://host/x", json!({})), "webhooks/ops/url"),
        (webhook("generic", "host/x", json!({})), "webhooks/ops/url"),
        (webhook("generic", "", json!({})), "webhooks/ops/url"),
        (webhook("generic", "ftp://${secret.a.b}", json!({})), "webhooks/ops/url"),
        (webhook("generic", "https://user:hunter2@host/x", json!({})), "webhooks/ops/url"),
        (webhook("slack", "http://hooks.slack.com/services/x", json!({})), "webhooks/ops/url"),
        (webhook("generic", "https://host", json!({ "a b": "x" })), "webhooks/ops/headers/a b"),
        (webhook("generic", "https://host", json!({ "Host": "x" })), "webhooks/ops/headers/Host"),
        (webhook("generic", "https://host", json!({ "x": "a\r\nb: c" })), "webhooks/ops/headers/x"),
        (json!({ "webhooks": { "a/b": { "kind": "generic", "url": "https://host" } } }), "webhooks/a/b"),
    ] {
        assert_eq!(places(wrong.clone()), [place], "{wrong}");
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let mut wrong = mail(json!({ "host": "", "from": "", "port": 0 }));
    wrong["webhooks"] = webhook("teams", "", json!({ "host": "" }))["webhooks"].clone();
    assert_eq!(places(wrong), ["mail/host", "mail/port", "mail/from", "webhooks/ops/url", "webhooks/ops/headers/host"]);
}

#[test]
fn unknown_keys_are_errors() {
    assert!(serde_json::from_value::<NotificationsSpec>(mail(json!({ "hots": "x" }))).is_err());
    assert!(serde_json::from_value::<NotificationsSpec>(webhook("pager", "https://host", json!({}))).is_err());
}

#[test]
fn secrets_and_addresses_show_in_no_debug_and_in_no_problem() {
    let mut wrong = mail(json!({ "password": "hunter2" }));
    wrong["webhooks"] = webhook("generic", "ftp://host/hunter2", json!({ "key\n": "hunter2" }))["webhooks"].clone();
    let spec = spec(wrong);
    assert!(!format!("{spec:?} {:?}", check(&spec)).contains("hunter2"));
}

#[test]
fn a_destination_is_known_or_told_what_is_missing() {
    let ops = |id: &str| Destination::Webhook(id.to_owned());
    let to = |address: &str| Destination::Mail(vec![address.to_owned()]);
    let mut settings = mail(json!({}));
    settings["webhooks"] = webhook("generic", "https://host", json!({}))["webhooks"].clone();
    let settings = spec(settings);
    assert_eq!(settings.check_destination(&ops("ops")), Ok(()));
    assert_eq!(settings.check_destination(&to("ada@example.com")), Ok(()));
    assert!(settings.check_destination(&ops("opps")).unwrap_err().contains("unknown webhook `opps`"));
    assert!(settings.check_destination(&to("ada")).unwrap_err().contains("`ada` is no mail address"));
    assert!(spec(json!({})).check_destination(&to("ada@example.com")).unwrap_err().contains("[notifications.mail]"));
}

#[test]
fn the_schema_says_where_secrets_may_stand() {
    let schema = schemars::schema_for!(NotificationsSpec).to_value();
    let definitions = &schema["$defs"];
    let marked = |value: &Value| value["x-may-be-secret"] == json!(true);
    assert!(marked(&definitions["MailSpec"]["properties"]["password"]), "{definitions:#}");
    assert!(marked(&definitions["WebhookSpec"]["properties"]["url"]), "{definitions:#}");
    assert!(marked(&definitions["WebhookSpec"]["properties"]["headers"]["additionalProperties"]), "{definitions:#}");
}
