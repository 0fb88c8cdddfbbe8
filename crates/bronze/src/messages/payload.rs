//! Payloads into rows. Every format that holds fields becomes JSON text on the way, so that hints, evolution and what
//! is rescued are the same for all of them, and the same as for files.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, Int64Array, RecordBatch, StringViewBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use frame::decode::{self, Decoder, POSITION, RESCUED_DATA};
use stage::{Error, Result};

use super::piece::Piece;
use super::schemas::AsText;
use super::spec::MessageFormat;
use super::values::base64_of;

/// The column of messages that are one value.
pub(crate) const VALUE: &str = "value";
/// What stands for a payload that is missing where rows are JSON: a row without values.
pub(crate) const TOMBSTONE: &[u8] = b"{}";

/// The rows of a piece: data columns, the index of each message in `_position`, and what was rescued.
pub(crate) struct Read {
    pub(crate) rows: RecordBatch,
    pub(crate) refused: Vec<Refused>,
}

/// A message that is no row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its index in the piece.
    pub(crate) index: usize,
    /// Its payload as base64.
    pub(crate) raw: String,
    pub(crate) reason: String,
}

/// The one column of messages that are one value.
pub(crate) fn value_schema(format: MessageFormat) -> SchemaRef {
    let data_type = if format == MessageFormat::Bytes { DataType::Binary } else { DataType::Utf8View };
    Arc::new(Schema::new(vec![Field::new(VALUE, data_type, true)]))
}

/// Reads payloads that are JSON.
///
/// # Errors
/// [`stage::Kind::Data`] when a rule says `fail`.
pub(crate) fn read_json(decoder: &Decoder, piece: &mut Piece) -> Result<Read> {
    let places = std::mem::take(&mut piece.places);
    let payloads = std::mem::take(&mut piece.payloads);
    // What is rejected is told as text. Only where the payload was not text, its bytes are needed too.
    let not_text = std::str::from_utf8(&payloads).is_err().then(|| (payloads.clone(), places.clone()));
    let raw_of = |index: usize, text: &str| {
        match &not_text {
            Some((payloads, places)) => places.get(index).and_then(|place| payloads.get(place.clone())).map(base64_of),
            None => None,
        }
        .unwrap_or_else(|| base64_of(text.as_bytes()))
    };
    let count = places.len();
    let decoded = decoder.decode(decode::Piece::of_values(payloads, places))?;
    let mut refused = Vec::with_capacity(decoded.rejects.len());
    for reject in &decoded.rejects {
        let index = usize::try_from(reject.position).unwrap_or(0);
        refused.push(Refused { index, raw: raw_of(index, &reject.raw), reason: reject.reason.clone() });
    }
    if decoded.rows.num_rows() + refused.len() < count {
        add_blank(&decoded.rows, count, &mut refused, raw_of)?;
    }
    Ok(Read { rows: decoded.rows, refused })
}

/// Reads the text that was made of the messages of a piece, and tells of the messages themselves.
///
/// # Errors
/// As [`read_json`].
pub(crate) fn read_text_of(decoder: &Decoder, piece: &Piece, mut text: AsText) -> Result<Read> {
    let indices_of_text = std::mem::take(&mut text.indices);
    let index_of = |index: usize| indices_of_text.get(index).copied().unwrap_or(index);
    let mut read = read_json(decoder, &mut text.piece)?;
    for refused in &mut read.refused {
        refused.index = index_of(refused.index);
        let payload = piece.places.get(refused.index).and_then(|place| piece.payloads.get(place.clone()));
        refused.raw = base64_of(payload.unwrap_or_default());
    }
    if !text.refused.is_empty() {
        let positions = indices(&read.rows)?.into_iter().map(|index| index_of(index) as i64);
        let positions: ArrayRef = Arc::new(positions.collect::<Int64Array>());
        let schema = read.rows.schema();
        let at = schema.index_of(POSITION).map_err(|error| Error::bug("no position").with_source(error))?;
        let mut columns = read.rows.columns().to_vec();
        columns.splice(at..=at, [positions]);
        let rows = RecordBatch::try_new(schema, columns);
        read.rows = rows.map_err(|error| Error::bug("could not number rows").with_source(error))?;
        read.refused.append(&mut text.refused);
    }
    Ok(read)
}

/// Messages of white space are no rows of a file, but they are messages.
fn add_blank(
    rows: &RecordBatch,
    count: usize,
    refused: &mut Vec<Refused>,
    raw_of: impl Fn(usize, &str) -> String,
) -> Result<()> {
    let mut is_known = vec![false; count];
    let known = indices(rows)?.into_iter().chain(refused.iter().map(|one| one.index));
    known.for_each(|index| is_known.iter_mut().skip(index).take(1).for_each(|known| *known = true));
    let blank = is_known.iter().enumerate().filter(|(_, known)| !**known);
    let reason = "the message is empty; a message without a payload is kept as a row without values";
    refused.extend(blank.map(|(index, _)| Refused { index, raw: raw_of(index, ""), reason: reason.to_owned() }));
    Ok(())
}

