//! Rows of a Parquet file as JSON values, structs and lists included.
//!
//! The data sets of the hub are Parquet, and so are the details that some tools write. Read row by row, which is slow
//! for gigabytes and right for the thousands of rows of a benchmark.

use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use crate::data_file::{MAX_FILE_BYTES, too_large};

/// All rows of the file.
///
/// # Errors
/// What is wrong with the file, in one line without its path.
pub(crate) fn parquet_rows(path: &Path) -> Result<Vec<Map<String, Value>>, String> {
    // The library panics on some files that are damaged.
    catch_unwind(|| read(path)).unwrap_or_else(|_| Err("is damaged: the parser panicked".into()))
}

fn read(path: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let claimed = |group: &RowGroupMetaData| u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX);
    if reader.metadata().row_groups().iter().map(claimed).fold(0, u64::saturating_add) > MAX_FILE_BYTES {
        return Err(too_large());
    }
    // What is claimed may be false, and a value that is repeated a million times takes a few bytes.
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for row in reader.get_row_iter(None).map_err(|error| error.to_string())? {
        let row = object(&row.map_err(|error| error.to_string())?);
        bytes += row.values().map(size).sum::<u64>();
        if bytes > MAX_FILE_BYTES {
            return Err(too_large());
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Bytes of a value, and some for its place.
fn size(value: &Value) -> u64 {
    let inside: u64 = match value {
        Value::String(text) => text.len() as u64,
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    };
    inside + 32
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(v) => (*v).into(),
        Field::Byte(v) => (*v).into(),
        Field::Short(v) => (*v).into(),
        Field::Int(v) => (*v).into(),
        Field::Long(v) => (*v).into(),
        Field::UByte(v) => (*v).into(),
        Field::UShort(v) => (*v).into(),
        Field::UInt(v) => (*v).into(),
        Field::ULong(v) => (*v).into(),
        Field::Float(v) => number(f64::from(*v)),
        Field::Double(v) => number(*v),
        Field::Str(v) => v.as_str().into(),
        Field::Bytes(v) => String::from_utf8_lossy(v.data()).into_owned().into(),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            Value::Object(map.entries().iter().map(|(key, field)| (key.to_string(), value(field))).collect())
        }
        // Dates and decimals: as they are written.
        other => other.to_string().into(),
    }
}

/// What is not finite does not exist in JSON.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
