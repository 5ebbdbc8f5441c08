//! Rows of a data file, whatever its format: JSON lines, JSON, CSV, TSV, Parquet, or plain lines.
//!
//! Contract: rows in the order of the file, each a map from column names to JSON values; the format follows from the
//! file's extension. A file that cannot be read as its format is an error that names the row, never a shorter list. A file that
//! would take memory without end is refused before it is read; the largest benchmarks have some ten megabytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::parquet_rows::parquet_rows;

/// One row of a data file.
pub type Row = Map<String, Value>;

/// Bytes of a file, or of the values in it where it is compressed. As JSON values these are some gigabytes.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;
/// Bytes of one text: no model reads a longer one.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;

/// All rows of the file.
///
/// # Errors
/// One line that says what is wrong and where, without the path.
pub fn rows(path: &Path) -> Result<Vec<Row>, String> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if extension == "parquet" {
        return parquet_rows(path);
    }
    let text = bounded(path)?;
    let text = text.trim_start_matches('\u{feff}');
    match extension.as_str() {
        "json" => json(text),
        "csv" => separated(text, b','),
        "tsv" => separated(text, b'\t'),
        "jsonl" | "ndjson" => json_lines(text),
        "txt" if text.trim_start().starts_with('{') => json_lines(text),
        "txt" => Ok(lines(text)),
        other => Err(format!("`.{other}` is none of parquet, jsonl, json, csv, tsv and txt")),
    }
}

fn bounded(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    // One byte more than is accepted tells whether there is one: a file's stated size may be 0, as a device's is.
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > MAX_FILE_BYTES { Err(too_large()) } else { Ok(text) }
}

/// What is said of a file that is too large.
pub(crate) fn too_large() -> String {
    format!("has more than {} MiB, which is no benchmark: take the part that is wanted", MAX_FILE_BYTES >> 20)
}

fn json_lines(text: &str) -> Result<Vec<Row>, String> {
    let row = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

/// A list of objects, or an object with the list in `data`.
fn json(text: &str) -> Result<Vec<Row>, String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let list = match whole {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("data") {
            Some(Value::Array(list)) => list,
            _ => return Err("is neither a list nor an object with a list in `data`".into()),
        },
        _ => return Err("is neither a list nor an object".into()),
    };
    let row = |(number, value): (usize, Value)| match value {
        Value::Object(row) => Ok(row),
        _ => Err(format!("item {} is no object", number + 1)),
    };
    list.into_iter().enumerate().map(row).collect()
}

fn separated(text: &str, delimiter: u8) -> Result<Vec<Row>, String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|error| error.to_string())?;
        Ok(names.iter().zip(&record).map(|(name, value)| (name.to_owned(), value.into())).collect())
    };
    reader.records().map(row).collect()
}

/// Plain lines: one problem each, under the name `text`.
fn lines(text: &str) -> Vec<Row> {
    let row = |line: &str| Row::from_iter([("text".to_owned(), line.into())]);
    text.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Row>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        rows(&path)
    }

    #[test]
    fn one_table_reads_the_same_from_every_text_format() {
        let expected =
            read("a.jsonl", "{\"q\":\"1,\\n2\",\"a\":\"3\"}\n\n{\"q\":\"4\",\"a\":\"5\"}\n").unwrap();
        assert_eq!(expected.len(), 2);
        for (name, text) in [
            ("a.json", "[{\"q\":\"1,\\n2\",\"a\":\"3\"},{\"q\":\"4\",\"a\":\"5\"}]"),
            ("b.json", "\u{feff}{\"data\":[{\"q\":\"1,\\n2\",\"a\":\"3\"},{\"q\":\"4\",\"a\":\"5\"}]}"),
            ("a.csv", "q,a\n\"1,\n2\",3\n4,5\n"),
            ("a.tsv", "q\ta\n\"1,\n2\"\t3\n4\t5\n"),
            ("a.txt", "{\"q\":\"1,\\n2\",\"a\":\"3\"}\n{\"q\":\"4\",\"a\":\"5\"}"),
        ] {
            assert_eq!(read(name, text).unwrap(), expected, "{name}");
        }
        assert_eq!(read("b.txt", "one\n\ntwo\n").unwrap()[1]["text"], "two");
    }

    #[test]
    fn a_file_without_end_is_refused_and_deep_nesting_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.jsonl");
        // Sparse: it takes no room on the disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(rows(&path).unwrap_err().contains("more than 256 MiB"));
        let deep = format!("{{\"q\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read("deep.jsonl", &deep).unwrap_err().contains("recursion limit"));
        assert!(read("deep.json", &"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn a_broken_file_is_an_error_that_says_where() {
        assert!(read("a.jsonl", "{}\n{\n").unwrap_err().starts_with("line 2: "));
        assert!(read("a.json", "[1]").unwrap_err().contains("item 1"));
        assert!(read("a.csv", "q,a\n1\n").unwrap_err().contains("line"), "a short row is no row");
        assert!(read("a.xml", "").unwrap_err().contains(".xml"));
        assert!(read("a.parquet", "PAR1").is_err());
    }
}
