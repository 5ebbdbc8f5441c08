//! The vocabulary of a GGUF file, read from its header.
//!
//! A GGUF file begins with a list of named values, then tensors. This reads the list and keeps what
//! `tokenizer.ggml.*` says; tensors are never touched. Lengths in the file are claims: nothing is allocated for more
//! than the file holds, and a header is refused beyond [`MAX_BYTES`].

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::{GgufVocabulary, TokenKind, TokenizerError};

/// The metadata of the largest vocabularies has 15 MB.
const MAX_BYTES: u64 = 256 << 20;
const MAX_DEPTH: u32 = 4;

impl GgufVocabulary {
    /// Reads the vocabulary of a GGUF file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let fault = |reason: &dyn std::fmt::Display| TokenizerError::File {
            path: path.to_owned(),
            reason: format!("{reason}; download the file again"),
        };
        let file = File::open(path).map_err(|error| fault(&error))?;
        Self::read(BufReader::new(file)).map_err(|error| fault(&error))
    }

    /// Reads the vocabulary from the bytes of a GGUF file.
    pub fn read(bytes: impl Read) -> Result<Self, std::io::Error> {
        let mut reader = Reader(bytes.take(MAX_BYTES));
        if reader.bytes::<4>()? != *b"GGUF" {
            return Err(wrong("not a GGUF file"));
        }
        if !(2..=3).contains(&u32::from_le_bytes(reader.bytes()?)) {
            return Err(wrong("not GGUF version 2 or 3"));
        }
        let _tensors = reader.length()?;
        let mut vocabulary = Self::empty();
        for _ in 0..reader.length()? {
            let key = reader.text()?;
            let kind = reader.kind()?;
            let value = reader.value(kind, 0)?;
            if let Some(name) = key.strip_prefix("tokenizer.ggml.") {
                vocabulary.set(name, value);
            }
        }
        Ok(vocabulary)
    }

    fn empty() -> Self {
        Self {
            model: String::new(),
            pre: None,
            tokens: Vec::new(),
            merges: Vec::new(),
            scores: Vec::new(),
            kinds: Vec::new(),
            bos_id: None,
            eos_ids: Vec::new(),
            add_bos: None,
            add_space_prefix: None,
        }
    }

    fn set(&mut self, name: &str, value: Field) {
        match (name, value) {
            ("model", Field::Text(text)) => self.model = text,
            ("pre", Field::Text(text)) => self.pre = Some(text),
            ("tokens", Field::List(list)) => self.tokens = texts(list),
            ("merges", Field::List(list)) => self.merges = texts(list),
            ("scores", Field::List(list)) => {
                self.scores = numbers(list).map(|number| number as f32).collect()
            }
            ("token_type", Field::List(list)) => {
                self.kinds = numbers(list).map(|number| TokenKind::from_gguf(number as i64)).collect();
            }
            ("bos_token_id", Field::Number(id)) => self.bos_id = Some(id as u32),
            ("eos_token_id" | "eot_token_id", Field::Number(id)) => self.eos_ids.push(id as u32),
            ("add_bos_token", Field::Number(yes)) => self.add_bos = Some(yes != 0.0),
            ("add_space_prefix", Field::Number(yes)) => self.add_space_prefix = Some(yes != 0.0),
            _ => {}
        }
    }
}

/// A metadata value; ids and flags are exact as `f64`.
enum Field {
    Number(f64),
    Text(String),
    List(Vec<Field>),
}

/// An element of another type keeps its place, so that ids stay aligned.
fn texts(list: Vec<Field>) -> Vec<String> {
    let text = |field| if let Field::Text(text) = field { text } else { String::new() };
    list.into_iter().map(text).collect()
}

fn numbers(list: Vec<Field>) -> impl Iterator<Item = f64> {
    list.into_iter().map(|field| if let Field::Number(number) = field { number } else { 0.0 })
}

struct Reader<R>(std::io::Take<R>);

impl<R: Read> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], std::io::Error> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map_err(|_| wrong("the header is cut short"))?;
        Ok(bytes)
    }

    fn kind(&mut self) -> Result<u32, std::io::Error> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    /// A count of things of at least one byte each: it cannot exceed what is left.
    fn length(&mut self) -> Result<u64, std::io::Error> {
        let length = u64::from_le_bytes(self.bytes()?);
        if length > self.0.limit() { Err(wrong("a length exceeds the header")) } else { Ok(length) }
    }

    fn text(&mut self) -> Result<String, std::io::Error> {
        let length = self.length()?;
        // Grows as bytes arrive: a false length costs nothing.
        let mut bytes = Vec::new();
        let got = (&mut self.0).take(length).read_to_end(&mut bytes)?;
        if got as u64 != length {
            return Err(wrong("the header is cut short"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Field, std::io::Error> {
        let number = match kind {
            0 | 7 => f64::from(u8::from_le_bytes(self.bytes()?)),
            1 => f64::from(i8::from_le_bytes(self.bytes()?)),
            2 => f64::from(u16::from_le_bytes(self.bytes()?)),
            3 => f64::from(i16::from_le_bytes(self.bytes()?)),
            4 => f64::from(u32::from_le_bytes(self.bytes()?)),
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

    fn list(&mut self, depth: u32) -> Result<Vec<Field>, std::io::Error> {
        if depth >= MAX_DEPTH {
            return Err(wrong("lists nested too deeply"));
        }
        let kind = self.kind()?;
        let mut list = Vec::new();
        for _ in 0..self.length()? {
            list.push(self.value(kind, depth + 1)?);
        }
        Ok(list)
    }
}

fn wrong(reason: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
}
