//! Messages of librdkafka into pieces.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::Headers;
use serde_json::{Map, Value};

use crate::messages::piece::{Message, Piece};
use crate::messages::values::base64_of;

/// What stands for headers whose names are no text.
const UNREADABLE_HEADERS: &str = r#"{"_unreadable":true}"#;

/// Appends a message of a partition, which is told by its number. `tombstone` is what stands for a payload that is
/// missing.
pub(crate) fn push(piece: &mut Piece, message: &impl rdkafka::Message, partition: u32, tombstone: &[u8]) {
    // Before anything is appended: the library panics on a header whose name is not UTF-8.
    let headers =
        catch_unwind(AssertUnwindSafe(|| message.headers().filter(|headers| headers.count() > 0).map(as_json)));
    let headers = headers.unwrap_or_else(|_| Some(UNREADABLE_HEADERS.to_owned()));
    piece.push(&Message {
        payload: message.payload().unwrap_or(tombstone),
        is_tombstone: message.payload().is_none(),
        key: message.key(),
        detail: headers.as_deref().map(str::as_bytes),
        millis: message.timestamp().to_millis(),
        position: message.offset(),
        part: partition,
    });
}

/// The next offset of every partition that is in the piece.
pub(crate) fn next_offsets(piece: &Piece) -> BTreeMap<u32, i64> {
    let mut next = BTreeMap::new();
    let mut last = None;
    // From the end, so that only the last message of a run of one partition is looked up.
    for (partition, offset) in piece.parts.iter().zip(&piece.positions).rev() {
        if last != Some(*partition) {
            next.entry(*partition).or_insert(offset + 1);
            last = Some(*partition);
        }
    }
    next
}

/// Headers as a JSON object. A name that stands several times has a list; a value that is not text is
/// `{"base64": "..."}`.
fn as_json<H: Headers>(headers: &H) -> String {
    let mut object: Map<String, Value> = Map::new();
    for header in headers.iter() {
        let value = match header.value.map(std::str::from_utf8) {
            None => Value::Null,
            Some(Ok(text)) => Value::from(text),
            Some(Err(_)) => serde_json::json!({ "base64": base64_of(header.value.unwrap_or_default()) }),
        };
        match object.get_mut(header.key) {
            None => {
                object.insert(header.key.to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    #[test]
    fn headers_lose_nothing_in_json() {
        let header = |key, value| Header { key, value };
        let headers = OwnedHeaders::new()
            .insert(header("trace", Some("1")))
            .insert(header("raw", Some("x")))
            .insert(header("trace", Some("2")))
            .insert(header("none", None::<&str>))
            .insert(Header { key: "bin", value: Some(&[0xff_u8, 0][..]) });
        let expected = r#"{"trace":["1","2"],"raw":"x","none":null,"bin":{"base64":"/wA="}}"#;
        assert_eq!(as_json(&headers), expected);
    }

    #[test]
    fn the_next_offset_is_behind_the_last_message_of_each_partition() {
        let piece = Piece { parts: vec![0, 0, 1, 0, 1], positions: vec![4, 5, 90, 6, 91], ..Piece::default() };
        assert_eq!(next_offsets(&piece), BTreeMap::from([(0, 7), (1, 92)]));
    }
}
