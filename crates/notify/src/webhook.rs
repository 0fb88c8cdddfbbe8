//! Posting to a webhook.
//!
//! Redirects are not followed: they would carry the notice and the headers to a place nobody wrote down, and most turn a
//! POST into a GET that loses the notice.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};
use stage::{Error, Result, Secret};

use crate::fault::{cause, is_tls, told};
use crate::retry::{Failure, Retries, Tries};
use crate::spec::WebhookSpec;
use crate::template::Expose;

/// Who we say we are.
const AGENT: &str = concat!("medallion/", env!("CARGO_PKG_VERSION"));
/// How much of an answer is read.
const MOST_READ: usize = 4_096;

/// A webhook, ready to be posted to.
pub(crate) struct Webhook {
    client: Client,
    url: Url,
    headers: HeaderMap,
    id: String,
    /// What no message may hold.
    hidden: Vec<Secret>,
}

impl Webhook {
    /// Reads secrets and certificates; it may block. Nothing is sent.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when they cannot be had or used, or as `expose` has it.
    pub(crate) fn new(id: &str, spec: &WebhookSpec, expose: &Expose, time_limit: Duration) -> Result<Webhook> {
        let doing = || format!("could not notify the webhook `{id}`");
        let address = spec.url.exposed(expose).map_err(|error| error.context(doing()))?;
        let mut hidden = Vec::new();
        let url = Url::parse(address.expose().trim()).ok().filter(|url| url.has_host() && is_web(url));
        let Some(url) = url else {
            let why = "its url is not an address; expected http://... or https://...";
            return Err(Error::config(format!("{}: {why}", doing())));
        };
        hidden.extend(url.password().map(Secret::new));
        hidden.push(Secret::new(url.path()));
        hidden.extend(url.path().split('/').map(Secret::new));
        hidden.extend(url.query().map(Secret::new));
        hidden.extend(url.query_pairs().map(|(_, value)| Secret::new(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in &spec.headers {
            let value = value.exposed(expose).map_err(|error| error.context(doing()))?;
            let unfit = || Error::config(format!("{}: its header `{name}` cannot be sent", doing()));
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
            let mut sent = HeaderValue::from_str(value.expose()).map_err(|_| unfit())?;
            sent.set_sensitive(true);
            headers.insert(header, sent);
            // `Bearer` is no secret, what follows it is.
            hidden.extend(value.expose().split_whitespace().map(Secret::new));
            hidden.push(value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let client = client(spec, time_limit).map_err(|error| error.context(doing()))?;
        Ok(Webhook { client, url, headers, id: id.to_owned(), hidden })
    }

    /// Posts a body, and tries again while that may help.
    ///
    /// # Errors
    /// As [`crate::Notifier::send`].
    pub(crate) async fn post(&self, body: &str, retries: Retries) -> Result<()> {
        let mut tries = Tries::new(retries);
        while let Err(failure) = self.post_once(body, retries.time_limit).await {
            tries.wait_after(failure).await?;
        }
        Ok(())
    }

    async fn post_once(&self, body: &str, time_limit: Duration) -> Result<(), Failure> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body.to_owned());
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(self.refusal(response).await),
            Err(error) => Err(self.absence(&error.without_url(), time_limit)),
        }
    }

    /// What an answer means that is no success.
    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let asked = header(RETRY_AFTER).and_then(|value| retry_after(value, Utc::now()));
        let moved = header(LOCATION).and_then(|to| self.url.join(to).ok()).map(|to| host(&to));
        let said = told(&beginning(response).await, &self.hidden);
        let doing = self.doing();
        let check = format!("check [notifications.webhooks.{}]", self.id);
        let said = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Failure::Passing(Error::unavailable(format!("{doing}: it answered {said}")), asked);
        }
        Failure::Final(Error::config(match moved.filter(|_| status.is_redirection()) {
            Some(to) => format!("{doing}: it answered {status}, to {to}; redirects are not followed, {check}"),
            None => format!("{doing}: it answered {said}; {check}"),
        }))
    }

    /// What it means that there was no answer.
    fn absence(&self, error: &reqwest::Error, time_limit: Duration) -> Failure {
        let doing = self.doing();
        if error.is_timeout() {
            return Failure::Passing(Error::unavailable(format!("{doing}: no answer within {time_limit:?}")), None);
        }
        let why = told(&cause(error), &self.hidden);
        if is_tls(error) {
            let id = &self.id;
            let message = format!("{doing}: {why}; check url and ca_file in [notifications.webhooks.{id}]");
            return Failure::Final(Error::config(message));
        }
        match error.is_builder() {
            true => Failure::Final(Error::config(format!("{doing}: {why}"))),
            false => Failure::Passing(Error::unavailable(format!("{doing}: {why}")), None),
        }
    }

    fn doing(&self) -> String {
        format!("could not notify the webhook `{}` at {}", self.id, host(&self.url))
    }
}

fn client(spec: &WebhookSpec, time_limit: Duration) -> Result<Client> {
    let builder = Client::builder().timeout(time_limit).redirect(redirect::Policy::none()).no_proxy().user_agent(AGENT);
    let mut builder = builder.referer(false);
    if let Some(path) = &spec.ca_file {
        let failed = || format!("could not use `{path}`, its ca_file");
        let pem = std::fs::read(path).map_err(|error| Error::config(failed()).with_source(error))?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(Error::config(format!("{}: there is no certificate in PEM in it", failed())));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| Error::config("could not make a client").with_source(error.without_url()))
}

/// The beginning of what a server answered; nothing when it does not come.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MOST_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MOST_READ - bytes.len())]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How long a server asks to wait: seconds, or a date as RFC 9110 has it in 10.2.3.
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((until.to_utc() - now).to_std().unwrap_or_default())
}

pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The host and the port, if it is not the usual one; nothing else of an address may be shown.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_asks_for_seconds_or_until_a_date() {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:00Z").unwrap().to_utc();
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(37)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
