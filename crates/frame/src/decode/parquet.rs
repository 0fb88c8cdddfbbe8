//! Parquet files as batches of bounded size. The footer is read first, so bytes from elsewhere are spooled to a
//! temporary file.

use std::fs::File;
use std::io::Seek;

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use stage::{Error, Result};

use crate::decode::compressed::read_error;
use crate::decode::{Content, Input, Piece};

/// The most rows of a piece.
const MAX_ROWS: i64 = 65_536;

/// The pieces of one file.
pub(crate) struct Batches {
    reader: ParquetRecordBatchReader,
    next_ordinal: i64,
    ended: bool,
}

impl Batches {
    /// Opens a file; pieces are of about `size` bytes.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when it is not a readable Parquet file.
    pub(crate) fn open(input: Input, size: usize) -> Result<Batches> {
        let builder = builder(input)?;
        let (mut rows, mut bytes) = (0_i64, 0_i64);
        for group in builder.metadata().row_groups() {
            rows = rows.saturating_add(group.num_rows());
            bytes = bytes.saturating_add(group.total_byte_size());
        }
        // Decoded rows are usually larger than the file says, by about this factor.
        let row_bytes = (bytes.saturating_mul(2) / rows.max(1)).max(1);
        let batch_rows = (size as i64 / row_bytes).clamp(64, MAX_ROWS);
        let reader = builder.with_batch_size(batch_rows as usize).build().map_err(corrupt)?;
        Ok(Batches { reader, next_ordinal: 1, ended: false })
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
pub(crate) fn schema(input: Input) -> Result<arrow::datatypes::SchemaRef> {
    Ok(builder(input)?.schema().clone())
}

fn builder(input: Input) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = match input {
        Input::File(file) => file,
        Input::Stream(reader) => spooled(reader)?,
    };
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(corrupt)
}

fn spooled(mut reader: Box<dyn std::io::Read + Send>) -> Result<File> {
    let no_room = |why: std::io::Error| {
        Error::unavailable("a temporary copy of the file could not be written; free space in the temporary folder")
            .with_source(why)
    };
    let mut file = tempfile::tempfile().map_err(no_room)?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(why) => return Err(read_error(why)),
        };
        std::io::Write::write_all(&mut file, &chunk[..read]).map_err(no_room)?;
    }
    file.rewind().map_err(no_room)?;
    Ok(file)
}

fn corrupt(why: impl Into<stage::BoxError>) -> Error {
    Error::data("the file is not a complete Parquet file; write it again, or remove it").with_source(why)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::decode::tests::{bytes, options, schema};
    use crate::decode::{Decoder, POSITION};
    use crate::spec::{Format, Mismatch, NewColumns};

    fn file(rows: i64) -> Vec<u8> {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn decoder() -> Decoder {
        Decoder::new(options(Format::Parquet, NewColumns::Add, Mismatch::Rescue), schema("{}"))
    }

    #[test]
    fn files_and_streams_give_the_same_rows_in_bounded_pieces() {
        let mut local = tempfile::tempfile().unwrap();
        local.write_all(&file(1000)).unwrap();
        for input in [Input::File(local), bytes(file(1000))] {
            let decoder = decoder();
            let mut positions = Vec::new();
            for piece in decoder.pieces_of(input, 2_000).unwrap() {
                let rows = decoder.decode(piece.unwrap()).unwrap().rows;
                assert!(rows.num_rows() < 1000);
                let of_rows = rows.column_by_name(POSITION).unwrap().as_primitive::<Int64Type>();
                positions.extend(of_rows.values().iter().copied());
            }
            assert_eq!(positions, (1..=1000).collect::<Vec<i64>>());
        }
    }

    #[test]
    fn a_damaged_file_is_named_as_such() {
        let mut cut = file(1000);
        cut.truncate(cut.len() - 10);
        for damaged in [cut, Vec::new(), b"no parquet".to_vec()] {
            let error = decoder().pieces(bytes(damaged)).err().unwrap();
            assert_eq!(error.kind(), stage::Kind::Data);
            assert!(error.message().contains("Parquet"));
        }
    }

    #[test]
    fn the_schema_is_the_one_of_the_file() {
        let found = crate::infer::infer(bytes(file(1)), &decoder().options, 1).unwrap();
        assert_eq!(found.field(0).data_type(), &arrow::datatypes::DataType::Int64);
    }
}
