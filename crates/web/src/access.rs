//! Who is answered, and what every answer says to the browser.
//!
//! `Host` has to be an address that is listened on, `localhost`, or a name that was allowed: a browser that was led here under
//! another name (DNS rebinding) says so in it. Its port is not looked at, because tunnels have their own. `Origin`, when a
//! browser sends it, has to name that same host and port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::failure::Failure;
use crate::token::Token;

/// Nothing from another host, nothing inside the markup, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Fields of every answer that does not set them itself.
const FIELDS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// The rules by which requests are answered or turned away.
#[derive(Debug)]
pub struct Access {
    token: Token,
    address: IpAddr,
    names: Vec<String>,
}

impl Access {
    /// The rules for that address. `names` are allowed as `Host` besides the address and `localhost`.
    pub fn new(token: Token, address: SocketAddr, names: Vec<String>) -> Access {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        Access { token, address: address.ip(), names }
    }

    /// Whether reading needs the token: where others than the users of this machine can reach it. A name besides `localhost`
    /// means that something stands in front and lets others through; whatever `Host` it passes on, they are not local.
    pub fn guards_reading(&self) -> bool {
        !self.address.to_canonical().is_loopback() || !self.names.is_empty()
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Failure> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.knows(host) {
            let message = format!("`{host}` is not a name of this server; --allow-host allows it");
            return Err(Failure::forbidden(message));
        }
        if let Some(origin) = headers.get(ORIGIN)
            && origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_none_or(|(_, from)| from != host)
        {
            return Err(Failure::forbidden("this request comes from the page of another site"));
        }
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        let is_open = is_reading && (!self.guards_reading() || !(path.starts_with("/api/") || path == "/metrics"));
        if is_open {
            return Ok(());
        }
        let given = headers.get(AUTHORIZATION).and_then(|given| given.to_str().ok());
        match given.and_then(|given| given.strip_prefix("Bearer ")) {
            None => Err(Failure::unauthorized("this needs the token, as `Authorization: Bearer <token>`")),
            Some(given) if self.token.is(given.trim()) => Ok(()),
            Some(_) => Err(Failure::unauthorized("this is not the token")),
        }
    }

    /// Whether a `Host` names this server. An IP address cannot be rebound, so any is one when all are listened on.
    fn knows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return address == self.address || address.is_loopback() || self.address.is_unspecified();
        }
        name == "localhost" || self.names.contains(&name)
    }
}

/// A host without the port behind it; an address of IPv6 keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Answers what may be answered, and adds the fields of [`FIELDS`].
pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match access.check(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    for (name, value) in FIELDS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(address: &str, names: &[&str]) -> Access {
        let token = Token::new("0123456789abcdef").unwrap();
        Access::new(token, address.parse().unwrap(), names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        let local = access("127.0.0.1:9601", &["Medallion.example.org"]);
        for host in ["127.0.0.1:9601", "localhost:9601", "localhost", "[::1]:9601", "medallion.example.org:443"] {
            assert!(local.knows(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:9601", "localhost.evil.example", "192.0.2.1:9601", ":9601"] {
            assert!(!local.knows(host), "{host}");
        }
        let all = access("0.0.0.0:9601", &[]);
        assert!(all.knows("192.0.2.1:9601") && !all.knows("evil.example"));
    }

    #[test]
    fn reading_needs_the_token_only_where_others_can_reach_it() {
        let ask = |address: &str, method: Method, path: &str, given: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            if let Some(given) = given {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(given).unwrap());
            }
            access(address, &[]).check(&method, path, &headers).is_ok()
        };
        let right = Some("Bearer 0123456789abcdef");
        assert!(ask("127.0.0.1:1", Method::GET, "/api/runs", None));
        assert!(!ask("127.0.0.1:1", Method::POST, "/api/runs/1/cancel", None));
        assert!(!ask("127.0.0.1:1", Method::POST, "/api/runs/1/cancel", Some("Bearer another")));
        assert!(!ask("127.0.0.1:1", Method::POST, "/api/runs/1/cancel", Some("Basic 0123456789abcdef")));
        assert!(ask("127.0.0.1:1", Method::POST, "/api/runs/1/cancel", right));
        assert!(!ask("192.0.2.1:1", Method::GET, "/api/runs", None));
        assert!(!ask("192.0.2.1:1", Method::GET, "/metrics", None));
        assert!(ask("192.0.2.1:1", Method::GET, "/api/runs", right));
        assert!(ask("192.0.2.1:1", Method::GET, "/", None));
    }

    #[test]
    fn reading_needs_the_token_where_a_name_lets_others_in() {
        let access = access("127.0.0.1:9601", &["medallion.example.org"]);
        assert!(access.guards_reading());
        // A proxy in front may pass its own address on in place of the name.
        for host in ["medallion.example.org", "127.0.0.1:9601", "localhost:9601"] {
            let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            for path in ["/api/runs", "/api/events", "/metrics"] {
                assert!(access.check(&Method::GET, path, &headers).is_err(), "{host}{path}");
            }
            assert!(access.check(&Method::GET, "/health", &headers).is_ok(), "{host}");
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer 0123456789abcdef"));
            assert!(access.check(&Method::GET, "/api/runs", &headers).is_ok(), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_turned_away() {
        let ask = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:9601"));
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            access("127.0.0.1:9601", &[]).check(&Method::GET, "/api/runs", &headers).is_ok()
        };
        assert!(ask("http://localhost:9601"));
        assert!(ask("https://localhost:9601"));
        assert!(!ask("http://localhost:9602") && !ask("http://evil.example") && !ask("null"));
    }
}
