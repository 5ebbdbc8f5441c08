//! The GGUF container: named values, then a directory of tensors, then their bytes.
//!
//! One file holds a whole model: sizes and tokenizer as named values, weights as blocks of quantised numbers. This
//! reads the header only. Lengths in the file are claims: nothing is allocated for more than the file holds, a
//! header is refused beyond [`MAX_BYTES`], and where a tensor's bytes lie is checked against the file when they are
//! asked for ([`crate::weights`]). What the values mean is for the readers of configuration and tokenizer.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};
use std::path::Path;

use candle_core::quantized::GgmlDType;

/// The metadata of the largest vocabularies has 15 MB.
const MAX_BYTES: u64 = 64 << 20;
const MAX_DEPTH: u32 = 4;
/// Values in all lists together: the largest vocabularies have a million, and a value takes 32 bytes of memory.
const MAX_ITEMS: u64 = 1 << 23;
/// A tensor has at most so many dimensions.
const MAX_RANK: u32 = 4;

/// Everything that stands before the tensors' bytes.
#[derive(Debug, Default)]
pub struct Header {
    /// Values by name.
    pub values: BTreeMap<String, Field>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Entry>,
    /// Where the tensors' bytes begin in the file.
    pub data_start: u64,
}

/// A value; ids, sizes and flags are exact as `f64`.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A number, or a flag as 0 or 1.
    Number(f64),
    /// Text; bytes that are not UTF-8 became U+FFFD.
    Text(String),
    /// Values of one type.
    List(Vec<Field>),
}

/// A tensor of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Rows before columns, as everywhere in this crate (GGUF itself has the fastest dimension first).
    pub shape: Vec<usize>,
    /// The number of its type: 0 is f32, 12 is q4_K.
    pub type_number: u32,
    /// Its first byte, counted from [`Header::data_start`].
    pub offset: u64,
}

impl Header {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// If the file cannot be read or its header makes no sense; the message does not name the file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::read(BufReader::new(File::open(path)?))
    }

    /// Reads a header from the bytes of a file.
    ///
    /// # Errors
    /// As [`Header::open`].
    pub fn read(bytes: impl Read) -> Result<Self, Error> {
        let mut reader = Reader { bytes: bytes.take(MAX_BYTES), items: 0 };
        if reader.bytes::<4>()? != *b"GGUF" {
            return Err(wrong("not a GGUF file"));
        }
        if !(2..=3).contains(&u32::from_le_bytes(reader.bytes()?)) {
            return Err(wrong("not GGUF version 2 or 3"));
        }
        let (tensors, values) = (reader.length()?, reader.length()?);
        let mut header = Self::default();
        for _ in 0..values {
            let key = reader.text()?;
            let kind = reader.u32()?;
            header.values.insert(key, reader.value(kind, 0)?);
        }
        for _ in 0..tensors {
            let (name, entry) = reader.entry()?;
            if header.tensors.insert(name, entry).is_some() {
                return Err(wrong("two tensors with one name"));
            }
        }
        let alignment = header.number("general.alignment").unwrap_or(32.0) as u64;
        if !alignment.is_power_of_two() || !(8..=1 << 16).contains(&alignment) {
            return Err(wrong("an alignment that is not a power of two from 8 on"));
        }
        header.check_apart()?;
        header.data_start = (MAX_BYTES - reader.bytes.limit()).next_multiple_of(alignment);
        Ok(header)
    }

    /// No two tensors share bytes: a small file could otherwise claim more weights than any memory holds.
    fn check_apart(&self) -> Result<(), Error> {
        let mut entries: Vec<&Entry> = self.tensors.values().collect();
        entries.sort_by_key(|entry| entry.offset);
        let end = |entry: &Entry| {
            let size = entry.dtype().ok().and_then(|dtype| entry.size_in_bytes(dtype)).unwrap_or(0);
            entry.offset.saturating_add(size)
        };
        let overlap = entries.windows(2).any(|pair| end(pair[0]) > pair[1].offset);
        if overlap { Err(wrong("two tensors in one place")) } else { Ok(()) }
    }

    /// A number by name.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name)? {
            Field::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A text by name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name)? {
            Field::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list by name; empty if there is none.
    pub fn list(&self, name: &str) -> &[Field] {
        match self.values.get(name) {
            Some(Field::List(list)) => list,
            _ => &[],
        }
    }
}

