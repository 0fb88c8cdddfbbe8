//! Notices by mail, against a server.

use stage::{Kind, Result};

use super::mail_server::{MailServer, Manners};
use super::{authority, failure, hurried, notifier};
use crate::{Destination, MailSpec, NotificationsSpec, Template, TlsMode};

/// Settings that fit a server: what it wants is given, and its certificate is trusted.
fn settings(server: &MailServer, tls: TlsMode, password: Option<&str>) -> NotificationsSpec {
    let mail = MailSpec {
        host: "localhost".to_owned(),
        port: Some(server.port),
        tls,
        from: "Medallion <ops@example.com>".to_owned(),
        username: password.map(|_| "ops".to_owned()),
        password: password.map(|key| Template::new(format!("${{secret.mail.{key}}}"))),
        ca_file: authority().filter(|_| tls != TlsMode::None),
    };
    NotificationsSpec { mail: Some(mail), ..NotificationsSpec::default() }
}

fn ada_and_bob() -> Destination {
    Destination::Mail(["ada@example.com", "bob@example.com", "ada@example.com"].map(str::to_owned).into())
}

async fn sent(manners: Manners) -> (MailServer, Result<()>) {
    let server = MailServer::start(manners).await;
    let outcome = notifier(settings(&server, TlsMode::None, None)).send(&failure(), &ada_and_bob()).await;
    (server, outcome)
}

#[tokio::test]
async fn all_addresses_get_one_mail() {
    let (server, outcome) = sent(Manners::default()).await;
    outcome.unwrap();
    let mails = server.mails();
    assert_eq!((mails.len(), server.connections()), (1, 1));
    assert_eq!(mails[0].from, "ops@example.com");
    assert_eq!(mails[0].to, ["ada@example.com", "bob@example.com"]);
    assert!(!mails[0].is_encrypted && !mails[0].is_logged_in);
    for header in ["Subject: [shop] daily failed (run 12)\r\n", "To: ada@example.com, bob@example.com\r\n"] {
        assert!(mails[0].content.contains(header), "{}", mails[0].content);
    }
}