/// The messages that became rows, in the order of the rows.
pub(crate) fn indices(rows: &RecordBatch) -> Result<Vec<usize>> {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    let column = rows.column_by_name(POSITION).ok_or_else(|| Error::bug("decoded rows have no position"))?;
    let positions = column.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::bug("positions are no numbers"))?;
    Ok(positions.values().iter().map(|position| usize::try_from(*position).unwrap_or(0)).collect())
}

/// Reads payloads that are one value.
pub(crate) fn read_values(format: MessageFormat, piece: &Piece) -> Result<Read> {
    let mut refused = Vec::new();
    let mut positions = Vec::with_capacity(piece.rows());
    let mut tombstones = piece.tombstones.iter().copied().peekable();
    let payloads = piece.places.iter().enumerate().map(|(index, place)| {
        let payload = piece.payloads.get(place.clone()).unwrap_or_default();
        (index, tombstones.next_if_eq(&index).is_none().then_some(payload))
    });
    let values: ArrayRef = if format == MessageFormat::Bytes {
        let mut values = BinaryBuilder::with_capacity(piece.rows(), piece.payloads.len());
        for (index, payload) in payloads {
            values.append_option(payload);
            positions.push(index as i64);
        }
        Arc::new(values.finish())
    } else {
        let mut values = StringViewBuilder::with_capacity(piece.rows());
        for (index, payload) in payloads {
            match payload.map(std::str::from_utf8).transpose() {
                Ok(text) => {
                    values.append_option(text);
                    positions.push(index as i64);
                }
                Err(why) => refused.push(Refused {
                    index,
                    raw: base64_of(payload.unwrap_or_default()),
                    reason: format!("not valid UTF-8 from byte {} on", why.valid_up_to() + 1),
                }),
            }
        }
        Arc::new(values.finish())
    };
    let count = positions.len();
    let rows = RecordBatch::try_from_iter_with_nullable([
        (VALUE, values, true),
        (POSITION, Arc::new(Int64Array::from(positions)) as ArrayRef, true),
        (RESCUED_DATA, new_null_array(&DataType::Utf8View, count), true),
    ]);
    let rows = rows.map_err(|error| Error::bug("values do not form rows").with_source(error))?;
    Ok(Read { rows, refused })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};
    use frame::decode::{DecodeOptions, EvolvingSchema};
    use frame::spec::{CsvSpec, EvolutionSpec, Format};

    use super::*;

    fn piece(payloads: &[Option<&[u8]>], tombstone: &[u8]) -> Piece {
        let mut piece = Piece::default();
        for (index, payload) in payloads.iter().enumerate() {
            let start = piece.payloads.len();
            if payload.is_none() {
                piece.tombstones.push(index);
            }
            piece.payloads.extend_from_slice(payload.unwrap_or(tombstone));
            piece.places.push(start..piece.payloads.len());
            piece.payloads.push(b'\n');
        }
        piece
    }

    fn decoder() -> Decoder {
        let options =
            DecodeOptions { format: Format::Ndjson, csv: CsvSpec::default(), evolution: EvolutionSpec::default() };
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        Decoder::new(options, EvolvingSchema::new(Arc::new(schema)))
    }

    #[test]
    fn every_message_is_a_row_or_is_refused_with_its_bytes() {
        let mut piece = piece(&[Some(b"{\"a\":1}"), Some(b""), None, Some(b"{\"a\""), Some(b" \n")], TOMBSTONE);
        let mut read = read_json(&decoder(), &mut piece).unwrap();
        assert_eq!(indices(&read.rows).unwrap(), [0, 2]);
        assert!(read.rows.column(0).is_null(1));
        read.refused.sort_by_key(|one| one.index);
        let refused: Vec<(usize, &str)> = read.refused.iter().map(|one| (one.index, one.raw.as_str())).collect();
        assert_eq!(refused, [(1, ""), (3, "eyJhIg=="), (4, "")]);
        assert!(read.refused[0].reason.contains("empty"));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_exactly() {
        let mut piece = piece(&[Some(b"{\"a\":1}"), Some(b"{\"a\":\"\xff\"}"), Some(b"x")], TOMBSTONE);
        let read = read_json(&decoder(), &mut piece).unwrap();
        let raws: Vec<&str> = read.refused.iter().map(|one| one.raw.as_str()).collect();
        assert_eq!(raws, [base64_of(b"{\"a\":\"\xff\"}"), base64_of(b"x")]);
    }

    #[test]
    fn a_value_that_is_missing_is_not_one_that_is_empty() {
        let piece = piece(&[Some(b"x"), None, Some(b""), Some(b"\xff")], b"");
        let read = read_values(MessageFormat::String, &piece).unwrap();
        let values: Vec<Option<&str>> = read.rows.column(0).as_string_view().iter().collect();
        assert_eq!(values, [Some("x"), None, Some("")]);
        assert_eq!((read.refused[0].index, read.refused[0].raw.as_str()), (3, "/w=="));
        let read = read_values(MessageFormat::Bytes, &piece).unwrap();
        assert_eq!((read.rows.num_rows(), read.refused.len()), (4, 0));
    }
}
