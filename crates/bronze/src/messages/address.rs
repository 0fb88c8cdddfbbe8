//! Addresses of servers. A user and a password may stand in one, and what is shown of it never holds them.

/// Whether it is an address of the web.
pub(crate) fn is_address(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// Whether it holds more than may be shown.
pub(crate) fn may_hold_secret(url: &str) -> bool {
    shown(url) != url
}

/// The address without a user and a password before the host, and without all that stands behind a question mark.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (place, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    // A password that was not escaped may hold any of these letters; then more is left out than need be, and not less.
    match query.contains('@') {
        true => format!("{scheme}***"),
        false => format!("{scheme}{}", place.rsplit('@').next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_holds_no_secret() {
        for (url, expected) in [
            ("http://registry:8081/path", "http://registry:8081/path"),
            ("https://user:hunter2@registry/path", "https://registry/path"),
            ("https://user:hun/ter2@registry/path", "https://registry/path"),
            ("https://user:hun?ter2@registry/path", "https://***"),
            ("https://registry/token?secret=hunter2", "https://registry/token"),
            ("user:hunter2@registry", "registry"),
        ] {
            assert_eq!(shown(url), expected);
            assert_eq!(may_hold_secret(url), url != expected);
        }
    }
}
