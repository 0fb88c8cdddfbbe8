//! A JSON reader that keeps the place of every key and value.

use std::ops::Range;

use super::document::{Entry, Node, Value};

/// Deeper nesting than this is no workflow, and would use up the stack.
const MOST_LEVELS: usize = 64;

/// Reads one JSON value.
///
/// # Errors
/// The place of the first mistake, in bytes, and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<Node, (usize, String)> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let node = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.wrong("the end of the file"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, (usize, String)>;

impl Reader<'_> {
    fn value(&mut self, level: usize) -> Parsed<Node> {
        let start = self.at;
        if level > MOST_LEVELS {
            return Err((start, format!("values are nested more than {MOST_LEVELS} levels deep")));
        }
        let value = match self.peek() {
            Some(b'{') => Value::Table(self.entries(level)?),
            Some(b'[') => Value::List(self.items(level)?),
            Some(b'"') => Value::text(self.string()?.0),
            Some(b't') if self.takes("true") => Value::Boolean(true),
            Some(b'f') if self.takes("false") => Value::Boolean(false),
            Some(b'n') if self.takes("null") => Value::Null,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.wrong("a value")),
        };
        Ok(Node::new(value, start..self.at))
    }

    fn entries(&mut self, level: usize) -> Parsed<Vec<Entry>> {
        self.at += 1;
        let mut entries: Vec<Entry> = Vec::new();
        self.skip_space();
        if self.takes("}") {
            return Ok(entries);
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in quotes"));
            }
            let (key, key_span) = self.string()?;
            if entries.iter().any(|entry| entry.key == key) {
                return Err((key_span.start, format!("the key `{key}` stands here twice")));
            }
            self.skip_space();
            if !self.takes(":") {
                return Err(self.wrong("`:` after the key"));
            }
            self.skip_space();
            let value = self.value(level + 1)?;
            entries.push(Entry { key, key_span, value });
            self.skip_space();
            if self.takes("}") {
                return Ok(entries);
            }
            if !self.takes(",") {
                return Err(self.wrong("`,` or `}`"));
            }
        }
    }

    fn items(&mut self, level: usize) -> Parsed<Vec<Node>> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.takes("]") {
            return Ok(items);
        }
        loop {
            self.skip_space();
            items.push(self.value(level + 1)?);
            self.skip_space();
            if self.takes("]") {
                return Ok(items);
            }
            if !self.takes(",") {
                return Err(self.wrong("`,` or `]`"));
            }
        }
    }

    /// A string in quotes; its escapes are read by serde_json, which knows them all.
    fn string(&mut self) -> Parsed<(String, Range<usize>)> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'\\' => end += 2,
                b'"' => {
                    let span = start..end + 1;
                    let text = serde_json::from_str(&self.text[span.clone()])
                        .map_err(|error| (start, format!("the text in quotes cannot be read: {error}")))?;
                    self.at = end + 1;
                    return Ok((text, span));
                }
                b'\n' => break,
                _ => end += 1,
            }
        }
        Err((start, "the text has no closing quote".to_owned()))
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let length = self.text.as_bytes()[start..].iter().take_while(|byte| is_part(byte)).count();
        let digits = &self.text[start..start + length];
        let number = serde_json::from_str(digits).map_err(|_| (start, format!("`{digits}` is not a number")))?;
        self.at += length;
        Ok(Value::Number(number))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, token: &str) -> bool {
        let here = self.text.as_bytes()[self.at..].starts_with(token.as_bytes());
        if here {
            self.at += token.len();
        }
        here
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn wrong(&self, expected: &str) -> (usize, String) {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(character) => format!("`{character}`"),
            None => "the end of the file".to_owned(),
        };
        (self.at, format!("expected {expected}, found {found}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_serde_reads() {
        for text in [
            r#"{"a": [1, -2.5e3, true, false, null], "b": {"c": "ä\n\u00e4\"x\\"}, "": []}"#,
            " [ ] ",
            "\"text\"",
            "18446744073709551615",
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text).unwrap().to_json(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, place) in [
            ("", 0),
            ("{\"a\": }", 6),
            ("[1, 2", 5),
            ("{\"a\" 1}", 5),
            ("[1] 2", 4),
            ("\"open", 0),
            ("\"open\\", 0),
            ("[tru]", 1),
            ("{\"a\": 1, \"a\": 2}", 9),
            ("01", 0),
            ("[ä]", 1),
        ] {
            assert_eq!(parse(text).map_err(|(at, _)| at), Err(place), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
