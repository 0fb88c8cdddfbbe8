//! Avro object container files as batches of bounded size.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_avro::reader::{Reader, ReaderBuilder};
use stage::{Error, Result};

use crate::decode::compressed::read_error;
use crate::decode::{Content, Piece};

/// The rows of a piece. Avro does not say beforehand how large its rows are.
const ROWS: usize = 8_192;
/// The length of the marker every block, and so every complete file, ends with.
const MARKER: usize = 16;

/// The pieces of one file.
pub(crate) struct Batches {
    reader: Reader<BufReader<Watched>>,
    watch: Arc<Mutex<Watch>>,
    next_ordinal: i64,
    ended: bool,
}

impl Batches {
    /// Opens a file.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when it is not a readable Avro file.
    pub(crate) fn open(reader: Box<dyn Read + Send>) -> Result<Batches> {
        let watch = Arc::new(Mutex::new(Watch::default()));
        let source = Watched { reader, watch: Arc::clone(&watch) };
        // Not `with_utf8_view`: the library's views lose which texts are null.
        let reader = ReaderBuilder::new()
            .with_batch_size(ROWS)
            .build(BufReader::with_capacity(1 << 20, source))
            .map_err(|why| corrupt(&watch, Some(why.into())))?;
        Ok(Batches { reader, watch, next_ordinal: 1, ended: false })
    }

    /// The schema of the file.
    pub(crate) fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.reader.schema()
    }

    /// The library takes a file that was cut off for one that ends; only the marker tells.
    fn ends_with_marker(&self) -> bool {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.tail.iter().eq(self.reader.avro_header().sync().iter())
    }
}

impl Iterator for Batches {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.reader.next() {
            Some(Ok(batch)) => {
                let first = self.next_ordinal;
                self.next_ordinal += batch.num_rows() as i64;
                Some(Ok(Piece(Content::Batch { batch, first })))
            }
            Some(Err(why)) => {
                self.ended = true;
                Some(Err(corrupt(&self.watch, Some(why.into()))))
            }
            None => {
                self.ended = true;
                (!self.ends_with_marker()).then(|| Err(corrupt(&self.watch, None)))
            }
        }
    }
}

/// What went by while the library read.
#[derive(Default)]
struct Watch {
    tail: VecDeque<u8>,
    failed: Option<Error>,
}

struct Watched {
    reader: Box<dyn Read + Send>,
    watch: Arc<Mutex<Watch>>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(read) => {
                let new = &buffer[..read];
                watch.tail.extend(&new[read.saturating_sub(MARKER)..]);
                let surplus = watch.tail.len().saturating_sub(MARKER);
                watch.tail.drain(..surplus);
                Ok(read)
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => Err(why),
            Err(why) => {
                let kind = why.kind();
                watch.failed = Some(read_error(why));
                Err(kind.into())
            }
        }
    }
}

/// What a failure of the library means: the source failed, or the contents are damaged.
fn corrupt(watch: &Mutex<Watch>, why: Option<stage::BoxError>) -> Error {
    if let Some(failed) = watch.lock().unwrap_or_else(PoisonError::into_inner).failed.take() {
        return failed;
    }
    let error = Error::data("the file is not a complete Avro object container file; write it again, or remove it");
    match why {
        Some(why) => error.with_source(why),
        None => error,
    }
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
    fn a_text_that_is_null_stays_null() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("")]));
        let batch = RecordBatch::try_from_iter_with_nullable([("b", texts, true)]).unwrap();
        let mut writer = AvroWriter::new(Vec::new(), batch.schema().as_ref().clone()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let rows = json(&decode_one(&decoder(), writer.into_inner()).unwrap().rows);
        assert_eq!((rows[1]["b"].is_null(), rows[2]["b"].as_str()), (true, Some("")));
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

    #[test]
    fn a_failing_source_is_not_taken_for_a_damaged_file() {
        struct Fails(std::io::Cursor<Vec<u8>>);
        impl std::io::Read for Fails {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(std::io::ErrorKind::ConnectionReset.into()),
                    read => Ok(read),
                }
            }
        }
        let input = crate::decode::Input::Stream(Box::new(Fails(std::io::Cursor::new(file()))));
        let error = decoder().pieces(input).unwrap().find_map(Result::err).unwrap();
        assert_eq!(error.kind(), stage::Kind::Unavailable);
    }

    fn decode_one_error(damaged: Vec<u8>) -> stage::Error {
        match decoder().pieces(bytes(damaged)) {
            Err(error) => error,
            Ok(mut pieces) => pieces.find_map(Result::err).unwrap(),
        }
    }
}
