//! `cells.parquet`: what `cells.csv` holds, with types, for data frames and for the viewer of the hub.
//!
//! The conditions of the run travel in the file's key-value metadata, so that the file alone says what it is.

use std::fmt::Write;
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::cell_record::{COLUMNS, Kind, record};
use crate::row::Row;

/// The rows in the order given, as the bytes of a file.
///
/// # Errors
/// If the table cannot be encoded, which is a fault of this program.
pub fn cells_parquet(rows: &[Row], conditions: &[(String, String)]) -> Result<Vec<u8>> {
    let metadata = conditions.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let properties = WriterProperties::builder().set_key_value_metadata(Some(metadata.collect())).build();
    let schema = Arc::new(parse_message_type(&schema())?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let records: Vec<[Value; COLUMNS.len()]> = rows.iter().map(record).collect();
    let mut group = writer.next_row_group()?;
    for (at, (_, kind)) in COLUMNS.iter().enumerate() {
        let values = records.iter().map(|record| &record[at]);
        match kind {
            Kind::Text => {
                column::<ByteArrayType>(&mut group, values.map(|v| v.as_str().map(ByteArray::from)))
            }
            Kind::Count => column::<Int64Type>(&mut group, values.map(Value::as_i64)),
            Kind::Number => column::<DoubleType>(&mut group, values.map(Value::as_f64)),
            Kind::Flag => column::<BoolType>(&mut group, values.map(Value::as_bool)),
        }?;
    }
    group.close()?;
    writer.into_inner()
}

fn schema() -> String {
    let mut text = "message cells {\n".to_owned();
    for (name, kind) in COLUMNS {
        let _ = match kind {
            Kind::Text => writeln!(text, "optional binary {name} (string);"),
            Kind::Count => writeln!(text, "optional int64 {name};"),
            Kind::Number => writeln!(text, "optional double {name};"),
            Kind::Flag => writeln!(text, "optional boolean {name};"),
        };
    }
    text + "}"
}

/// Definition level 1 where there is a value, 0 where there is none.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<Vec<u8>>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    let missing = || ParquetError::General("the table has fewer columns than are written".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(&present, Some(&levels), None)?;
    column.close()
}
