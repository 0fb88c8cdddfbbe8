//! How notices are written. `UPDATE_GOLDEN=1` writes the files of `golden` anew.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::Mailbox;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::{failure, time};
use crate::body::{Stamp, mail, webhook};
use crate::{Event, Notice, WebhookKind};

/// Compares a text with a file of `golden`.
fn check_golden(name: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", file.display());
}

fn check_webhook(name: &str, kind: WebhookKind, notice: &Notice) {
    check_golden(name, &(serde_json::to_string_pretty(&webhook(kind, notice)).unwrap() + "\n"));
}

fn skipped() -> Notice {
    Notice {
        reason: Some("a run is active and max_concurrent_runs is 1".to_owned()),
        started_at: Some(time("2026-03-01T02:00:00Z")),
        ..Notice::new(Event::Skipped, "shop", "daily")
    }
}

fn task() -> Notice {
    Notice { task_key: Some("load".to_owned()), seconds: Some(3.2), ..failure() }
}

/// A mail with fixed date and id.
fn written(notice: &Notice) -> String {
    let from: Mailbox = "Medallion <ops@example.com>".parse().unwrap();
    let to: Vec<Mailbox> = ["ada@example.com", "bob@example.com"].map(|address| address.parse().unwrap()).into();
    let stamp = Stamp { date: UNIX_EPOCH + Duration::from_secs(1_772_330_476), id: Uuid::from_u128(7) };
    String::from_utf8(mail(notice, &from, &to, &stamp).unwrap().formatted()).unwrap()
}

#[test]
fn json_for_programs_has_every_field() {
    check_webhook("generic-failure.json", WebhookKind::Generic, &failure());
    check_webhook("generic-test.json", WebhookKind::Generic, &Notice::new(Event::Test, "shop", ""));
}

#[test]
fn a_message_for_slack_is_made_of_blocks() {
    check_webhook("slack-failure.json", WebhookKind::Slack, &failure());
    check_webhook("slack-skipped.json", WebhookKind::Slack, &skipped());
}

#[test]
fn a_message_for_teams_is_an_adaptive_card() {
    check_webhook("teams-failure.json", WebhookKind::Teams, &task());
    check_webhook("teams-skipped.json", WebhookKind::Teams, &skipped());
}

#[test]
fn a_mail_is_text_and_the_same_as_html() {
    check_golden("failure.eml", &written(&failure()).replace("\r\n", "\n"));
    check_golden("skipped.eml", &written(&skipped()).replace("\r\n", "\n"));
}

#[test]
fn mails_of_one_run_are_a_thread_and_those_of_another_are_not() {
    let thread = |notice: &Notice| {
        let mail = written(notice);
        let header = mail.lines().find_map(|line| line.strip_prefix("In-Reply-To: ")).map(str::to_owned);
        assert_eq!(header, mail.lines().find_map(|line| line.strip_prefix("References: ")).map(str::to_owned));
        header
    };
    let start = Notice { run: Some(12), ..Notice::new(Event::Start, "shop", "daily") };
    assert!(thread(&start).is_some());
    assert_eq!(thread(&start), thread(&failure()));
    assert_ne!(thread(&start), thread(&Notice { run: Some(13), ..start.clone() }));
    assert_ne!(thread(&start), thread(&Notice { workflow: "hourly".to_owned(), ..start }));
    assert_eq!(thread(&skipped()), None);
}

#[test]
fn a_name_with_line_breaks_adds_no_header() {
    let name = "daily\r\nBcc: eve@example.com\r\n\r\nHello\u{2028}x";
    let mail = written(&Notice { run: Some(1), ..Notice::new(Event::Failure, name, name) });
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    let names: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    let expected = [
        "From",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "To",
        "In-Reply-To",
        "References",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(names, expected);
}

/// All texts in a JSON value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

prop_compose! {
    fn hostile()(
        names in prop::array::uniform3("[\\PC\r\n<>&|`*\\x00]{0,400}"),
        error in "[a-z<>&`\r\n\\x01😀]{0,6000}",
        parameters in prop::collection::btree_map("[a-z<&]{1,9}", "[\\PC<>&]{0,900}", 0..9),
        link in prop::option::of("https://host/[a-z<>|&\"?]{0,4000}"),
    ) -> Notice {
        let [project, workflow, state] = names;
        Notice {
            state: Some(state.clone()),
            task_key: Some(state.clone()),
            reason: Some(state),
            error_message: Some(error),
            parameters,
            link,
            ..Notice { project, workflow, ..failure() }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_in_a_notice_is_more_than_text_to_slack(notice in hostile()) {
        let body = webhook(WebhookKind::Slack, &notice);
        let mut found = Vec::new();
        texts(&body, &mut found);
        for text in found {
            prop_assert!(text.chars().count() <= 3_000);
            let is_link = text.starts_with("<https://") && text.ends_with("|Open the run>");
            let inner = if is_link { &text[1..text.len() - "|Open the run>".len()] } else { &text };
            prop_assert!(!inner.contains(['<', '>']), "{inner}");
            prop_assert!(!is_link || !inner.contains('|'));
            let escapes = ["&amp;", "&lt;", "&gt;"];
            prop_assert!(inner.match_indices('&').all(|(at, _)| escapes.iter().any(|one| inner[at..].starts_with(one))));
        }
        let fields = body["blocks"].as_array().unwrap().iter().filter_map(|block| block["fields"].as_array());
        for fields in fields {
            prop_assert!(fields.len() <= 10);
            prop_assert!(fields.iter().all(|field| field["text"].as_str().unwrap().chars().count() <= 2_000));
        }
    }

    #[test]
    fn a_message_for_teams_is_never_too_large(notice in hostile()) {
        prop_assert!(webhook(WebhookKind::Teams, &notice).to_string().len() < 28_000);
    }

    #[test]
    fn a_mail_has_no_headers_from_its_notice_and_lines_of_legal_length(notice in hostile()) {
        let mail = written(&notice);
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        prop_assert_eq!(head.lines().filter(|line| !line.starts_with([' ', '\t'])).count(), 10);
        prop_assert!(mail.is_ascii());
        prop_assert!(mail.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    }
}
