//! Messages whose schema a registry keeps, as JSON text. Each schema is asked for and read once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{Fields, Schema};
use frame::infer::merge;
use stage::{Error, Result, Secret};

use super::avro::Plan;
use super::avro_json;
use super::payload::{Refused, TOMBSTONE};
use super::piece::Piece;
use super::protobuf::ProtoFile;
use super::registry::Registry;
use super::spec::{MessageFormat, RegistrySpec};
use super::values::base64_of;
use super::wire::{framed, message_indexes};

/// The schemas of a source. Clones share what was read.
#[derive(Clone)]
pub(crate) struct Schemas {
    format: MessageFormat,
    registry: Arc<Registry>,
    read: Arc<RwLock<HashMap<u32, Arc<Written>>>>,
}

/// A schema, made ready.
#[derive(Debug)]
enum Written {
    Avro(Plan),
    Protobuf(ProtoFile),
}

/// The messages of a piece as JSON text.
pub(crate) struct AsText {
    /// Payloads and places only.
    pub(crate) piece: Piece,
    /// The index of each of its messages in the piece it was made from.
    pub(crate) indices: Vec<usize>,
    /// Those that could not be read.
    pub(crate) refused: Vec<Refused>,
    /// The columns of the schemas that were met.
    pub(crate) columns: Fields,
}

impl Schemas {
    /// The schemas in a registry, which is asked with the password of its user. Nothing is asked yet.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub(crate) fn new(format: MessageFormat, registry: &RegistrySpec, password: Option<Secret>) -> Result<Schemas> {
        Ok(Schemas { format, registry: Arc::new(Registry::new(registry, password)?), read: Arc::default() })
    }

    /// The messages of a piece as text.
    ///
    /// # Errors
    /// When a schema cannot be had. A single message that does not fit its schema is refused.
    pub(crate) async fn as_text(&self, piece: &Piece) -> Result<AsText> {
        let schemas = self.schemas_of(piece).await?;
        let mut text = String::with_capacity(piece.payloads.len() * 2);
        let mut made = AsText {
            piece: Piece::default(),
            indices: Vec::with_capacity(piece.rows()),
            refused: Vec::new(),
            columns: Fields::empty(),
        };
        let mut columns = Schema::empty();
        let mut met: BTreeMap<u32, BTreeSet<Vec<usize>>> = BTreeMap::new();
        let mut tombstones = piece.tombstones.iter().copied().peekable();
        for (index, place) in piece.places.iter().enumerate() {
            let start = text.len();
            let payload = piece.payloads.get(place.clone()).unwrap_or_default();
            let written = if tombstones.next_if_eq(&index).is_some() {
                text.push_str(std::str::from_utf8(TOMBSTONE).unwrap_or_default());
                Ok(None)
            } else {
                write(&schemas, payload, &mut text)
            };
            match written {
                Ok(schema) => {
                    made.piece.places.push(start..text.len());
                    made.indices.push(index);
                    text.push('\n');
                    if let Some((id, message)) = schema
                        && met.entry(id).or_default().insert(message.clone())
                        && let Some(written) = schemas.get(&id)
                    {
                        columns = merge(&columns, &Schema::new(written.columns(&message)));
                    }
                }
                Err(reason) => {
                    text.truncate(start);
                    made.refused.push(Refused { index, raw: base64_of(payload), reason });
                }
            }
        }
        made.piece.payloads = text.into_bytes();
        made.columns = columns.fields().clone();
        Ok(made)
    }

    /// Every schema that messages of a piece name.
    async fn schemas_of(&self, piece: &Piece) -> Result<HashMap<u32, Arc<Written>>> {
        let mut schemas: HashMap<u32, Arc<Written>> = HashMap::new();
        for place in &piece.places {
            let payload = piece.payloads.get(place.clone()).unwrap_or_default();
            let Ok(id) = framed(payload).map(|framed| framed.schema) else { continue };
            if let Entry::Vacant(place) = schemas.entry(id) {
                place.insert(self.schema(id).await?);
            }
        }
        Ok(schemas)
    }

    async fn schema(&self, id: u32) -> Result<Arc<Written>> {
        if let Some(known) = self.read.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(known));
        }
        let schema_type = if self.format == MessageFormat::Avro { "AVRO" } else { "PROTOBUF" };
        let text = self.registry.schema(id, schema_type).await?;
        let written = match self.format {
            MessageFormat::Avro => Plan::parse(&text).map(Written::Avro),
            _ => ProtoFile::parse(&text).map(Written::Protobuf),
        };
        let written =
            written.map_err(|why| Error::data(format!("schema {id} of the registry cannot be read: {why}")))?;
        let written = Arc::new(written);
        self.read.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&written));
        Ok(written)
    }
}

impl Written {
    fn columns(&self, message: &[usize]) -> Fields {
        match self {
            Written::Avro(plan) => plan.columns(),
            Written::Protobuf(file) => file.columns(message).unwrap_or_else(|_| Fields::empty()),
        }
    }
}

/// Appends a message as text and says by which schema it was read, and which message of it.
fn write(
    schemas: &HashMap<u32, Arc<Written>>,
    payload: &[u8],
    out: &mut String,
) -> std::result::Result<Option<(u32, Vec<usize>)>, String> {
    let message = framed(payload)?;
    let schema = schemas.get(&message.schema).ok_or("its schema was not looked up")?;
    let of_schema = |why: String| format!("it does not fit schema {}: {why}", message.schema);
    match schema.as_ref() {
        Written::Avro(plan) => {
            avro_json::write_message(plan, message.body, out).map_err(of_schema)?;
            Ok(Some((message.schema, Vec::new())))
        }
        Written::Protobuf(file) => {
            file.write_message(message.body, out).map_err(of_schema)?;
            Ok(Some((message.schema, message_indexes(message.body)?.0)))
        }
    }
}
