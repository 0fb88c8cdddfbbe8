//! Messages in quarantine, decoded again. Of each only its payload was kept, so its row has no key, headers or time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use base64::Engine as _;
use chrono::DateTime;
use frame::decode::{DecodeOptions, EvolvingSchema};
use frame::spec::{CsvSpec, Format};
use quality::Passage;
use quality::replay::RefusedRow;
use stage::{Result, Secret};

use super::columns::Columns;
use super::decoding::Decoding;
use super::kind::MessageKind;
use super::piece::{Message, Piece};
use super::schemas::Schemas;
use super::spec::{MessageFormat, RegistrySpec};
use crate::queue::Decode as _;
use crate::replay::{Came, unread};
use crate::spec::BronzeSpec;

/// How refused messages become rows.
pub struct Messages {
    kind: MessageKind,
    format: MessageFormat,
    schemas: Option<Schemas>,
}

impl Messages {
    /// Messages of a kind, whose schemas are in `registry` where there is one.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the registry cannot be used.
    pub(crate) fn new(
        kind: MessageKind,
        format: MessageFormat,
        registry: Option<&RegistrySpec>,
        password: Option<Secret>,
    ) -> Result<Messages> {
        let schemas = registry.map(|registry| Schemas::new(format, registry, password)).transpose()?;
        Ok(Messages { kind, format, schemas })
    }

    /// The rows of the messages that can be read now. Those that cannot are put aside at the gate.
    pub(crate) async fn decode(
        &self,
        spec: &BronzeSpec,
        table: &SchemaRef,
        refused: Vec<RefusedRow>,
        passage: &Passage,
    ) -> Result<Vec<RecordBatch>> {
        let schema = EvolvingSchema::reserving(self.kind.data_columns(table), &self.kind.columns());
        let mut batches: BTreeMap<Came, Vec<RefusedRow>> = BTreeMap::new();
        for row in refused {
            batches.entry(Came::of(&row)).or_default().push(row);
        }
        let mut decoded = Vec::new();
        for (came, rows) in batches {
            passage.context.check()?;
            let now = DateTime::from_timestamp_micros(came.at_micros).unwrap_or_default();
            let decoding = Decoding {
                format: self.format,
                options: DecodeOptions { format: Format::Ndjson, csv: CsvSpec::default(), evolution: spec.evolution },
                schema: schema.clone(),
                columns: Columns { kind: self.kind, batch: came.batch, now },
                schemas: self.schemas.clone(),
            };
            let piece = piece(&rows, passage).await?;
            decoded.push(decoding.rows(&decoding.decoder(), piece, passage).await?);
        }
        Ok(decoded)
    }
}

/// The messages as if they had just been polled.
async fn piece(rows: &[RefusedRow], passage: &Passage) -> Result<Piece> {
    let mut piece = Piece::default();
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        let Ok(payload) = base64::engine::general_purpose::STANDARD.decode(&row.row) else {
            passage.gate.put_aside_unread(&[unread(row, "what was kept of it is no base64")]).await?;
            continue;
        };
        let part = names.iter().position(|name| *name == row.source).unwrap_or_else(|| {
            names.push(row.source.clone());
            names.len() - 1
        });
        piece.push(&Message {
            payload: &payload,
            is_tombstone: false,
            key: None,
            detail: None,
            millis: None,
            position: row.position,
            part: part as u32,
        });
    }
    piece.names = Arc::new(names);
    Ok(piece)
}
