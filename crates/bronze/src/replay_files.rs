//! Lines of files that were refused, decoded again: each with the format, the columns and the path it landed with.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Read as _};
use std::sync::Arc;

use ::stage::columns::POSITION;
use ::stage::{Context, Error, Result};
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{FieldRef, Int64Type, Schema, SchemaRef};
use chrono::DateTime;
use frame::decode::{DecodeOptions, Decoded, Decoder, EvolvingSchema, Input, Piece};
use frame::spec::Format;
use quality::Gate;
use quality::quarantine::Unread;
use quality::replay::RefusedRow;

use crate::columns::Columns;
use crate::ingest::open;
use crate::listing::{LandedFile, Landing, path_columns};
use crate::replay::{Came, unread};
use crate::schema::{data_columns, hints, path_fields_of};
use crate::spec::BronzeSpec;

/// A header longer than this is not one.
const MAX_HEADER: u64 = 1 << 20;
/// Bytes asked of S3 for a header.
const HEADER_BYTES: usize = 64 << 10;

/// How refused lines become rows.
pub(crate) struct Lines<'a> {
    landing: &'a Landing,
    options: DecodeOptions,
    table: &'a SchemaRef,
    hints: Schema,
}

/// Lines of one file that came with one batch.
struct OfFile<'a> {
    source: &'a str,
    came: Came,
    rows: Vec<&'a RefusedRow>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(landing: &'a Landing, spec: &BronzeSpec, table: &'a SchemaRef) -> Result<Lines<'a>> {
        let files = spec.source.files()?;
        let options = DecodeOptions { format: files.format, csv: files.csv.clone(), evolution: spec.evolution };
        Ok(Lines { landing, options, table, hints: hints(spec)? })
    }

    /// The rows of the lines that can be read now. Those that cannot are put aside at the gate.
    pub(crate) async fn decode(
        &self,
        lines: Vec<RefusedRow>,
        gate: &Gate,
        context: &Context,
    ) -> Result<Vec<RecordBatch>> {
        let needs_header = self.options.format == Format::Csv && self.options.csv.header;
        let listed = match needs_header && !lines.is_empty() {
            true => self.landing.list(context.now()).await?,
            false => Vec::new(),
        };
        let mut decoded = Vec::new();
        for file in by_file(&lines) {
            context.check()?;
            let path_fields = path_fields_of([file.source].into_iter(), &self.hints);
            let schema = EvolvingSchema::new(data_columns(self.table, &path_fields));
            let decoder = Decoder::new(self.options.clone(), schema);
            let pieces = match (self.options.format, needs_header) {
                (Format::Csv, true) => match self.header(&listed, file.source).await? {
                    Some(header) => records(&decoder, &header, &file)?,
                    None => {
                        let why = "the file is gone, so the names of its columns are not known";
                        let texts: Vec<Unread> = file.rows.iter().map(|row| unread(row, why)).collect();
                        gate.put_aside_unread(&texts).await?;
                        continue;
                    }
                },
                (Format::Csv, false) => records(&decoder, b"", &file)?,
                _ => vec![values(&decoder, &file)?],
            };
            for piece in pieces {
                decoded.extend(complete(piece, &file, path_fields.clone(), gate).await?);
            }
        }
        Ok(decoded)
    }

    /// The first line of a file, as long as it is there.
    async fn header(&self, listed: &[LandedFile], source: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = listed.iter().find(|file| file.path == source).cloned() else { return Ok(None) };
        let (landing, format) = (self.landing.clone(), self.options.format);
        let read = move || -> Result<Vec<u8>> {
            let mut line = Vec::new();
            let failed =
                |error| Error::unavailable(format!("could not read `{}`", landing.display(&file))).with_source(error);
            if let Input::Stream(reader) = open(&landing, &file, format, HEADER_BYTES)? {
                BufReader::new(reader.take(MAX_HEADER)).read_until(b'\n', &mut line).map_err(failed)?;
            }
            Ok(line)
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| Error::bug("reading a header ended unexpectedly").with_source(error))?.map(Some)
    }
}

