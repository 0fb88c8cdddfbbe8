//! What other libraries say of a failure, in a few words that hold no secret.

use std::error::Error as StdError;
use std::io;

use stage::Secret;

use crate::text::{one_line, shortened};

/// How much of a server's answer is told, in bytes.
const MOST: usize = 300;
/// Shorter texts are found in everything, so leaving them out would say more than it hides.
const LEAST_HIDDEN: usize = 4;

/// The innermost cause of an error: what the system or the server said.
pub(crate) fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Whether TLS itself failed: the certificate is not trusted, or the other side does not speak TLS here.
pub(crate) fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref().is_some_and(is_invalid_data) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What TLS says of a peer arrives as an error of reading. One such error within another is not its source.
fn is_invalid_data(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == io::ErrorKind::InvalidData || inner.is_some_and(is_invalid_data)
}

/// What a server said, on one line, short, and without what must not be told; servers like to repeat what they were sent.
pub(crate) fn told(text: &str, hidden: &[Secret]) -> String {
    let mut hidden: Vec<&str> = hidden.iter().map(Secret::expose).filter(|text| text.len() >= LEAST_HIDDEN).collect();
    // A longer text may hold a shorter one.
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let mut text = text.to_owned();
    for secret in hidden {
        text = text.replace(secret, "***");
    }
    shortened(&one_line(&text), MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_of_a_secret_is_left_out() {
        let hidden = ["/services/T0/B0/hunter2", "hunter2"].map(Secret::new);
        assert_eq!(told("no such path\r\n/services/T0/B0/hunter2 (hunter2)", &hidden), "no such path *** (***)");
        assert!(told(&"x".repeat(9_000), &hidden).len() <= MOST);
    }
}
