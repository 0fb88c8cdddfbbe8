//! Bytes to rows: fast where the input is as the schema says, and losing nothing where it is not.
//!
//! A file is cut into pieces in order ([`Decoder::pieces`]); pieces are decoded in any order on any thread
//! ([`Decoder::decode`]). Every value is read strictly into columns first. Only where that fails the row is taken back
//! and read carefully: unknown fields and values that do not fit follow [`EvolutionSpec`], and what cannot be read at all
//! becomes a [`Reject`] with its raw text. No input stops a batch unless a rule says `fail` or the file itself cannot be
//! read.
//!
//! JSON is read strictly (RFC 8259), so a row's fate never depends on its neighbours. Of a field that stands several
//! times in one object the last value counts and the earlier ones are rescued. A field that is null is as good as absent.
//! Dates and times in JSON and CSV stay strings unless the schema gives them a type.

mod avro;
mod building;
mod canonical;
mod careful;
mod columns;
mod compressed;
mod conform;
mod csv;
mod csv_cut;
mod evolving;
mod json;
mod json_of;
mod messages;
mod ndjson;
mod parquet;
mod quoted;
mod rows;
mod scan;
pub(crate) mod shape;
mod text;
mod values;

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use stage::Result;

use crate::decode::shape::Shape;
use crate::spec::{CsvSpec, EvolutionSpec, Format};

pub use compressed::decompressed;
pub use evolving::EvolvingSchema;
/// The columns that decoded rows end with.
pub use stage::columns::{POSITION, RESCUED_DATA};

/// The size of a piece. Large enough to make threads worthwhile, small enough to bound memory.
const PIECE: usize = 4 << 20;
/// The size of the pieces from which a schema is inferred.
const SAMPLE: usize = 256 << 10;
/// A single row longer than this is not held in memory.
const MAX_VALUE: usize = 128 << 20;
/// How much is kept of a text that is too long or too broken to be kept whole.
const MAX_RAW: usize = 64 << 10;

/// How the files of one source are written and met.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// How the files are written.
    pub format: Format,
    /// How CSV files are written.
    pub csv: CsvSpec,
    /// What happens to fields and values that the schema does not describe.
    pub evolution: EvolutionSpec,
}

/// One file.
pub enum Input {
    /// Bytes from anywhere, already decompressed.
    Stream(Box<dyn Read + Send>),
    /// A local file, which formats with a footer can read without copying it first.
    File(File),
}

/// A bounded part of a file, ready to be decoded.
#[derive(Debug)]
pub struct Piece(Content);

#[derive(Debug)]
enum Content {
    /// Values of JSON text.
    Text(text::Text),
    /// Records of CSV text.
    Csv(csv::Records),
    /// Rows that have types already, with the ordinal of the first.
    Batch { batch: RecordBatch, first: i64 },
}

/// The pieces of one file, in order.
pub type Pieces = Box<dyn Iterator<Item = Result<Piece>> + Send>;

/// The rows of one piece.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The columns of the schema as it stands after the piece, then `_position` (long) and `_rescued_data` (string, a
    /// JSON object by path, null when nothing was rescued). String columns may share the piece's text.
    pub rows: RecordBatch,
    /// What could not become a row.
    pub rejects: Vec<Reject>,
    /// The size of the piece in bytes, decompressed.
    pub bytes: u64,
}

/// A row that could not be read, or that a rule sends to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line number or ordinal of the row, from 1.
    pub position: i64,
    /// The text as it stood in the file.
    pub raw: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Decodes the files of one source. Cheap to clone; clones share the schema.
#[derive(Debug, Clone)]
pub struct Decoder {
    options: DecodeOptions,
    schema: EvolvingSchema,
}

impl Decoder {
    /// A decoder for files written as `options` say, into rows of `schema`.
    pub fn new(options: DecodeOptions, schema: EvolvingSchema) -> Self {
        Decoder { options, schema }
    }

    /// Cuts a file into pieces of about 4 MB, in order. The caller adds the file's name to errors.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when the file is corrupt as a whole, [`stage::Kind::Unavailable`] when it cannot be read.
    pub fn pieces(&self, input: Input) -> Result<Pieces> {
        self.pieces_of(input, PIECE)
    }

    fn pieces_of(&self, input: Input, size: usize) -> Result<Pieces> {
        match self.options.format {
            Format::Ndjson => Ok(Box::new(ndjson::Lines::new(text_stream(input)?, size))),
            Format::Json => Ok(Box::new(json::Elements::new(text_stream(input)?, size))),
            Format::Csv => {
                let dialect = csv_cut::Dialect::new(&self.options.csv)?;
                Ok(Box::new(csv_cut::Cutter::new(text_stream(input)?, size, dialect)))
            }
            Format::Parquet => Ok(Box::new(parquet::Batches::open(input, size)?)),
            Format::Avro => Ok(Box::new(avro::Batches::open(stream(input))?)),
        }
    }

    /// Decodes one piece. May be called from several threads, in any order of the pieces.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when a rule says `fail` and a row breaks it.
    pub fn decode(&self, piece: Piece) -> Result<Decoded> {
        match piece.0 {
            Content::Text(text) => text::decode(self, text),
            Content::Csv(records) => csv::decode(self, records),
            Content::Batch { batch, first } => conform::decode(self, &batch, first),
        }
    }
}

fn stream(input: Input) -> Box<dyn Read + Send> {
    match input {
        Input::Stream(reader) => reader,
        Input::File(file) => Box::new(file),
    }
}

/// The bytes of a text file, without the mark some programs put in front of UTF-8.
fn text_stream(input: Input) -> Result<impl Read + Send + 'static> {
    let mut reader = stream(input);
    let mut beginning = Vec::with_capacity(3);
    reader.by_ref().take(3).read_to_end(&mut beginning).map_err(compressed::read_error)?;
    if beginning == b"\xEF\xBB\xBF" {
        beginning.clear();
    }
    Ok(std::io::Cursor::new(beginning).chain(reader))
}

/// The schema of the first `max_rows` rows of a file.
pub(crate) fn observe(input: Input, options: &DecodeOptions, max_rows: usize) -> Result<Schema> {
    match options.format {
        Format::Parquet => return Ok(Schema::new(canonical::columns(parquet::schema(input)?.fields()))),
        Format::Avro => {
            return Ok(Schema::new(canonical::columns(avro::Batches::open(stream(input))?.schema().fields())));
        }
        Format::Ndjson | Format::Json | Format::Csv => {}
    }
    let decoder = Decoder::new(options.clone(), EvolvingSchema::new(Arc::new(Schema::empty())));
    let mut shape = Shape::Nothing;
    let mut left = max_rows;
    for piece in decoder.pieces_of(input, SAMPLE)? {
        match piece?.0 {
            Content::Text(text) => left = text::observe(&text, &mut shape, left),
            Content::Csv(records) => left = csv::observe(&records, &mut shape, left)?,
            Content::Batch { .. } => break,
        }
        if left == 0 {
            break;
        }
    }
    Ok(Schema::new(shape.columns()))
}

#[cfg(test)]
mod tests;
