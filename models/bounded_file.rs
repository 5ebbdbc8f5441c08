//! Small files of a model, which strangers wrote: read whole, but never more of one than its kind can have.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde_json::Value;

/// The bytes of a file of at most `most` bytes; none if there is no such file.
///
/// # Errors
/// What is wrong with it, for a message that names the file and a remedy.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| error.to_string())?,
    };
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    if size > most {
        return Err(format!("{size} bytes, where {most} are the most that makes sense"));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // What the system says of a size is not true of every file.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 > most {
        true => Err(format!("more than {most} bytes, the most that makes sense")),
        false => Ok(Some(bytes)),
    }
}

/// As [`read`], its text.
///
/// # Errors
/// As [`read`], and if it is no text.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<Option<String>, String> {
    let text = |bytes| String::from_utf8(bytes).map_err(|error| format!("not UTF-8 text ({error})"));
    read(path, most)?.map(text).transpose()
}

/// As [`read`], its JSON.
///
/// # Errors
/// As [`read`], and if it is no JSON.
pub(crate) fn read_json(path: &Path, most: u64) -> Result<Option<Value>, String> {
    let json =
        |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(|error| format!("not valid JSON ({error})"));
    read(path, most)?.map(json).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_unless_it_is_too_large_and_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert_eq!(read(&path, 8), Ok(None));
        std::fs::write(&path, "[1, 2]").unwrap();
        assert_eq!(read_text(&path, 6).unwrap().unwrap(), "[1, 2]");
        assert_eq!(read_json(&path, 6).unwrap().unwrap()[1], 2);
        assert!(read(&path, 5).unwrap_err().contains("6 bytes, where 5"));
        std::fs::write(&path, b"[\xff").unwrap();
        assert!(read_text(&path, 8).unwrap_err().contains("UTF-8"));
        assert!(read_json(&path, 8).unwrap_err().contains("not valid JSON"));
        assert!(read(folder.path(), 8).is_err(), "a folder is no file");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_is_given_up() {
        assert!(read(Path::new("/dev/zero"), 1000).unwrap_err().contains("more than 1000 bytes"));
    }
}
