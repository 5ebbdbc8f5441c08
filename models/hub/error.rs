//! Why a repository cannot be used: one line with the remedy.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::load::LoadError;

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Not a name.
    #[error("hub:{text}: not a name on the hub: write hub:OWNER/NAME or hub:OWNER/NAME@REVISION")]
    Name {
        /// What was written.
        text: String,
    },
    /// No place for the cache.
    #[error("there is no home folder for the hub's cache: set HF_HOME to a folder")]
    NoHome,
    /// Missing, or private.
    #[error(
        "{name}: {endpoint} has no such repository, or hides it: check the name, or set HF_TOKEN to a token that may read it"
    )]
    Missing {
        /// The repository.
        name: String,
        /// The hub.
        endpoint: String,
    },
    /// The repository is there, the revision is not.
    #[error("{name}: the repository has no revision `{revision}`: check it, or leave it out for `main`")]
    NoRevision {
        /// The repository.
        name: String,
        /// What was asked for.
        revision: String,
    },
    /// The repository is there, the file is not.
    #[error("{name}: the repository has no `{file}`: {remedy}")]
    NoFile {
        /// The repository.
        name: String,
        /// What it lacks.
        file: String,
        /// What to do instead.
        remedy: String,
    },
    /// Its conditions were not accepted.
    #[error(
        "{name}: is gated: accept its conditions at {endpoint}/{repository} and set HF_TOKEN to a token of that account"
    )]
    Gated {
        /// The repository.
        name: String,
        /// The hub.
        endpoint: String,
        /// `OWNER/NAME`.
        repository: String,
    },
    /// The token is wrong.
    #[error(
        "{name}: {endpoint} does not accept the token: set HF_TOKEN to a valid one, or remove it for public repositories"
    )]
    Token {
        /// The repository.
        name: String,
        /// The hub.
        endpoint: String,
    },
    /// No answer.
    #[error(
        "{endpoint} cannot be reached ({message}): check the network and HF_ENDPOINT, or take what is on this machine (isocost models list, isocost tasks list)"
    )]
    Unreachable {
        /// The hub.
        endpoint: String,
        /// Why.
        message: String,
    },
    /// An answer that is not the hub's.
    #[error("{endpoint} did not answer as the hub does ({message}): check HF_ENDPOINT, or try again later")]
    Strange {
        /// The hub.
        endpoint: String,
        /// What is odd.
        message: String,
    },
    /// Offline, and not in the cache.
    #[error("{name}: {lacks} in the cache {}: unset HF_HUB_OFFLINE and run: isocost models fetch {name}", cache.display())]
    NotCached {
        /// The repository.
        name: String,
        /// What is not there.
        lacks: String,
        /// The cache.
        cache: PathBuf,
    },
    /// A download broke off.
    #[error(
        "{name}: {file} broke off after {bytes} of {size} bytes ({message}): the same command goes on from there"
    )]
    BrokeOff {
        /// The repository.
        name: String,
        /// The file.
        file: String,
        /// What has arrived.
        bytes: u64,
        /// What there is.
        size: u64,
        /// Why.
        message: String,
    },
    /// What arrived is not what the hub has.
    #[error("{name}: {file} {message}, although it was fetched twice: try again later, or check HF_ENDPOINT")]
    Damaged {
        /// The repository.
        name: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// What arrived whole makes no sense.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file of the cache cannot be read or written.
    #[error("{}: {message}: check its permissions and the free space", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
}

impl HubError {
    pub(super) fn file(path: &Path, error: &dyn Display) -> Self {
        Self::File { path: path.to_owned(), message: error.to_string() }
    }
}
