//! The whole way of a notice, against servers of our own, and how it is written.

mod bodies;
mod checks;
mod http;
mod mail;
mod mail_server;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stage::{Error, Result, Secret};
use tokio_rustls::TlsAcceptor;

use crate::{Event, Notice, NotificationsSpec, Notifier, Retries};

/// A file beside the tests.
fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/data").join(name)
}

/// The certificate of the authority that signed the one of our servers; theirs is for `localhost` alone.
fn authority() -> Option<String> {
    Some(data("authority.pem").to_string_lossy().into_owned())
}

/// What our servers encrypt with.
fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(data("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(data("server.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()))
}

/// The secrets of the tests.
fn expose(template: &str) -> Result<Secret> {
    match template {
        "${secret.mail.password}" => Ok(Secret::new("hunter2")),
        "${secret.mail.old}" => Ok(Secret::new("hunter1")),
        "Bearer ${secret.hook.token}" => Ok(Secret::new("Bearer hunter2")),
        other => Err(Error::config(format!("could not read secret `{other}`"))),
    }
}

/// A notifier that does not wait, but for a server that hangs.
fn notifier(spec: NotificationsSpec) -> Notifier {
    let second = Duration::from_secs(1);
    let retries =
        Retries { tries: 3, first_delay: Duration::ZERO, longest_delay: Duration::ZERO, time_limit: 20 * second };
    Notifier::new(spec, expose).with_retries(retries)
}

/// The same, which soon loses patience as well.
fn hurried(spec: NotificationsSpec) -> Notifier {
    let time_limit = Duration::from_millis(100);
    Notifier::new(spec, expose).with_retries(Retries {
        tries: 2,
        first_delay: Duration::ZERO,
        time_limit,
        ..Retries::default()
    })
}

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A notice with everything in it.
fn failure() -> Notice {
    Notice {
        run: Some(12),
        state: Some("FAILED".to_owned()),
        parameters: [("day", "2026-03-01"), ("region", "Zürich <eu>")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        started_at: Some(time("2026-03-01T02:00:00Z")),
        ended_at: Some(time("2026-03-01T02:01:15.250Z")),
        seconds: Some(75.25),
        rows_written: Some(1_204_331),
        error_kind: Some("data".to_owned()),
        error_message: Some(
            "could not cast `<b>x</b>` & \"y\" to int in orders.csv\nline 2: ```*bold*``` <!channel>".to_owned(),
        ),
        link: Some("https://ops.example.com/runs/12?tab=log&task=load".to_owned()),
        ..Notice::new(Event::Failure, "shop", "daily")
    }
}
