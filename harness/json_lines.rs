//! The logs of a run beside its records: JSON, a line for each entry, only ever appended to.
//!
//! Contract: an entry begins on a line of its own even where the one before was torn by a crash, and one damaged line costs
//! itself only: it is left out and counted.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::run_error::{RunError, file_error};

/// Appends entries as lines; nothing is created for none.
pub(crate) fn append<T: Serialize>(path: &Path, entries: impl Iterator<Item = T>) -> Result<(), RunError> {
    let line = |entry| serde_json::to_string(&entry).expect("an entry is plain data") + "\n";
    let lines: String = entries.map(line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let open = OpenOptions::new().create(true).read(true).append(true).open(path);
    let mut file = open.map_err(file_error(path))?;
    let before = if ends_in_a_line(&mut file).map_err(file_error(path))? { "" } else { "\n" };
    file.write_all((before.to_owned() + &lines).as_bytes()).map_err(file_error(path))
}

fn ends_in_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Hands every entry to `each`, in order, and returns how many lines are none; a log that is not there has no entries.
pub(crate) fn for_each<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<usize, RunError> {
    let reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(file_error(path)(error)),
    };
    let mut damaged = 0;
    for line in reader.split(b'\n') {
        let line = line.map_err(file_error(path))?;
        match serde_json::from_slice(&line) {
            Ok(entry) => each(entry),
            Err(_) => damaged += usize::from(!line.trim_ascii().is_empty()),
        }
    }
    Ok(damaged)
}

/// All entries, in order.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RunError> {
    let mut entries = Vec::new();
    for_each(path, |entry| entries.push(entry))?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_damaged_line_costs_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        append(&path, [1, 2].into_iter()).unwrap();
        let torn = [&std::fs::read(&path).unwrap()[..], b"\xff\xfe\n{\"tor"].concat();
        std::fs::write(&path, torn).unwrap();
        append(&path, [3].into_iter()).unwrap();
        let mut read = Vec::new();
        assert_eq!(for_each(&path, |number: u32| read.push(number)).unwrap(), 2);
        assert_eq!(read, [1, 2, 3]);
    }
}
