//! Cutting JSON documents into pieces of whole elements: arrays of objects, or objects one after the other.
//!
//! Only brackets and strings are followed here, which is enough to find where an element ends without holding the
//! document; whether an element is valid is seen when it is decoded. A document that breaks keeps what came before, and its
//! rest is one reject.

use std::io::Read;
use std::ops::Range;

use memchr::memchr2;
use stage::Result;

use crate::decode::compressed::read_error;
use crate::decode::text::Text;
use crate::decode::{Content, MAX_RAW, MAX_VALUE, Piece, Reject};

/// The pieces of one document.
pub(crate) struct Elements<R> {
    reader: R,
    size: usize,
    /// Bytes read behind the last whole element.
    rest: Vec<u8>,
    next_ordinal: i64,
    place: Place,
    source_ended: bool,
    ended: bool,
}

/// Where in the document the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of any array.
    Top,
    /// Behind `[`.
    ArrayBegins,
    /// Behind an element of an array.
    BehindElement,
    /// Behind a comma of an array.
    BehindComma,
}

enum Step {
    Element(Range<usize>),
    NeedMore,
    Broken(&'static str),
}

impl<R: Read> Elements<R> {
    /// At the beginning of a document; pieces are of about `size` bytes.
    pub(crate) fn new(reader: R, size: usize) -> Self {
        let (rest, place) = (Vec::new(), Place::Top);
        Elements { reader, size, rest, next_ordinal: 1, place, source_ended: false, ended: false }
    }

    fn cut(&mut self) -> Result<Option<Piece>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut values: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        let mut broken = None;
        loop {
            match self.step(&bytes, &mut at) {
                Step::Element(range) => {
                    values.push(range);
                    if at >= self.size {
                        break;
                    }
                }
                Step::NeedMore if self.source_ended => {
                    self.ended = true;
                    broken = self.unfinished(&bytes[at..]);
                    break;
                }
                Step::NeedMore if !values.is_empty() => break,
                Step::NeedMore if bytes.len() - at > MAX_VALUE => {
                    broken = Some("an element does not end");
                    break;
                }
                Step::NeedMore => self.read_more(&mut bytes)?,
                Step::Broken(why) => {
                    broken = Some(why);
                    break;
                }
            }
        }
        let first = self.next_ordinal;
        self.next_ordinal += values.len() as i64;
        let mut rejects = Vec::new();
        if let Some(why) = broken {
            self.ended = true;
            rejects.push(self.rest_as_reject(&mut bytes, at, why)?);
        } else if !self.ended {
            self.rest = bytes.split_off(at);
        }
        if values.is_empty() && rejects.is_empty() {
            return Ok(None);
        }
        Ok(Some(Piece(Content::Text(Text { bytes, first, values, rejects }))))
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let wanted = self.size.max(bytes.len()) as u64;
        let read = self.reader.by_ref().take(wanted).read_to_end(bytes).map_err(read_error)?;
        self.source_ended = (read as u64) < wanted;
        Ok(())
    }

    /// The next element from `at` on; `at` is moved behind it, or behind the separators in front of it.
    fn step(&mut self, bytes: &[u8], at: &mut usize) -> Step {
        while let Some(byte) = bytes.get(*at) {
            match (byte, self.place) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => *at += 1,
                (b'[', Place::Top) => {
                    self.place = Place::ArrayBegins;
                    *at += 1;
                }
                (b']', Place::ArrayBegins | Place::BehindElement) => {
                    self.place = Place::Top;
                    *at += 1;
                }
                (b',', Place::BehindElement) => {
                    self.place = Place::BehindComma;
                    *at += 1;
                }
                (_, Place::BehindElement) => return Step::Broken("expected `,` or `]` behind an element"),
                (b',' | b']' | b'}' | b':', _) => return Step::Broken("expected an element"),
                _ => {
                    let Some(end) = element_end(bytes, *at, self.source_ended) else { return Step::NeedMore };
                    let range = *at..end;
                    *at = end;
                    if self.place != Place::Top {
                        self.place = Place::BehindElement;
                    }
                    return Step::Element(range);
                }
            }
        }
        Step::NeedMore
    }

    /// What is wrong when the source ends here.
    fn unfinished(&self, rest: &[u8]) -> Option<&'static str> {
        if !rest.is_empty() {
            Some("the document ends in the middle of an element")
        } else if self.place != Place::Top {
            Some("the document ends before its array does")
        } else {
            None
        }
    }

    fn rest_as_reject(&mut self, bytes: &mut Vec<u8>, at: usize, why: &str) -> Result<Reject> {
        let mut raw = bytes.split_off(at);
        if raw.len() < MAX_RAW && !self.source_ended {
            let missing = (MAX_RAW - raw.len() + 1) as u64;
            self.reader.by_ref().take(missing).read_to_end(&mut raw).map_err(read_error)?;
        }
        let kept = if raw.len() > MAX_RAW {
            format!("; only the first {MAX_RAW} bytes of the rest are kept")
        } else {
            String::new()
        };
        raw.truncate(MAX_RAW);
        Ok(Reject {
            position: self.next_ordinal,
            raw: String::from_utf8_lossy(&raw).into_owned(),
            reason: format!("the document is broken from here on: {why}{kept}"),
        })
    }
}

