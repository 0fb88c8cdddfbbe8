//! Tokens for OAUTHBEARER: one that was given, or ones asked for with client credentials.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;
use serde::Deserialize;
use stage::{Error, Result, Secret};
use tokio::runtime::Handle;

use super::settings::Effective;
use super::spec::{KafkaSecrets, KafkaSpec, Mechanism};
use crate::messages::address::shown;

/// How long a token is used when nobody says how long it is valid; the library asks again before.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How long the server that gives out tokens may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where tokens come from.
pub(crate) enum Tokens {
    /// A token as it is.
    Given(Secret),
    /// A server that gives them out to a client.
    Asked { url: String, client_id: String, client_secret: Secret, scope: Option<String>, runtime: Handle },
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Tokens {
    /// What the spec says, if it logs in with a token.
    pub(crate) fn of(spec: &KafkaSpec, secrets: &KafkaSecrets, runtime: &Handle) -> Option<Tokens> {
        if Effective::of(spec).mechanism != Some(Mechanism::Oauthbearer) {
            return None;
        }
        if let Some(token) = &secrets.token {
            return Some(Tokens::Given(token.clone()));
        }
        let oauth = spec.security.oauth.as_ref()?;
        Some(Tokens::Asked {
            url: oauth.token_url.clone()?,
            client_id: oauth.client_id.clone()?,
            client_secret: secrets.client_secret.clone()?,
            scope: oauth.scope.clone(),
            runtime: runtime.clone(),
        })
    }

    /// A token for the library. It blocks, and is called on a thread that may.
    ///
    /// # Errors
    /// When the server does not answer or refuses; the token and the secret are never part of the message.
    pub(crate) fn token(&self) -> Result<OAuthToken> {
        let (token, lifetime) = match self {
            Tokens::Given(token) => (token.expose().to_owned(), LIFETIME),
            Tokens::Asked { url, client_id, client_secret, scope, runtime } => {
                let asked = ask(url, client_id, client_secret, scope.as_deref());
                let answer = runtime.block_on(asked)?;
                (answer.access_token, answer.expires_in.map_or(LIFETIME, Duration::from_secs))
            }
        };
        let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + lifetime;
        let lifetime_ms = i64::try_from(until.as_millis()).unwrap_or(i64::MAX);
        Ok(OAuthToken { token, principal_name: "medallion".to_owned(), lifetime_ms })
    }
}

async fn ask(url: &str, client_id: &str, client_secret: &Secret, scope: Option<&str>) -> Result<Answer> {
    let doing = format!("could not get a token from {}", shown(url));
    let failed = |error: reqwest::Error| Error::unavailable(doing.clone()).with_source(error.without_url());
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(failed)?;
    let escape =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        escape(client_id),
        escape(client_secret.expose())
    );
    if let Some(scope) = scope {
        form.push_str(&format!("&scope={}", escape(scope)));
    }
    let request = client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status.is_client_error() {
        return Err(Error::config(format!("{doing}: it answered {status}; check client_id and client_secret")));
    }
    let text = response.error_for_status().map_err(failed)?.text().await.map_err(failed)?;
    // What the answer holds is secret, so only that it cannot be read is told.
    serde_json::from_str(&text).map_err(|_| Error::unavailable(format!("{doing}: the answer holds no access_token")))
}