fn by_file(lines: &[RefusedRow]) -> Vec<OfFile<'_>> {
    let mut files: BTreeMap<(&str, Came), Vec<&RefusedRow>> = BTreeMap::new();
    for row in lines {
        files.entry((row.source.as_str(), Came::of(row))).or_default().push(row);
    }
    files.into_iter().map(|((source, came), rows)| OfFile { source, came, rows }).collect()
}

impl Came {
    pub(crate) fn of(row: &RefusedRow) -> Came {
        Came { batch: row.batch.unwrap_or_default(), at_micros: row.at_micros }
    }
}

/// Values of JSON. Of formats that have types a refused row is told as JSON too.
fn values(decoder: &Decoder, file: &OfFile<'_>) -> Result<(Decoded, Vec<i64>)> {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for row in &file.rows {
        places.push(bytes.len()..bytes.len() + row.row.len());
        bytes.extend_from_slice(row.row.as_bytes());
        bytes.push(b'\n');
    }
    let decoded = decoder.decode(Piece::of_values(bytes, places))?;
    Ok((decoded, file.rows.iter().map(|row| row.position).collect()))
}

/// Records of CSV, each by itself: a stray quote in one must not reach into the next.
fn records(decoder: &Decoder, header: &[u8], file: &OfFile<'_>) -> Result<Vec<(Decoded, Vec<i64>)>> {
    let mut all = Vec::new();
    for row in &file.rows {
        let text = [header, row.row.as_bytes(), b"\n"].concat();
        for piece in decoder.pieces(Input::Stream(Box::new(Cursor::new(text))))? {
            let mut decoded = decoder.decode(piece?)?;
            // Whatever line of the text it is, there is one record.
            decoded.rejects.iter_mut().for_each(|reject| reject.position = 0);
            let count = decoded.rows.num_rows();
            decoded.rows = with_positions(&decoded.rows, Int64Array::from(vec![0; count]))?;
            all.push((decoded, vec![row.position]));
        }
    }
    Ok(all)
}

/// The rows with every column of the table. `positions` say where each value stood in the file.
async fn complete(
    (decoded, positions): (Decoded, Vec<i64>),
    file: &OfFile<'_>,
    path_fields: Vec<FieldRef>,
    gate: &Gate,
) -> Result<Option<RecordBatch>> {
    let at =
        |index: i64| usize::try_from(index).ok().and_then(|index| positions.get(index)).copied().unwrap_or_default();
    let rejects = decoded.rejects.iter();
    let unread: Vec<Unread> = rejects
        .map(|reject| Unread {
            raw: &reject.raw,
            reason: &reject.reason,
            source: file.source,
            position: at(reject.position),
        })
        .collect();
    gate.put_aside_unread(&unread).await?;
    if decoded.rows.num_rows() == 0 {
        return Ok(None);
    }
    let indices = decoded.rows.column_by_name(POSITION).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let indices = indices.ok_or_else(|| Error::bug("decoded rows have no position"))?;
    let rows = with_positions(&decoded.rows, indices.values().iter().map(|index| at(*index)).collect())?;
    let now = DateTime::from_timestamp_micros(file.came.at_micros).unwrap_or_default();
    let columns = Columns { path_fields, batch: file.came.batch, now };
    columns.complete(&rows, file.source, &path_columns(file.source)).map(Some)
}

fn with_positions(rows: &RecordBatch, positions: Int64Array) -> Result<RecordBatch> {
    let failed = |error| Error::bug("could not number rows").with_source(error);
    let at = rows.schema().index_of(POSITION).map_err(failed)?;
    let mut columns = rows.columns().to_vec();
    columns[at] = Arc::new(positions) as ArrayRef;
    RecordBatch::try_new(rows.schema(), columns).map_err(failed)
}
