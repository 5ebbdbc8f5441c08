//! Why a run directory cannot be used, and what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::same_run::Setting;
use crate::trajectory::SCHEMA;

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file could not be read or written.
    #[error("{}: {message}{}", path.display(), remedy(*kind))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
        /// What kind of failure.
        kind: ErrorKind,
    },
    /// The directory holds another run.
    #[error("{}: holds a run with another {what}: choose another --out, or remove it", path.display())]
    Mixed {
        /// The directory.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The run was begun by another build, or on another device.
    #[error(
        "{}: was begun with the {setting} {there}, and this is {here}: go on with the same {setting}, or choose another --out",
        path.display()
    )]
    Elsewhere {
        /// The directory.
        path: PathBuf,
        /// What differs.
        setting: Setting,
        /// What the run was begun with.
        there: String,
        /// What is here.
        here: String,
    },
    /// Another process writes there.
    #[error("{}: another process is running there: wait for it, or choose another --out", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Another version of this program wrote it.
    #[error("{}: was written in schema {found}, and this version reads {SCHEMA}: use the version that wrote it", path.display())]
    OtherVersion {
        /// The directory.
        path: PathBuf,
        /// The schema it names.
        found: u64,
    },
    /// There are completions of another tool, and no cells.
    #[error("{}: was imported, and has completions but no cells: isocost report shows them", path.display())]
    Imported {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error("{}: is not empty and holds no run: choose another --out", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// There is no run.
    #[error("{}: is not a run directory (it has no manifest.json): give the --out of a run", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// Everything is computed from the records, and they are not there.
    #[error(
        "{}: has no trajectories.jsonl, from which all numbers come: give the run itself, or put the file back", path.display()
    )]
    NoRecords {
        /// The directory.
        path: PathBuf,
    },
    /// What was published stays as it is.
    #[error("{}: was published and stays as it is: give the run that it was made from, or another folder", path.display())]
    Published {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest makes no sense.
    #[error("{}: {message}: restore the file, or start a new run", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            ": the disk is full; every record up to the last whole line is safe; free some space and run again"
        }
        ErrorKind::NotFound => ": it is not there (was it moved or removed?): put it back, and run again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ": choose a place that can be written",
        _ => "",
    }
}

pub(crate) fn file_error(path: &Path) -> impl Fn(std::io::Error) -> RunError + '_ {
    |e| RunError::File { path: path.to_owned(), message: e.to_string(), kind: e.kind() }
}