impl<R: Read> Iterator for Elements<R> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.cut();
        self.ended |= !matches!(piece, Ok(Some(_)));
        piece.transpose()
    }
}

/// Where the element that begins at `start` ends; `None` when more bytes are needed.
fn element_end(bytes: &[u8], start: usize, source_ended: bool) -> Option<usize> {
    if !matches!(bytes.get(start), Some(b'{' | b'[' | b'"')) {
        let rest = bytes.get(start..)?;
        let length = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'));
        return length.map(|length| start + length).or_else(|| source_ended.then_some(bytes.len()));
    }
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::decode::tests::{bytes, json, options, schema};
    use crate::spec::{Format, Mismatch, NewColumns};

    /// Rows and rejects of a document cut into pieces of `size` bytes.
    fn decoded(document: &str, size: usize) -> (Vec<String>, Vec<Reject>) {
        let options = options(Format::Json, NewColumns::Rescue, Mismatch::Rescue);
        let decoder = Decoder::new(options, schema(r#"{"a":"string"}"#));
        let (mut rows, mut rejects) = (Vec::new(), Vec::new());
        for piece in decoder.pieces_of(bytes(document), size).unwrap() {
            let found = decoder.decode(piece.unwrap()).unwrap();
            rows.extend(json(&found.rows).iter().map(ToString::to_string));
            rejects.extend(found.rejects);
        }
        (rows, rejects)
    }

    #[test]
    fn arrays_and_objects_one_after_the_other_give_the_same_rows() {
        let expected = [
            r#"{"a":"x]}","_position":1}"#.to_owned(),
            r#"{"a":"{\"b\":\"\\\\\"}","_position":2}"#.to_owned(),
            r#"{"a":"3","_position":3}"#.to_owned(),
        ];
        let elements = ["{\n  \"a\": \"x]}\"\n}", "{\"a\": {\"b\":\n\"\\\\\"}}", "{\"a\":3}"];
        for document in [format!("\u{FEFF} [{}]\n", elements.join(" ,\n")), elements.join("\n"), elements.concat()] {
            for size in [1, 7, 1000] {
                let (rows, rejects) = decoded(&document, size);
                assert_eq!((rows.as_slice(), rejects.as_slice()), (&expected[..], &[][..]), "{document} in {size}");
            }
        }
    }

    #[test]
    fn empty_documents_have_no_rows() {
        for document in ["", " \n", "[]", "[ ]\n[]"] {
            assert_eq!(decoded(document, 3), (vec![], vec![]), "{document}");
        }
    }

    #[test]
    fn elements_that_are_no_objects_are_rejected_alone() {
        let (rows, rejects) = decoded("[1, {\"a\":\"x\"}, [2], \"s\", {\"a\" 1}, null]", 4);
        assert_eq!(rows.len(), 1);
        let found: Vec<(i64, &str)> = rejects.iter().map(|reject| (reject.position, reject.raw.as_str())).collect();
        assert_eq!(found, [(1, "1"), (3, "[2]"), (4, "\"s\""), (5, "{\"a\" 1}"), (6, "null")]);
    }

    #[test]
    fn a_document_that_breaks_keeps_what_came_before() {
        for (document, raw) in [
            ("[{\"a\":\"x\"}, {\"a\":\"y", "{\"a\":\"y"),
            ("[{\"a\":\"x\"} {\"a\":\"y\"}]", "{\"a\":\"y\"}]"),
            ("[{\"a\":\"x\"},]", "]"),
            ("[{\"a\":\"x\"}", ""),
            ("{\"a\":\"x\"},", ","),
        ] {
            for size in [1, 1000] {
                let (rows, rejects) = decoded(document, size);
                assert_eq!(rows, [r#"{"a":"x","_position":1}"#]);
                assert_eq!((rejects.len(), rejects[0].position, rejects[0].raw.as_str()), (1, 2, raw), "{document}");
            }
        }
    }
}
