//! Records as they were read, side by side, so that they go on as Kafka's messages do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::client::Record;
use super::shards::ShardState;
use super::unpacked::unpack;
use crate::kafka::batch::Piece as Messages;
use crate::messages::values::{NO_TIME, Texts, base64_of};

/// A run of records in the order in which they came, of any shards.
#[derive(Default)]
pub(crate) struct Piece {
    /// Payloads, keys and times as those of messages; the offsets are the numbers of the rows in their shards.
    pub(crate) messages: Messages,
    pub(crate) sequence_numbers: Texts,
    /// Which shard each row is of, by its number among `names`.
    pub(crate) shards: Vec<u32>,
    /// The names of the shards in `_source`.
    pub(crate) names: Arc<Vec<String>>,
    /// Records that are packed but cannot be unpacked.
    pub(crate) refused: Vec<Refused>,
    /// How far each shard was read with this piece.
    pub(crate) reached: BTreeMap<String, ShardState>,
}

/// A record that holds no rows.
pub(crate) struct Refused {
    pub(crate) shard: u32,
    pub(crate) number: i64,
    pub(crate) sequence_number: String,
    /// The payload as base64.
    pub(crate) raw: String,
    pub(crate) reason: String,
}

impl Piece {
    pub(crate) fn rows(&self) -> usize {
        self.messages.rows() + self.refused.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        let refused: usize = self.refused.iter().map(|one| one.raw.len()).sum();
        self.messages.bytes() + self.sequence_numbers.bytes.len() + refused
    }

    /// The bytes of the records themselves: payloads and keys.
    pub(crate) fn message_bytes(&self) -> usize {
        // Three bytes are four letters of base64.
        let refused: usize = self.refused.iter().map(|one| one.raw.trim_end_matches('=').len() * 3 / 4).sum();
        self.messages.message_bytes() + refused
    }

    /// The name of a shard in `_source`.
    pub(crate) fn name_of(&self, shard: u32) -> &str {
        usize::try_from(shard).ok().and_then(|index| self.names.get(index)).map_or("", String::as_str)
    }

    /// Appends the rows of a record and says how many there are.
    pub(crate) fn push(&mut self, record: &Record, shard: u32, first: i64) -> i64 {
        match unpack(&record.payload) {
            Ok(None) => {
                self.push_row(record, shard, first, (None, &record.payload));
                1
            }
            Ok(Some(rows)) => {
                let count = rows.len() as i64;
                for (number, row) in (first..).zip(rows) {
                    self.push_row(record, shard, number, row);
                }
                count
            }
            Err(reason) => {
                let (sequence_number, raw) = (record.sequence_number.clone(), base64_of(&record.payload));
                self.refused.push(Refused { shard, number: first, sequence_number, raw, reason });
                1
            }
        }
    }

    fn push_row(&mut self, record: &Record, shard: u32, number: i64, (key, payload): (Option<&str>, &[u8])) {
        let messages = &mut self.messages;
        let start = messages.payloads.len();
        messages.payloads.extend_from_slice(payload);
        messages.places.push(start..messages.payloads.len());
        messages.payloads.push(b'\n');
        messages.keys.push(Some(key.unwrap_or(&record.key).as_bytes()));
        messages.timestamps.push(record.arrived.and_then(|millis| millis.checked_mul(1_000)).unwrap_or(NO_TIME));
        messages.offsets.push(number);
        self.sequence_numbers.push(Some(record.sequence_number.as_bytes()));
        self.shards.push(shard);
    }
}
