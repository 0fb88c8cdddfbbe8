//! The inside of a JSON string: where it stops being plain, and the text it stands for.
//!
//! A string stays as it stands in the text until somebody asks for its value; most hold no escape, and those are never
//! copied.

use std::borrow::Cow;

/// The inside of a string as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoted<'a> {
    /// The text between the quotes.
    pub(crate) inside: &'a str,
    /// Byte offset of `inside` in the text.
    pub(crate) start: usize,
    /// Whether `inside` holds escapes.
    pub(crate) escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The string it stands for; `None` when an escape is not a character (half a surrogate pair).
    pub(crate) fn unescaped(&self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return Some(Cow::Borrowed(self.inside));
        }
        let mut out = String::with_capacity(self.inside.len());
        let mut rest = self.inside;
        while let Some(at) = rest.find('\\') {
            out.push_str(rest.get(..at)?);
            rest = rest.get(at + 1..)?;
            rest = unescape_one(rest, &mut out)?;
        }
        out.push_str(rest);
        Some(Cow::Owned(out))
    }
}

/// The offset of the next quote, backslash or control character from `at` on, looked for eight bytes at a time.
#[inline]
pub(crate) fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(eight) = bytes.get(at..at + 8) {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        let word = u64::from_le_bytes(word);
        let quotes = word ^ (ONES * b'"' as u64);
        let slashes = word ^ (ONES * b'\\' as u64);
        // The lowest set bit is exact: borrows only reach bytes above the first hit.
        let hits = (quotes.wrapping_sub(ONES) & !quotes)
            | (slashes.wrapping_sub(ONES) & !slashes)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let hits = hits & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// Reads one escape behind its backslash and returns what follows.
fn unescape_one<'a>(rest: &'a str, out: &mut String) -> Option<&'a str> {
    let letter = *rest.as_bytes().first()?;
    let plain = match letter {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = u32::from_str_radix(rest.get(1..5)?, 16).ok()?;
            if !(0xD800..0xE000).contains(&high) {
                out.push(char::from_u32(high)?);
                return rest.get(5..);
            }
            let low = u32::from_str_radix(rest.get(5..)?.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
            if high >= 0xDC00 || !(0xDC00..0xE000).contains(&low) {
                return None;
            }
            out.push(char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))?);
            return rest.get(11..);
        }
        _ => return None,
    };
    out.push(plain);
    rest.get(1..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::decode::scan::Scanner;

    #[test]
    fn half_a_surrogate_pair_is_no_string() {
        let text = r#""\ud83d" "\ud83d\ude00" "\ude00""#;
        let mut scanner = Scanner::new(text);
        assert_eq!(scanner.string().unwrap().unescaped(), None);
        assert_eq!(scanner.string().unwrap().unescaped().unwrap(), "😀");
        assert_eq!(scanner.string().unwrap().unescaped(), None);
    }

    proptest! {
        #[test]
        fn strings_unescape_as_in_serde_json(text in any::<String>()) {
            let quoted = serde_json::to_string(&text).unwrap();
            let found = Scanner::new(&quoted).string().unwrap().unescaped().unwrap().into_owned();
            prop_assert_eq!(found, text);
        }
    }
}
