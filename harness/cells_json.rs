//! `cells.json`: every cell as an object, with the conditions that all of them share.
//!
//! The form is published in `harness/schema/cells.schema.json`, which is also the dictionary of the columns of
//! `cells.csv` and `cells.parquet`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cell_record::{COLUMNS, record};
use crate::row::Row;

/// Version of the form.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct CellsFile<'a> {
    schema: u32,
    name: &'a str,
    conditions: Map<String, Value>,
    cells: Vec<Map<String, Value>>,
}

/// The rows of a run called `name`, in the order given.
pub fn cells_json(name: &str, rows: &[Row], conditions: &[(String, String)]) -> String {
    let conditions = conditions.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let file = CellsFile { schema: SCHEMA, name, conditions, cells: rows.iter().map(object).collect() };
    serde_json::to_string_pretty(&file).expect("texts and numbers are plain data") + "\n"
}

/// A row without what it lacks. A budget is a number here, or `max`.
fn object(row: &Row) -> Map<String, Value> {
    let named = COLUMNS.iter().zip(record(row)).map(|((name, _), value)| ((*name).to_owned(), value));
    let mut object: Map<String, Value> = named.filter(|(_, value)| !value.is_null()).collect();
    object.insert("budget".into(), serde_json::to_value(row.cell.budget).unwrap_or_default());
    object
}
