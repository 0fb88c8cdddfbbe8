//! Records of Kinesis into pieces.

use super::client::Record;
use super::unpacked::unpack;
use crate::messages::piece::{Message, Piece, Unreadable};
use crate::messages::values::base64_of;

/// Appends the rows of a record of a shard, which is told by its number, and says how many there are. `first` is the
/// number of the first of them in the shard.
pub(crate) fn push(piece: &mut Piece, record: &Record, shard: u32, first: i64) -> i64 {
    match unpack(&record.payload) {
        Ok(None) => {
            piece.push(&message(record, shard, first, (None, &record.payload)));
            1
        }
        Ok(Some(rows)) => {
            let count = rows.len() as i64;
            for (position, row) in (first..).zip(rows) {
                piece.push(&message(record, shard, position, row));
            }
            count
        }
        Err(reason) => {
            let (detail, raw) = (record.sequence_number.clone(), base64_of(&record.payload));
            piece.unreadable.push(Unreadable { part: shard, position: first, detail, raw, reason });
            1
        }
    }
}

/// A row of a record: one of those that are packed in it, which may have a key of their own, or the record itself.
fn message<'a>(
    record: &'a Record,
    shard: u32,
    position: i64,
    (key, payload): (Option<&'a str>, &'a [u8]),
) -> Message<'a> {
    Message {
        payload,
        is_tombstone: false,
        key: Some(key.unwrap_or(&record.key).as_bytes()),
        detail: Some(record.sequence_number.as_bytes()),
        millis: record.arrived,
        position,
        part: shard,
    }
}
