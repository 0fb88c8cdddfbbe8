//! Messages side by side, so that nothing is allocated for a single message: what one worker decodes at a time.

use std::ops::Range;
use std::sync::Arc;

use super::values::{NO_TIME, Texts};

/// What a message costs besides its bytes.
const OVERHEAD: usize = 64;

/// A run of messages in the order in which they came, of any parts of their source.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// The payloads, each with a line feed behind it, so that no character reaches from one into the next.
    pub(crate) payloads: Vec<u8>,
    /// Where each payload stands.
    pub(crate) places: Vec<Range<usize>>,
    /// Which messages have no payload.
    pub(crate) tombstones: Vec<usize>,
    pub(crate) keys: Texts,
    /// What only this kind of source tells of a message, such as the headers of Kafka.
    pub(crate) details: Texts,
    /// In microseconds since 1970.
    pub(crate) timestamps: Vec<i64>,
    /// Where each message stands in its part of the source: `_position`.
    pub(crate) positions: Vec<i64>,
    /// Which part of the source each message is of, such as a partition, by its number among `names`.
    pub(crate) parts: Vec<u32>,
    /// The names of the parts in `_source`: all that the messages can be of, once the piece was taken.
    pub(crate) names: Arc<Vec<String>>,
    /// Messages that could not even be taken apart.
    pub(crate) unreadable: Vec<Unreadable>,
}

/// One message, as it is appended to a piece.
pub(crate) struct Message<'a> {
    /// The payload, or what stands for one that is missing.
    pub(crate) payload: &'a [u8],
    /// Whether there is no payload.
    pub(crate) is_tombstone: bool,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) detail: Option<&'a [u8]>,
    /// In milliseconds since 1970.
    pub(crate) millis: Option<i64>,
    pub(crate) position: i64,
    pub(crate) part: u32,
}

/// A message that holds no rows.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) part: u32,
    pub(crate) position: i64,
    pub(crate) detail: String,
    /// The payload as base64.
    pub(crate) raw: String,
    pub(crate) reason: String,
}

impl Piece {
    /// An empty piece that takes as much as `other` without growing.
    pub(crate) fn with_room_of(other: &Piece) -> Piece {
        let rows = other.places.len();
        Piece {
            payloads: Vec::with_capacity(other.payloads.len()),
            places: Vec::with_capacity(rows),
            keys: Texts::with_room_of(&other.keys),
            details: Texts::with_room_of(&other.details),
            timestamps: Vec::with_capacity(rows),
            positions: Vec::with_capacity(rows),
            parts: Vec::with_capacity(rows),
            ..Piece::default()
        }
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: &Message<'_>) {
        if message.is_tombstone {
            self.tombstones.push(self.places.len());
        }
        let start = self.payloads.len();
        self.payloads.extend_from_slice(message.payload);
        self.places.push(start..self.payloads.len());
        self.payloads.push(b'\n');
        self.keys.push(message.key);
        self.details.push(message.detail);
        self.timestamps.push(message.millis.and_then(|millis| millis.checked_mul(1_000)).unwrap_or(NO_TIME));
        self.positions.push(message.position);
        self.parts.push(message.part);
    }

    /// How many messages there are.
    pub(crate) fn rows(&self) -> usize {
        self.places.len() + self.unreadable.len()
    }

    /// The memory the messages take.
    pub(crate) fn bytes(&self) -> usize {
        let unreadable: usize = self.unreadable.iter().map(|one| one.raw.len()).sum();
        self.readable_bytes() + self.places.len() * OVERHEAD + unreadable
    }

    /// The bytes of the messages themselves: payloads without the line feeds behind them, keys and details.
    pub(crate) fn message_bytes(&self) -> usize {
        // Three bytes are four letters of base64.
        let unreadable = self.unreadable.iter().map(|one| one.raw.trim_end_matches('=').len() * 3 / 4);
        self.readable_bytes() + unreadable.sum::<usize>()
    }

    fn readable_bytes(&self) -> usize {
        (self.payloads.len() + self.keys.bytes.len() + self.details.bytes.len()).saturating_sub(self.places.len())
    }

    /// The newest time of a message, in microseconds since 1970.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.timestamps.iter().copied().filter(|time| *time != NO_TIME).max()
    }

    /// The name of the part a message is of.
    pub(crate) fn source_of(&self, index: usize) -> &str {
        self.parts.get(index).map_or("", |part| self.name_of(*part))
    }

    /// The name of a part.
    pub(crate) fn name_of(&self, part: u32) -> &str {
        usize::try_from(part).ok().and_then(|index| self.names.get(index)).map_or("", String::as_str)
    }
}
