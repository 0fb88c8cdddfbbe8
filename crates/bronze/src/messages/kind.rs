//! What sets the messages of one kind of source apart from those of another, and the columns they bring.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use frame::types::timestamp;

use super::piece::Piece;
use crate::columns::{is_system, system_fields};

/// The key of a message.
pub(crate) const KEY: &str = "_key";
/// When the message was made, or came, as its source has it.
pub(crate) const TIMESTAMP: &str = "_timestamp";

/// A kind of messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageKind {
    /// The key of the source below `source`.
    pub(crate) source: &'static str,
    /// What one message is called; with an `s` behind it, what several are called.
    pub(crate) noun: &'static str,
    /// What users write in `start` for the oldest message that is kept.
    pub(crate) oldest: &'static str,
    /// The column of what only this kind of source tells of a message.
    pub(crate) detail: &'static str,
    /// What tells where a message stands in its part of the source.
    pub(crate) place: Place,
}

/// What tells where a message stands, with what that is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The number in `_position`.
    Position(&'static str),
    /// The detail, because no number holds it.
    Detail(&'static str),
}

impl MessageKind {
    /// The columns that messages bring beside their payloads, in their order behind the data.
    pub(crate) fn columns(self) -> [&'static str; 3] {
        [KEY, self.detail, TIMESTAMP]
    }

    /// Whether a column is one of them.
    pub(crate) fn brings(self, name: &str) -> bool {
        self.columns().iter().any(|known| name.eq_ignore_ascii_case(known))
    }

    /// The whole schema of a table, for data of the given schema.
    pub(crate) fn table_schema(self, data: &Schema) -> SchemaRef {
        let types = [DataType::Utf8View, DataType::Utf8View, timestamp()];
        let brought = self.columns().into_iter().zip(types);
        let brought = brought.map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)));
        let fields: Vec<FieldRef> = data.fields().iter().cloned().chain(brought).chain(system_fields()).collect();
        Arc::new(Schema::new(fields))
    }

    /// The data columns of an existing table.
    pub(crate) fn data_columns(self, table: &Schema) -> SchemaRef {
        let is_data = |field: &&FieldRef| !is_system(field.name()) && !self.brings(field.name());
        Arc::new(Schema::new(table.fields().iter().filter(is_data).cloned().collect::<Vec<_>>()))
    }

    /// The bytes of the messages of a piece: payloads, keys, and details unless those only tell where a message stands.
    pub(crate) fn bytes_of(self, piece: &Piece) -> usize {
        let places = if let Place::Detail(_) = self.place { piece.details.bytes.len() } else { 0 };
        piece.message_bytes() - places
    }

    /// Where a message of a piece stands, in words.
    pub(crate) fn place_of(self, piece: &Piece, index: usize) -> String {
        match self.place {
            Place::Position(name) => format!("{name} {}", piece.positions.get(index).copied().unwrap_or_default()),
            Place::Detail(name) => format!("{name} {}", text(piece.details.get(index))),
        }
    }

    /// Why a message was put aside. The detail that tells its place stands there too, because quarantine has a number
    /// for a place only.
    pub(crate) fn reason<'a>(self, why: &'a str, detail: Option<&[u8]>) -> Cow<'a, str> {
        match self.place {
            Place::Position(_) => Cow::Borrowed(why),
            Place::Detail(name) => Cow::Owned(format!("{why}, in the {} with {name} {}", self.noun, text(detail))),
        }
    }
}

fn text(bytes: Option<&[u8]>) -> Cow<'_, str> {
    bytes.map(String::from_utf8_lossy).unwrap_or_default()
}
