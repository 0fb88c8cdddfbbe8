//! The columns bronze adds to every row: parts of the path, and where the row came from.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use frame::types::timestamp;
use stage::columns::{BATCH, INGESTED_AT, POSITION, RESCUED_DATA, SOURCE};
use stage::{Error, Result};

/// The system columns, in the order in which they stand after the data.
pub fn system_fields() -> Vec<FieldRef> {
    let field = |name: &str, data_type: DataType| Arc::new(Field::new(name, data_type, true));
    vec![
        field(SOURCE, DataType::Utf8View),
        field(POSITION, DataType::Int64),
        field(INGESTED_AT, timestamp()),
        field(BATCH, DataType::Int64),
        field(RESCUED_DATA, DataType::Utf8View),
    ]
}

/// Whether a column is one that bronze adds.
pub fn is_system(name: &str) -> bool {
    stage::columns::ALL.contains(&name)
}

/// What is added to the rows of one batch.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The columns made from parts of the path, with their types.
    pub path_fields: Vec<FieldRef>,
    /// The batch.
    pub batch: i64,
    /// The time of the batch.
    pub now: DateTime<Utc>,
}

impl Columns {
    /// The whole schema of the table, for data of the given schema.
    pub fn table_schema(&self, data: &Schema) -> SchemaRef {
        let fields = data.fields().iter().cloned().chain(self.path_fields.iter().cloned()).chain(system_fields());
        Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
    }

    /// The decoded rows of one file with every column of the table. `decoded` ends with position and rescued data.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when a part of the path does not fit the type its column was given.
    pub fn complete(&self, decoded: &RecordBatch, source: &str, path: &[(String, String)]) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let schema = decoded.schema();
        let data: Vec<usize> =
            (0..schema.fields().len()).filter(|index| !is_system(schema.field(*index).name())).collect();
        let mut arrays: Vec<ArrayRef> = data.iter().map(|index| decoded.column(*index).clone()).collect();
        for field in &self.path_fields {
            arrays.push(path_array(field, path, rows, source)?);
        }
        let column = |name: &str| {
            decoded.column_by_name(name).cloned().ok_or_else(|| Error::bug(format!("decoded rows have no `{name}`")))
        };
        arrays.push(repeated(source, rows)?);
        arrays.push(column(POSITION)?);
        let ingested = TimestampMicrosecondArray::from_value(self.now.timestamp_micros(), rows).with_timezone("UTC");
        arrays.push(Arc::new(ingested));
        arrays.push(Arc::new(Int64Array::from_value(self.batch, rows)));
        arrays.push(column(RESCUED_DATA)?);
        let data_fields: Vec<FieldRef> = data.iter().map(|index| schema.fields()[*index].clone()).collect();
        RecordBatch::try_new(self.table_schema(&Schema::new(data_fields)), arrays)
            .map_err(|error| Error::bug("could not add the system columns").with_source(error))
    }
}

fn path_array(field: &FieldRef, path: &[(String, String)], rows: usize, source: &str) -> Result<ArrayRef> {
    let Some((_, value)) = path.iter().find(|(key, _)| key == field.name()) else {
        return Ok(new_null_array(field.data_type(), rows));
    };
    if value == "__HIVE_DEFAULT_PARTITION__" {
        return Ok(new_null_array(field.data_type(), rows));
    }
    let text = repeated(value, rows)?;
    if field.data_type() == &DataType::Utf8View {
        return Ok(text);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&text, field.data_type(), &options).map_err(|error| {
        let name = field.name();
        let wanted = frame::types::type_name(field.data_type());
        Error::data(format!("`{name}={value}` in the path of {source} is not a {wanted}; change [schema] {name}"))
            .with_source(error)
    })
}

/// One text for every row. Taking copies the view only, so all rows share its bytes.
fn repeated(text: &str, rows: usize) -> Result<ArrayRef> {
    let one = StringViewArray::from_iter_values([text]);
    take(&one, &UInt32Array::from_value(0, rows), None)
        .map_err(|error| Error::bug("could not repeat the name of a source").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int32Type;

    fn completed(data_type: DataType, path: &[(String, String)]) -> Result<RecordBatch> {
        let decoded = RecordBatch::try_from_iter_with_nullable([
            ("a", Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef, true),
            (POSITION, Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef, true),
            (RESCUED_DATA, new_null_array(&DataType::Utf8View, 2), true),
        ])
        .unwrap();
        let path_fields = vec![Arc::new(Field::new("year", data_type, true))];
        Columns { path_fields, batch: 3, now: DateTime::UNIX_EPOCH }.complete(&decoded, "year=2024/f.json", path)
    }

    #[test]
    fn rows_get_the_columns_of_their_path_and_origin() {
        let rows = completed(DataType::Int32, &[("year".to_owned(), "2024".to_owned())]).unwrap();
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["a", "year", SOURCE, POSITION, INGESTED_AT, BATCH, RESCUED_DATA]);
        assert_eq!(rows.column(1).as_primitive::<Int32Type>().value(1), 2024);
        assert_eq!(rows.column(2).as_string_view().value(1), "year=2024/f.json");
    }

    #[test]
    fn a_path_that_does_not_fit_its_type_is_named() {
        let error = completed(DataType::Int32, &[("year".to_owned(), "next".to_owned())]).unwrap_err();
        assert!(error.message().contains("`year=next` in the path of year=2024/f.json"), "{}", error.message());
    }
}
