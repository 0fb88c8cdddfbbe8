//! A strict JSON scanner over one text. It validates and skips; it never builds a tree.
//!
//! Strict means RFC 8259: no trailing commas, no leading zeros, no raw control characters in strings. Nesting is bounded,
//! so no input can exhaust the stack.

use std::borrow::Cow;
use std::ops::Range;

use crate::decode::quoted::{Quoted, plain_until};

/// Deeper nesting than this is a syntax error.
pub(crate) const MAX_DEPTH: usize = 128;

/// What is wrong with a JSON text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// What was expected or found.
    pub(crate) what: &'static str,
    /// Byte offset from the beginning of the value.
    pub(crate) at: usize,
}

impl std::fmt::Display for Syntax {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at column {}", self.what, self.at + 1)
    }
}

type Result<T> = std::result::Result<T, Syntax>;

/// A place in a text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    begin: usize,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the beginning of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Scanner::within(text, 0..text.len())
    }

    /// At the beginning of a part of `text`, which must lie inside. Offsets stay those of `text`.
    pub(crate) fn within(text: &'a str, part: Range<usize>) -> Self {
        Scanner { text, bytes: text.as_bytes().get(..part.end).unwrap_or_default(), begin: part.start, at: part.start }
    }

    /// The byte offset of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to an offset that [`Scanner::at`] returned.
    pub(crate) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// The text from an offset to here.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The next byte that is not white space, not consumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Consumes `byte`, the next one that is not white space.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong(what))
        }
    }

    /// Steps from one member or element to the next; false at the end of the container, which is consumed.
    #[inline]
    pub(crate) fn more(&mut self, close: u8, first: bool, what: &'static str) -> Result<bool> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                if self.peek() == Some(close) { Err(self.wrong("a comma before the end")) } else { Ok(true) }
            }
            _ => Err(self.wrong(what)),
        }
    }

    /// Nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("more text behind the value")),
        }
    }

    /// Reads a string, quotes included.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Quoted<'a>> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = plain_until(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let inside = self.since(start);
                    self.at += 1;
                    return Ok(Quoted { inside, start, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.wrong("a control character in a string")),
                None => return Err(self.wrong("a string that does not end")),
            }
        }
    }

    /// Reads a number and returns it as it is written.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading_zero = self.bytes.get(self.at) == Some(&b'0');
        let digits = self.digits();
        if digits == 0 || (leading_zero && digits > 1) {
            return Err(self.wrong("a malformed number"));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.wrong("a malformed number"));
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.wrong("a malformed number"));
            }
        }
        Ok(self.since(start))
    }

    /// Consumes `true`, `false` or `null`, whichever `word` is.
    #[inline]
    pub(crate) fn word(&mut self, word: &'static str) -> Result<()> {
        self.peek();
        if self.bytes.get(self.at..self.at + word.len()) == Some(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.wrong("expected true, false or null"))
        }
    }

    /// Validates and skips one value; returns it as it is written.
    pub(crate) fn skip(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.skip_nested(0)?;
        Ok(self.since(start))
    }

    /// An error at this place.
    #[cold]
    pub(crate) fn wrong(&self, what: &'static str) -> Syntax {
        let what = if self.at >= self.bytes.len() { "the text ends too early" } else { what };
        Syntax { what, at: self.at - self.begin }
    }

    fn skip_nested(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("nested deeper than 128 levels"));
        }
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => {
                self.at += 1;
                let mut first = true;
                while self.more(b'}', first, "expected `,` or `}`")? {
                    first = false;
                    self.string()?;
                    self.expect(b':', "expected `:`")?;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.at += 1;
                let mut first = true;
                while self.more(b']', first, "expected `,` or `]`")? {
                    first = false;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            _ => Err(self.wrong("expected a value")),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    fn escape(&mut self) -> Result<()> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let hex = self.bytes.get(self.at + 1..self.at + 5);
                if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.wrong("a malformed \\u escape"));
                }
                self.at += 5;
                Ok(())
            }
            _ => Err(self.wrong("an unknown escape in a string")),
        }
    }
}

/// A JSON value without the white space between its tokens. `value` is valid JSON.
pub(crate) fn compact(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let (mut quoted, mut escaped) = (false, false);
    for character in value.chars() {
        if quoted {
            out.push(character);
            quoted = escaped || character != '"';
            escaped = character == '\\' && !escaped;
        } else if !character.is_ascii_whitespace() {
            quoted = character == '"';
            out.push(character);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.skip().and_then(|_| scanner.end()).is_ok()
    }

    #[test]
    fn only_strict_json_is_accepted() {
        for good in ["{}", " [1, -0.5e+3 ,\"a\\u00e9\\n\", null,true ] ", "0", "\"日本\"", "{\"a\":{\"b\":[[]]}}"] {
            assert!(accepts(good), "{good}");
        }
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[1 2]",
            "01",
            "1.",
            "-",
            ".5",
            "+1",
            "\"\t\"",
            "\"\\x\"",
            "\"a",
            "tru",
            "NaN",
            "{a:1}",
            "{} {}",
            "{\"a\" 1}",
            "[,1]",
            "\"\\u12g4\"",
            "1e",
        ] {
            assert!(!accepts(bad), "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert!(Scanner::new(&deep).skip().unwrap_err().what.contains("deeper"));
    }

    #[test]
    fn compacting_spares_the_inside_of_strings() {
        assert_eq!(compact("{ \"a b\" : [ 1 , \"x \\\" y\" ] }"), r#"{"a b":[1,"x \" y"]}"#);
    }

    fn texts() -> impl Strategy<Value = String> {
        let bits = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\\u0041é\"",
            "1",
            "-2.5",
            "1e9",
            "0",
            "01",
            "true",
            "null",
            " ",
            "\"",
            "\\",
            "\u{1}",
            "x",
            "\"long text of more than eight bytes\"",
        ]);
        prop_oneof![
            prop::collection::vec(bits, 0..14).prop_map(|bits| bits.concat()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ]
    }

    proptest! {
        #[test]
        fn it_accepts_what_serde_json_accepts(text in texts()) {
            let reference = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(accepts(&text), reference);
        }
    }
}