impl Entry {
    /// How its numbers are stored; the error names a type that is not known.
    ///
    /// # Errors
    /// The name or number of the unknown type.
    pub fn dtype(&self) -> Result<GgmlDType, String> {
        Ok(match self.type_number {
            0 => GgmlDType::F32,
            1 => GgmlDType::F16,
            2 => GgmlDType::Q4_0,
            3 => GgmlDType::Q4_1,
            6 => GgmlDType::Q5_0,
            7 => GgmlDType::Q5_1,
            8 => GgmlDType::Q8_0,
            10 => GgmlDType::Q2K,
            11 => GgmlDType::Q3K,
            12 => GgmlDType::Q4K,
            13 => GgmlDType::Q5K,
            14 => GgmlDType::Q6K,
            30 => GgmlDType::BF16,
            16..=23 | 29 => return Err(format!("an IQ type (number {})", self.type_number)),
            34 | 35 => return Err(format!("a ternary type (number {})", self.type_number)),
            39 => return Err("mxfp4 (number 39)".into()),
            other => return Err(format!("number {other}")),
        })
    }

    /// Bytes of its numbers, or `None` if its rows are not whole blocks or the size overflows.
    pub fn size_in_bytes(&self, dtype: GgmlDType) -> Option<u64> {
        let columns = *self.shape.last()?;
        if !columns.is_multiple_of(dtype.block_size()) {
            return None;
        }
        let numbers = self.shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n as u64))?;
        (numbers / dtype.block_size() as u64).checked_mul(dtype.type_size() as u64)
    }
}

struct Reader<R> {
    bytes: std::io::Take<R>,
    /// Values of lists so far.
    items: u64,
}

impl<R: Read> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes).map_err(|_| wrong("the header is cut short"))?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    /// A count of things of at least one byte each: it cannot exceed what is left.
    fn length(&mut self) -> Result<u64, Error> {
        let length = u64::from_le_bytes(self.bytes()?);
        if length > self.bytes.limit() { Err(wrong("a length exceeds the header")) } else { Ok(length) }
    }

    fn text(&mut self) -> Result<String, Error> {
        let length = self.length()?;
        // Grows as bytes arrive: a false length costs nothing.
        let mut bytes = Vec::new();
        let got = (&mut self.bytes).take(length).read_to_end(&mut bytes)?;
        if got as u64 != length {
            return Err(wrong("the header is cut short"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Field, Error> {
        let number = match kind {
            0 | 7 => f64::from(u8::from_le_bytes(self.bytes()?)),
            1 => f64::from(i8::from_le_bytes(self.bytes()?)),
            2 => f64::from(u16::from_le_bytes(self.bytes()?)),
            3 => f64::from(i16::from_le_bytes(self.bytes()?)),
            4 => f64::from(self.u32()?),
            5 => f64::from(i32::from_le_bytes(self.bytes()?)),
            6 => f64::from(f32::from_le_bytes(self.bytes()?)),
            8 => return self.text().map(Field::Text),
            9 => return self.list(depth).map(Field::List),
            10 => u64::from_le_bytes(self.bytes()?) as f64,
            11 => i64::from_le_bytes(self.bytes()?) as f64,
            12 => f64::from_le_bytes(self.bytes()?),
            _ => return Err(wrong("a value of unknown type")),
        };
        Ok(Field::Number(number))
    }

    fn list(&mut self, depth: u32) -> Result<Vec<Field>, Error> {
        if depth >= MAX_DEPTH {
            return Err(wrong("lists nested too deeply"));
        }
        let kind = self.u32()?;
        let (mut list, length) = (Vec::new(), self.length()?);
        self.items += length;
        if self.items > MAX_ITEMS {
            return Err(wrong("lists with more values than any model has"));
        }
        for _ in 0..length {
            list.push(self.value(kind, depth + 1)?);
        }
        Ok(list)
    }

    fn entry(&mut self) -> Result<(String, Entry), Error> {
        let name = self.text()?;
        let rank = self.u32()?;
        if rank == 0 || rank > MAX_RANK {
            return Err(wrong("a tensor without dimensions, or with too many"));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            let size = u64::from_le_bytes(self.bytes()?);
            shape.push(usize::try_from(size).map_err(|_| wrong("a tensor too large to address"))?);
        }
        shape.reverse();
        let type_number = self.u32()?;
        Ok((name, Entry { shape, type_number, offset: u64::from_le_bytes(self.bytes()?) }))
    }
}

fn wrong(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}
