//! Messages as they were polled, side by side, so that nothing is allocated for a single message.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::Message;
use rdkafka::message::Headers;
use serde_json::{Map, Value};

use super::positions::Partition;
use crate::messages::values::{NO_TIME, Texts, base64_of};

/// What a message costs besides its bytes.
const OVERHEAD: usize = 64;

/// What stands for headers whose names are no text.
const UNREADABLE_HEADERS: &str = r#"{"_unreadable":true}"#;

/// A run of messages in the order in which they came, of any partitions.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// The payloads, each with a line feed behind it, so that no character reaches from one into the next.
    pub(crate) payloads: Vec<u8>,
    /// Where each payload stands.
    pub(crate) places: Vec<Range<usize>>,
    /// Which messages have no payload.
    pub(crate) tombstones: Vec<usize>,
    pub(crate) keys: Texts,
    /// The headers of each message as a JSON object.
    pub(crate) headers: Texts,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) offsets: Vec<i64>,
    /// Which partition each message is of, by its number among those that are read.
    pub(crate) partitions: Vec<u32>,
    /// The partitions that were read when the piece was taken: all that its messages can be of.
    pub(crate) known: Arc<Vec<Partition>>,
}

impl Piece {
    /// An empty piece that takes as much as `other` without growing.
    pub(crate) fn with_room_of(other: &Piece) -> Piece {
        let rows = other.rows();
        Piece {
            payloads: Vec::with_capacity(other.payloads.len()),
            places: Vec::with_capacity(rows),
            keys: Texts::with_room_of(&other.keys),
            headers: Texts::with_room_of(&other.headers),
            timestamps: Vec::with_capacity(rows),
            offsets: Vec::with_capacity(rows),
            partitions: Vec::with_capacity(rows),
            ..Piece::default()
        }
    }

    /// Appends a message. `tombstone` is what stands for a payload that is missing.
    pub(crate) fn push(&mut self, message: &impl Message, partition: u32, tombstone: &[u8]) {
        // Before anything is appended: the library panics on a header whose name is not UTF-8.
        let headers =
            catch_unwind(AssertUnwindSafe(|| message.headers().filter(|headers| headers.count() > 0).map(as_json)));
        let headers = headers.unwrap_or_else(|_| Some(UNREADABLE_HEADERS.to_owned()));
        let start = self.payloads.len();
        match message.payload() {
            Some(payload) => self.payloads.extend_from_slice(payload),
            None => {
                self.tombstones.push(self.places.len());
                self.payloads.extend_from_slice(tombstone);
            }
        }
        self.places.push(start..self.payloads.len());
        self.payloads.push(b'\n');
        self.keys.push(message.key());
        self.headers.push(headers.as_deref().map(str::as_bytes));
        let millis = message.timestamp().to_millis();
        self.timestamps.push(millis.and_then(|millis| millis.checked_mul(1_000)).unwrap_or(NO_TIME));
        self.offsets.push(message.offset());
        self.partitions.push(partition);
    }

    pub(crate) fn rows(&self) -> usize {
        self.places.len()
    }

    /// The name of the partition a message is of.
    pub(crate) fn source_of(&self, index: usize) -> &str {
        let number = self.partitions.get(index).and_then(|number| usize::try_from(*number).ok());
        number.and_then(|number| self.known.get(number)).map_or("", |partition| partition.name.as_str())
    }

    /// The memory the messages take.
    pub(crate) fn bytes(&self) -> usize {
        self.message_bytes() + self.places.len() * OVERHEAD
    }

    /// The bytes of the messages themselves: payloads without the line feeds behind them, keys and headers.
    pub(crate) fn message_bytes(&self) -> usize {
        (self.payloads.len() + self.keys.bytes.len() + self.headers.bytes.len()).saturating_sub(self.rows())
    }

    /// The next offset of every partition that is in the piece.
    pub(crate) fn next_offsets(&self) -> BTreeMap<u32, i64> {
        let mut next = BTreeMap::new();
        let mut last = None;
        // From the end, so that only the last message of a run of one partition is looked up.
        for (partition, offset) in self.partitions.iter().zip(&self.offsets).rev() {
            if last != Some(*partition) {
                next.entry(*partition).or_insert(offset + 1);
                last = Some(*partition);
            }
        }
        next
    }
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
        let piece = Piece { partitions: vec![0, 0, 1, 0, 1], offsets: vec![4, 5, 90, 6, 91], ..Piece::default() };
        assert_eq!(piece.next_offsets(), BTreeMap::from([(0, 7), (1, 92)]));
    }
}
