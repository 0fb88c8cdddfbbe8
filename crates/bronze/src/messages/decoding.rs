//! Pieces into rows: what a worker does with the messages of a piece.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use frame::decode::{DecodeOptions, Decoder, EvolvingSchema};
use frame::spec::NewColumns;
use quality::quarantine::Unread;
use quality::{Gate, Passage};
use stage::Result;

use super::columns::Columns;
use super::payload::{self, Read, Refused};
use super::piece::Piece;
use super::schemas::Schemas;
use super::spec::MessageFormat;
use crate::queue::Decode;

/// How messages become rows of the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Decoding {
    pub(crate) format: MessageFormat,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
    /// The schemas of messages that name theirs.
    pub(crate) schemas: Option<Schemas>,
}

impl Decode for Decoding {
    type Piece = Piece;

    fn decoder(&self) -> Decoder {
        Decoder::new(self.options.clone(), self.schema.clone())
    }

    async fn rows(&self, decoder: &Decoder, mut piece: Piece, passage: &Passage) -> Result<RecordBatch> {
        let read = self.read(decoder, &mut piece).await;
        let read = read.map_err(|error| {
            let kind = self.columns.kind;
            let (begin, source) = (kind.place_of(&piece, 0), piece.source_of(0));
            error.context(format!("could not read the {}s from {begin} of {source} on", kind.noun))
        })?;
        let count = read.rows.num_rows() + read.refused.len() + piece.unreadable.len();
        passage.context.meter.add_rows(count as u64);
        self.put_aside(&read.refused, &piece, &passage.gate).await?;
        self.columns.complete(&read.rows, &piece)
    }
}

impl Decoding {
    async fn read(&self, decoder: &Decoder, piece: &mut Piece) -> Result<Read> {
        match (&self.schemas, self.format) {
            (_, MessageFormat::String | MessageFormat::Bytes) => payload::read_values(self.format, piece),
            (None, _) => payload::read_json(decoder, piece),
            (Some(schemas), _) => {
                let text = schemas.as_text(piece).await?;
                if self.options.evolution.new_columns == NewColumns::Add {
                    self.schema.add(&text.columns);
                }
                payload::read_text_of(decoder, piece, text)
            }
        }
    }

    /// Puts aside what is no row: messages that were refused, and those that could not be taken apart.
    async fn put_aside(&self, refused: &[Refused], piece: &Piece, gate: &Gate) -> Result<()> {
        let kind = self.columns.kind;
        let of_refused = refused.iter().map(|one| {
            let reason = kind.reason(&one.reason, piece.details.get(one.index));
            let position = piece.positions.get(one.index).copied().unwrap_or_default();
            (&one.raw, reason, piece.source_of(one.index), position)
        });
        let of_unreadable = piece.unreadable.iter().map(|one| {
            let reason = kind.reason(&one.reason, Some(one.detail.as_bytes()));
            (&one.raw, reason, piece.name_of(one.part), one.position)
        });
        let aside: Vec<(&String, Cow<'_, str>, &str, i64)> = of_refused.chain(of_unreadable).collect();
        let unread =
            aside.iter().map(|(raw, reason, source, position)| Unread { raw, reason, source, position: *position });
        gate.put_aside_unread(&unread.collect::<Vec<_>>()).await
    }
}
