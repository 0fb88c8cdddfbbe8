//! Avro object container files as batches of bounded size.

use std::io::{BufReader, Read};

use arrow_avro::reader::{Reader, ReaderBuilder};
use stage::{Error, Result};

use crate::decode::{Content, Piece};

/// The rows of a piece. Avro does not say beforehand how large its rows are.
const ROWS: usize = 8_192;

type Source = BufReader<Box<dyn Read + Send>>;

/// The pieces of one file.
pub(crate) struct Batches {
    reader: Reader<Source>,
    next_ordinal: i64,
    ended: bool,
}

impl Batches {
    /// Opens a file.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when it is not a readable Avro file.
    pub(crate) fn open(reader: Box<dyn Read + Send>) -> Result<Batches> {
        Ok(Batches { reader: open(reader)?, next_ordinal: 1, ended: false })
    }
}

impl Iterator for Batches {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.reader.next()? {
            Ok(batch) => {
                let first = self.next_ordinal;
                self.next_ordinal += batch.num_rows() as i64;
                Some(Ok(Piece(Content::Batch { batch, first })))
            }
            Err(why) => {
                self.ended = true;
                Some(Err(corrupt(why)))
            }
        }
    }
}

/// The schema of a file.
pub(crate) fn schema(reader: Box<dyn Read + Send>) -> Result<arrow::datatypes::SchemaRef> {
    Ok(open(reader)?.schema())
}

fn open(reader: Box<dyn Read + Send>) -> Result<Reader<Source>> {
    ReaderBuilder::new()
        .with_batch_size(ROWS)
        .with_utf8_view(true)
        .build(BufReader::with_capacity(1 << 20, reader))
        .map_err(corrupt)
}

fn corrupt(why: impl Into<stage::BoxError>) -> Error {
    Error::data("the file is not a complete Avro object container file; write it again, or remove it").with_source(why)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow_avro::writer::AvroWriter;

    use crate::decode::Decoder;
    use crate::decode::tests::{bytes, decode_one, json, options, schema};
    use crate::spec::{Format, Mismatch, NewColumns};

    fn file() -> Vec<u8> {
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("b", Arc::new(StringArray::from(vec!["x", "a string beyond twelve"])) as ArrayRef),
        ])
        .unwrap();
        let mut writer = AvroWriter::new(Vec::new(), batch.schema().as_ref().clone()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        writer.into_inner()
    }

    fn decoder() -> Decoder {
        Decoder::new(options(Format::Avro, NewColumns::Add, Mismatch::Rescue), schema(r#"{"b":"string"}"#))
    }

    #[test]
    fn rows_are_matched_by_name() {
        let rows = json(&decode_one(&decoder(), file()).unwrap().rows);
        assert_eq!(rows[0].to_string(), r#"{"b":"x","a":1,"_position":1}"#);
        assert_eq!(rows[1].to_string(), r#"{"b":"a string beyond twelve","a":2,"_position":2}"#);
    }

    #[test]
    fn a_damaged_file_is_named_as_such() {
        let mut cut = file();
        cut.truncate(cut.len() - 20);
        for damaged in [cut, Vec::new(), b"no avro".to_vec()] {
            let error = decode_one_error(damaged);
            assert_eq!(error.kind(), stage::Kind::Data);
            assert!(error.message().contains("Avro"));
        }
    }

    fn decode_one_error(damaged: Vec<u8>) -> stage::Error {
        match decoder().pieces(bytes(damaged)) {
            Err(error) => error,
            Ok(mut pieces) => pieces.find_map(Result::err).unwrap(),
        }
    }
}
