//! JSON values that came one by one, as messages do, cut into a piece by whoever received them.

use std::ops::Range;

use arrow::datatypes::Schema;

use crate::decode::shape::Shape;
use crate::decode::text::{self, Text};
use crate::decode::{Content, Piece};

impl Piece {
    /// The JSON values at `places` of `bytes`, in the order of the text. Something that is not part of a character must
    /// stand between two of them, such as a line feed. Their positions are counted from 0; a value of white space only
    /// is no row.
    pub fn of_values(bytes: Vec<u8>, places: Vec<Range<usize>>) -> Piece {
        Piece(Content::Text(Text { bytes, first: 0, values: places, rejects: Vec::new() }))
    }

    /// The schema of the first `rows` values of a piece of JSON text; nothing is known of other pieces.
    pub fn observe(&self, rows: usize) -> Schema {
        let mut shape = Shape::Nothing;
        if let Content::Text(text) = &self.0 {
            text::observe(text, &mut shape, rows);
        }
        Schema::new(shape.columns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::decode::tests::{json, options, schema};
    use crate::spec::{Format, Mismatch, NewColumns};

    fn piece(values: &[&[u8]]) -> Piece {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for value in values {
            places.push(bytes.len()..bytes.len() + value.len());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        Piece::of_values(bytes, places)
    }

    #[test]
    fn every_value_is_one_row_whatever_white_space_it_holds() {
        let decoder =
            Decoder::new(options(Format::Ndjson, NewColumns::Add, Mismatch::Rescue), schema(r#"{"a":"long"}"#));
        let found =
            decoder.decode(piece(&[b"{\"a\":\n1}", b"", b"{\"a\":\r\n2", b"{\"a\":\"\xff\"}", b"{\"a\":3}"])).unwrap();
        let rows: Vec<String> = json(&found.rows).iter().map(ToString::to_string).collect();
        assert_eq!(rows, [r#"{"a":1,"_position":0}"#, r#"{"a":3,"_position":4}"#]);
        let rejected: Vec<i64> = found.rejects.iter().map(|reject| reject.position).collect();
        assert_eq!(rejected, [2, 3]);
    }

    #[test]
    fn values_have_a_schema() {
        let schema = piece(&[b"{\"a\":\n1}", b"{\"b\":\"x\"}"]).observe(10);
        assert_eq!(schema.fields().len(), 2);
    }
}