#[tokio::test]
async fn a_mail_is_encrypted_before_the_login() {
    for tls in [TlsMode::Starttls, TlsMode::Implicit] {
        let server = MailServer::start(Manners { tls, login: Some(("ops", "hunter2")), ..Manners::default() }).await;
        notifier(settings(&server, tls, Some("password"))).send(&failure(), &ada_and_bob()).await.unwrap();
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{tls:?}");
        assert!(mails[0].is_encrypted && mails[0].is_logged_in, "{tls:?}");
    }
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_at_once() {
    for tls in [TlsMode::Starttls, TlsMode::Implicit] {
        let server = MailServer::start(Manners { tls, ..Manners::default() }).await;
        let mut untrusted = settings(&server, tls, None);
        untrusted.mail.as_mut().unwrap().ca_file = None;
        let mut other_host = settings(&server, tls, None);
        other_host.mail.as_mut().unwrap().host = "127.0.0.1".to_owned();
        for (index, spec) in [untrusted, other_host].into_iter().enumerate() {
            let error = notifier(spec).send(&failure(), &ada_and_bob()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
            assert!(error.chain().contains("invalid peer certificate"), "{}", error.chain());
            assert!(error.chain().contains("ca_file in [notifications.mail]"), "{}", error.chain());
            assert_eq!((server.connections(), server.mails().len()), (index + 1, 0));
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_is_told_nothing() {
    let manners =
        Manners { tls: TlsMode::Starttls, offers: false, login: Some(("ops", "hunter2")), ..Manners::default() };
    let server = MailServer::start(manners).await;
    let spec = settings(&server, TlsMode::Starttls, Some("password"));
    let error = notifier(spec).send(&failure(), &ada_and_bob()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.chain().contains("it offers no STARTTLS"), "{}", error.chain());
    assert_eq!((server.connections(), server.logins(), server.mails().len()), (1, 0, 0));
}

#[tokio::test]
async fn a_wrong_password_is_one_clear_line_and_not_tried_again() {
    let server = MailServer::start(Manners { login: Some(("ops", "hunter2")), ..Manners::default() }).await;
    let spec = settings(&server, TlsMode::None, Some("old"));
    let error = notifier(spec).send(&failure(), &ada_and_bob()).await.unwrap_err();
    let expected = format!(
        "could not send mail through localhost:{}: the login as `ops` was refused: 535 5.7.8 bad credentials in AUTH PLAIN \
         ***; check [notifications.mail]",
        server.port
    );
    assert_eq!((error.kind(), error.chain()), (Kind::Config, expected));
    assert_eq!((server.logins(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_server_in_trouble_is_tried_again_with_the_same_mail() {
    let manners = Manners { contents: vec!["451 later", "452 disk full"], ..Manners::default() };
    let (server, outcome) = sent(manners).await;
    outcome.unwrap();
    assert_eq!((server.connections(), server.mails().len()), (3, 1));
    let (server, outcome) = sent(Manners { contents: vec!["451 later"; 9], ..Manners::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), server.connections()), (Kind::Unavailable, 3));
    assert!(error.chain().ends_with("the mail was refused: 451 later"), "{}", error.chain());
}

#[tokio::test]
async fn a_refused_mail_is_told_at_once() {
    let (server, outcome) = sent(Manners { contents: vec!["554 5.7.1 spam"], ..Manners::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), server.connections()), (Kind::Config, 1));
    assert!(error.chain().contains("the mail was refused: 554 5.7.1 spam"), "{}", error.chain());
}

#[tokio::test]
async fn a_refused_address_is_named_and_the_others_get_the_mail() {
    let refused = vec![("ada@example.com", "550 no such user", 9)];
    let (server, outcome) = sent(Manners { refused, ..Manners::default() }).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.chain().ends_with("ada@example.com was refused: 550 no such user"), "{}", error.chain());
    assert_eq!(server.mails().len(), 1);
    assert_eq!(server.mails()[0].to, ["bob@example.com"]);
}

#[tokio::test]
async fn an_address_that_is_put_off_gets_the_mail_later_and_the_others_get_it_once() {
    let refused = vec![("ada@example.com", "450 try later", 1)];
    let (server, outcome) = sent(Manners { refused, ..Manners::default() }).await;
    outcome.unwrap();
    let to: Vec<Vec<String>> = server.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, [["bob@example.com"], ["ada@example.com"]]);
    let id = |mail: &str| mail.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    assert_eq!(id(&server.mails()[0].content), id(&server.mails()[1].content));
}

#[tokio::test]
async fn a_mail_that_was_taken_is_not_sent_again_when_the_server_leaves_without_a_word() {
    let (server, outcome) = sent(Manners { is_rude: true, ..Manners::default() }).await;
    outcome.unwrap();
    assert_eq!((server.connections(), server.mails().len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_tried_again_and_given_up() {
    let server = MailServer::start(Manners { is_silent: true, ..Manners::default() }).await;
    let spec = settings(&server, TlsMode::None, None);
    let error = hurried(spec).send(&failure(), &ada_and_bob()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let expected = format!("gave up after 2 tries: could not send mail through localhost:{}: ", server.port);
    assert!(
        error.chain().starts_with(&expected) && error.chain().ends_with("no answer within 100ms"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn what_is_no_address_is_not_sent_to() {
    let server = MailServer::start(Manners::default()).await;
    let notifier = notifier(settings(&server, TlsMode::None, None));
    for address in ["ada", "a@b\r\nRCPT TO:<eve@example.com>", "jürgen@example.com", ""] {
        let error = notifier.send(&failure(), &Destination::Mail(vec![address.to_owned()])).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.chain().contains("is no mail address"), "{}", error.chain());
    }
    assert_eq!(server.connections(), 0);
}
