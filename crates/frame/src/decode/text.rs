//! Pieces of JSON text to rows: each value strictly first, and carefully only where that does not work.
//!
//! A dirty row costs its own second reading and nothing else. The first row of a piece that brings a new field also
//! costs one look at the rest of the piece, so that the new column's type fits all rows of the piece.

use std::ops::Range;

use arrow::buffer::Buffer;
use stage::{Error, Result};

use crate::decode::building::Building;
use crate::decode::careful::{Fate, judge};
use crate::decode::rows::{Reading, Stop, Why, read_row};
use crate::decode::scan::Scanner;
use crate::decode::shape::Shape;
use crate::decode::{Decoded, Decoder, Reject};
use crate::spec::NewColumns;

/// JSON text with the places of the values in it.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    /// The position of the first value; the next ones follow one by one.
    pub(crate) first: i64,
    /// Where each value stands: lines without their end, or elements of a document. Blank ones are no rows.
    pub(crate) values: Vec<Range<usize>>,
    /// What the cutting already had to give up.
    pub(crate) rejects: Vec<Reject>,
}

/// Decodes one piece.
pub(crate) fn decode(decoder: &Decoder, piece: Text) -> Result<Decoded> {
    let size = piece.bytes.len() as u64;
    let (bytes, invalid) = repaired(piece.bytes, &piece.values);
    let buffer = Buffer::from_vec(bytes);
    let text = std::str::from_utf8(&buffer).map_err(|why| Error::bug("repaired text is not UTF-8").with_source(why))?;
    let mut building = Building::new(&decoder.schema)?;
    building.rejects = piece.rejects;
    let mut rows = Rows { decoder, text, values: &piece.values, building, looked_ahead: false };
    let mut invalid = invalid.into_iter().peekable();
    let mut strict = Reading::strict(decoder.options.evolution.new_columns);
    for (index, place) in piece.values.iter().enumerate() {
        let position = piece.first + index as i64;
        if let Some((_, raw)) = invalid.next_if(|(bad, _)| *bad == index) {
            rows.building.reject(
                position,
                raw,
                "not valid UTF-8; the bytes that are not text are shown as \u{FFFD}".to_owned(),
            );
            continue;
        }
        let mut scanner = Scanner::within(text, place.clone());
        match read_row(&mut rows.building.root, &mut scanner, &mut strict) {
            Ok(()) => rows.building.keep(position, None),
            Err(_) => {
                rows.building.take_back();
                rows.decode_carefully(index, position)?;
            }
        }
    }
    rows.building.finish(&buffer, &decoder.schema, size)
}

/// Looks at up to `rows` rows of a piece; returns how many are still to be looked at.
pub(crate) fn observe(piece: &Text, seen: &mut Shape, rows: usize) -> usize {
    let text = String::from_utf8_lossy(&piece.bytes);
    // Replacement characters move what stands behind them, so such a piece is looked at value by value.
    let whole = matches!(text, std::borrow::Cow::Borrowed(_));
    let mut left = rows;
    for place in &piece.values {
        if left == 0 {
            break;
        }
        let part = if whole { text.get(place.clone()) } else { std::str::from_utf8(&piece.bytes[place.clone()]).ok() };
        let found = part.and_then(shape_of_row);
        if let Some(shape) = found {
            seen.absorb(shape);
            left -= 1;
        }
    }
    left
}

/// The shape of a valid row.
fn shape_of_row(text: &str) -> Option<Shape> {
    let mut shape = Shape::Nothing;
    let mut scanner = Scanner::new(text);
    shape.observe(&mut scanner).and_then(|()| scanner.end()).ok()?;
    matches!(shape, Shape::Struct(_)).then_some(shape)
}

struct Rows<'a> {
    decoder: &'a Decoder,
    text: &'a str,
    values: &'a [Range<usize>],
    building: Building,
    looked_ahead: bool,
}

impl Rows<'_> {
    /// Decodes a value that is not as the schema says, or not JSON at all.
    fn decode_carefully(&mut self, index: usize, position: i64) -> Result<()> {
        let place = self.values[index].clone();
        let raw = self.text.get(place.clone()).unwrap_or_default();
        if raw.trim_ascii().is_empty() {
            return Ok(());
        }
        loop {
            let mut reading = Reading::lenient();
            let mut scanner = Scanner::within(self.text, place.clone());
            match read_row(&mut self.building.root, &mut scanner, &mut reading) {
                Ok(()) => {}
                Err(stop) => {
                    self.building.take_back();
                    let reason = match stop {
                        Stop::Syntax(syntax) => format!("not a JSON object: {syntax}"),
                        Stop::Dirty => "not readable".to_owned(),
                    };
                    self.building.reject(position, raw.to_owned(), reason);
                    return Ok(());
                }
            }
            let evolution = self.decoder.options.evolution;
            let news =
                evolution.new_columns == NewColumns::Add && reading.notes.iter().any(|note| note.why == Why::Unknown);
            if news && self.learn(index)? {
                continue;
            }
            match judge(&reading.notes, evolution, position)? {
                Fate::Keep(rescued) => self.building.keep(position, rescued.as_deref()),
                Fate::Reject(reason) => {
                    self.building.take_back();
                    self.building.reject(position, raw.to_owned(), reason);
                }
            }
            return Ok(());
        }
    }

    /// Takes over what others have added to the schema or, once per piece, adds what this value and those behind it
    /// bring. False when nothing changed; otherwise the row just read has been taken back.
    fn learn(&mut self, index: usize) -> Result<bool> {
        let mut schema = self.decoder.schema.current();
        if std::sync::Arc::ptr_eq(&schema, &self.building.schema) && !self.looked_ahead {
            self.looked_ahead = true;
            let mut seen = Shape::Nothing;
            for place in &self.values[index..] {
                if let Some(shape) = self.text.get(place.clone()).and_then(shape_of_row) {
                    seen.absorb(shape);
                }
            }
            schema = self.decoder.schema.add(&seen.columns());
        }
        if std::sync::Arc::ptr_eq(&schema, &self.building.schema) {
            return Ok(false);
        }
        self.building.take_back();
        self.building.grow(schema)
    }
}

/// Replaces values that are not UTF-8 by blanks; returns them with their index, as far as they can be shown.
fn repaired(mut bytes: Vec<u8>, values: &[Range<usize>]) -> (Vec<u8>, Vec<(usize, String)>) {
    let mut invalid = Vec::new();
    let mut from = 0;
    while let Err(why) = std::str::from_utf8(&bytes[from..]) {
        let bad = from + why.valid_up_to();
        let index = values.partition_point(|place| place.end <= bad);
        match values.get(index).filter(|place| place.start <= bad) {
            Some(place) => {
                invalid.push((index, String::from_utf8_lossy(&bytes[place.clone()]).into_owned()));
                bytes[place.clone()].fill(b' ');
                from = place.end;
            }
            // Between two values: nobody reads it.
            None => {
                bytes[bad] = b' ';
                from = bad;
            }
        }
    }
    (bytes, invalid)
}
