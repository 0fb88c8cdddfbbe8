//! Notices by webhooks, against a server.

use std::collections::BTreeMap;

use stage::{Kind, Result};

use super::http::{Answer, HttpServer};
use super::{authority, failure, hurried, notifier};
use crate::{Destination, NotificationsSpec, Template, WebhookKind, WebhookSpec};

const DONE: Answer = Answer::Told("200 OK", "ok");

/// Settings with a webhook `ops` at that address.
fn settings(url: String) -> NotificationsSpec {
    let headers = BTreeMap::from([("authorization".to_owned(), Template::new("Bearer ${secret.hook.token}"))]);
    let webhook = WebhookSpec { kind: WebhookKind::Generic, url: Template::new(url), headers, ca_file: None };
    NotificationsSpec { webhooks: [("ops".to_owned(), webhook)].into(), ..NotificationsSpec::default() }
}

fn at(server: &HttpServer) -> NotificationsSpec {
    settings(format!("http://127.0.0.1:{}/services/T0SECRET?key=TOPSECRET", server.port))
}

fn ops() -> Destination {
    Destination::Webhook("ops".to_owned())
}

async fn sent(answers: &[Answer]) -> (HttpServer, Result<()>) {
    let server = HttpServer::start(answers, false).await;
    let notifier = notifier(at(&server));
    // From a task of its own, as a scheduler does.
    let sending = tokio::spawn(async move { notifier.send(&failure(), &ops()).await });
    (server, sending.await.unwrap())
}

#[tokio::test]
async fn a_notice_is_posted_once_with_its_headers() {
    let (server, outcome) = sent(&[DONE]).await;
    outcome.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].head.starts_with("POST /services/T0SECRET?key=TOPSECRET HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].head.contains("authorization: Bearer hunter2\r\n"), "{requests:?}");
    assert!(requests[0].head.contains("content-type: application/json; charset=utf-8\r\n"), "{requests:?}");
    let body: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!((&body["version"], &body["event"], &body["run"]), (&1.into(), &"failure".into(), &12.into()));
}

#[tokio::test]
async fn a_server_in_trouble_is_tried_again_until_it_takes_the_notice() {
    let trouble = Answer::Told("500 Internal Server Error", "");
    let (server, outcome) = sent(&[trouble, Answer::Closed, DONE]).await;
    outcome.unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_tried_again() {
    let (server, outcome) =
        sent(&[Answer::Told("429 Too Many Requests\r\nretry-after: 3600", "slow down"), DONE]).await;
    outcome.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_server_that_stays_in_trouble_is_given_up() {
    let (server, outcome) = sent(&[Answer::Told("503 Service Unavailable", "busy")]).await;
    let error = outcome.unwrap_err();
    assert_eq!((server.requests().len(), error.kind()), (3, Kind::Unavailable));
    let expected = format!(
        "gave up after 3 tries: could not notify the webhook `ops` at 127.0.0.1:{}: it answered 503 Service Unavailable: busy",
        server.port
    );
    assert_eq!(error.chain(), expected);
}

#[tokio::test]
async fn what_a_server_refuses_is_told_at_once_and_without_secrets() {
    let answer = "no hook at\n/services/T0SECRET?key=TOPSECRET for Bearer hunter2";
    let (server, outcome) = sent(&[Answer::Told("404 Not Found", answer)]).await;
    let error = outcome.unwrap_err();
    assert_eq!((server.requests().len(), error.kind()), (1, Kind::Config));
    let expected = format!(
        "could not notify the webhook `ops` at 127.0.0.1:{}: it answered 404 Not Found: no hook at ***?*** for ***; \
         check [notifications.webhooks.ops]",
        server.port
    );
    assert_eq!(error.chain(), expected);
}

#[tokio::test]
async fn a_long_answer_is_shortened() {
    let page: &'static str = Box::leak("<p>sorry</p>\n".repeat(9_000).into_boxed_str());
    let (_, outcome) = sent(&[Answer::Told("400 Bad Request", page)]).await;
    assert!(outcome.unwrap_err().chain().len() < 500);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = HttpServer::start(&[DONE], false).await;
    let moved = format!("307 Temporary Redirect\r\nlocation: http://localhost:{}/T0SECRET", elsewhere.port);
    let (server, outcome) = sent(&[Answer::Told(Box::leak(moved.into_boxed_str()), "")]).await;
    let error = outcome.unwrap_err();
    assert!(error.chain().contains(&format!("to localhost:{}; redirects are not", elsewhere.port)), "{error}");
    assert!(!error.chain().contains("SECRET") && error.kind() == Kind::Config, "{error}");
    assert_eq!((server.requests().len(), elsewhere.requests().len()), (1, 0));
}

#[tokio::test]
async fn a_server_that_hangs_is_tried_again_and_given_up() {
    let server = HttpServer::start(&[Answer::Silence], false).await;
    let error = hurried(at(&server)).send(&failure(), &ops()).await.unwrap_err();
    assert!(error.chain().ends_with("no answer within 100ms"), "{}", error.chain());
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_host_and_port_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/T0SECRET");
    let error = notifier(settings(url)).send(&failure(), &ops()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.chain().contains(&format!("`ops` at 127.0.0.1:{port}: Connection refused")), "{}", error.chain());
    assert!(!error.chain().contains("SECRET"), "{}", error.chain());
}

#[tokio::test]
async fn a_certificate_counts_when_its_authority_is_trusted_and_names_the_host() {
    let server = HttpServer::start(&[DONE], true).await;
    let spec = |host: &str, ca_file: Option<String>| {
        let mut spec = settings(format!("https://{host}:{}/T0SECRET", server.port));
        spec.webhooks.get_mut("ops").unwrap().ca_file = ca_file;
        spec
    };
    notifier(spec("localhost", authority())).send(&failure(), &ops()).await.unwrap();
    assert_eq!(server.requests().len(), 1);
    for refused in [spec("localhost", None), spec("127.0.0.1", authority())] {
        let error = notifier(refused).send(&failure(), &ops()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
        assert!(error.chain().contains("invalid peer certificate"), "{}", error.chain());
        assert!(error.chain().ends_with("check url and ca_file in [notifications.webhooks.ops]"), "{}", error.chain());
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_file_without_certificates_is_refused() {
    let mut spec = settings("https://localhost/x".to_owned());
    spec.webhooks.get_mut("ops").unwrap().ca_file = Some(super::data("server.key.pem").to_string_lossy().into_owned());
    let error = notifier(spec).send(&failure(), &ops()).await.unwrap_err();
    assert!(error.chain().ends_with("there is no certificate in PEM in it"), "{}", error.chain());
}

#[tokio::test]
async fn a_webhook_nobody_wrote_down_or_whose_secret_is_missing_is_named() {
    let error = notifier(NotificationsSpec::default()).send(&failure(), &ops()).await.unwrap_err();
    let expected = "could not notify the webhook `ops`: write [notifications.webhooks.ops] in medallion.toml";
    assert_eq!((error.kind(), error.chain().as_str()), (Kind::Config, expected));
    let error = notifier(settings("${secret.hook.gone}".to_owned())).send(&failure(), &ops()).await.unwrap_err();
    assert!(
        error.chain().starts_with("could not notify the webhook `ops`: could not read secret"),
        "{}",
        error.chain()
    );
}
