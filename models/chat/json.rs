//! `tojson` as Python writes it: `json.dumps(value, ensure_ascii=False)`, with spaces after `,` and `:`.
//!
//! The tools a model was trained to call were written by this function, so its spaces are part of the prompt.

use std::io;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::budget::Bounded;

/// The filter: `value|tojson`, `value|tojson(indent=4)`.
pub(super) fn tojson(value: Value, indent: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let named: Option<Value> = kwargs.get("indent")?;
    // What else transformers accepts (ensure_ascii, sort_keys, separators) is read and left at its default.
    for option in ["ensure_ascii", "sort_keys", "separators"] {
        let _: Option<Value> = kwargs.get(option)?;
    }
    kwargs.assert_all_used()?;
    let width =
        indent.or(named).filter(|value| !matches!(value.kind(), ValueKind::None | ValueKind::Undefined));
    match width {
        None => write(&value, Spaced),
        Some(width) => {
            let width = usize::try_from(width).unwrap_or(0).min(16);
            write(&value, PrettyFormatter::with_indent(" ".repeat(width).as_bytes()))
        }
    }
}

fn write(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let mut out = Bounded::default();
    let failed = |error: &dyn std::fmt::Display| Error::new(ErrorKind::WriteFailure, error.to_string());
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).map_err(|error| failed(&error))?;
    String::from_utf8(out.into_bytes()).map_err(|error| failed(&error))
}

/// Python's default separators.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}
