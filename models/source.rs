//! How a person names a model, and where that leads on disk.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundled;
use crate::card::Card;
use crate::links;
use crate::load::LoadError;

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What its card is looked up by: the name of a folder or file, or one on the hub.
    pub name: String,
    /// A folder with a checkpoint, or a `.gguf` file.
    pub path: PathBuf,
    /// The commit, for a model from the hub.
    pub commit: Option<String>,
}

/// What looking a model up reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// So many bytes of a file have arrived.
    Arrived {
        /// The file.
        file: &'a str,
        /// Bytes so far, those of an earlier attempt included.
        bytes: u64,
        /// Bytes of the whole file.
        of: u64,
    },
    /// Something a person should know.
    Note(&'a str),
}

impl Source {
    /// Resolves `bundled:NAME`, `hub:OWNER/NAME[@REVISION]`, a folder, or a `.gguf` file. What has to be fetched from the
    /// hub is, and `news` hears of it.
    ///
    /// # Errors
    /// [`LoadError`] if there is no such model, or it cannot be fetched.
    pub fn resolve(text: &str, news: &dyn Fn(News)) -> Result<Self, LoadError> {
        if text.starts_with("bundled:") {
            return bundled::folder(text).map(|path| Self::at(&path));
        }
        if let Some(name) = text.strip_prefix("hub:") {
            return from_hub(name, news)?.checked();
        }
        let source = Self::at(Path::new(text));
        if source.path.is_dir() || source.is_gguf() {
            return source.checked();
        }
        if source.path.exists() {
            return Err(LoadError::read(&source.path, &"it is neither a model folder nor a .gguf file"));
        }
        let remedy = match on_the_hub(text) {
            _ if bundled::names().iter().any(|name| name == text) => {
                format!("for the one that comes with the program write bundled:{text}")
            }
            Some(name) => format!("for the one on the hub write hub:{name}"),
            None => "check the path, or write hub:OWNER/NAME for a model on the hub".into(),
        };
        Err(LoadError::other(&format!("{text}: there is no such model folder or .gguf file: {remedy}")))
    }

    /// A folder comes from elsewhere: it must not lead out of itself.
    fn checked(self) -> Result<Self, LoadError> {
        if self.path.is_dir() {
            links::check(&self.path)?;
        }
        Ok(self)
    }

    /// A folder or file that is known to exist.
    pub fn at(path: &Path) -> Self {
        let name = path.file_stem().filter(|_| path.is_file()).or(path.file_name());
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
        Self { name, path: path.to_owned(), commit: None }
    }

    /// Whether this is a GGUF file.
    pub fn is_gguf(&self) -> bool {
        let gguf = self.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
        gguf && self.path.is_file()
    }
}

/// What a name that is no path may mean: `OWNER/NAME`, or the short name of a model with a card.
fn on_the_hub(text: &str) -> Option<String> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    match text.split_once('/') {
        Some((owner, name)) => (plain(owner) && plain(name) && !name.contains('/')).then(|| text.to_owned()),
        None => Card::for_model(text).ok().map(|card| card.hub_id),
    }
}

#[cfg(feature = "hub")]
fn from_hub(name: &str, news: &dyn Fn(News)) -> Result<Source, LoadError> {
    use crate::hub::{Hub, HubName};
    let fetched = || {
        let name = HubName::parse(name)?;
        let snapshot = Hub::from_env()?.model(&name, news)?;
        Ok(Source { name: name.model().to_owned(), path: snapshot.path, commit: Some(snapshot.commit) })
    };
    fetched().map_err(|error: crate::hub::HubError| LoadError::other(&error))
}

#[cfg(not(feature = "hub"))]
fn from_hub(name: &str, _news: &dyn Fn(News)) -> Result<Source, LoadError> {
    let remedy = "this program was built without the hub: build it with --features hub, or name a folder";
    Err(LoadError::other(&format!("hub:{name}: {remedy}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_path_behind_it_is_answered_with_the_one_on_the_hub() {
        for (text, expected) in [
            ("Qwen/Qwen3-0.6B", "write hub:Qwen/Qwen3-0.6B"),
            ("qwen3-0.6b", "write hub:Qwen/Qwen3-0.6B"),
            ("nobody", "check the path"),
            ("./here/model", "check the path"),
            ("/nowhere/model", "check the path"),
        ] {
            let message = Source::resolve(text, &|_| {}).unwrap_err().to_string();
            assert!(message.starts_with(text) && message.contains(expected), "{message}");
        }
    }
}
