//! What is in the cache, without asking the hub.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Hub, HubError, HubName, Snapshot};
use crate::weights::weight_files;

/// A model in the cache at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedModel {
    /// `OWNER/NAME`.
    pub repository: String,
    /// Revisions that were this commit when they were last looked up.
    pub revisions: Vec<String>,
    /// The commit.
    pub commit: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// The first file that a model needs and that is not there.
    pub lacks: Option<String>,
}

impl Hub {
    /// The files of a model that is complete in the cache.
    ///
    /// # Errors
    /// [`HubError::NotCached`], saying what is not there.
    pub fn cached(&self, name: &HubName) -> Result<Snapshot, HubError> {
        if let Some(file) = &name.file {
            return self.cached_file_of("models", name, file);
        }
        let (commit, folder) = self.snapshot("models", name)?;
        match lacks(&folder) {
            None => Ok(Snapshot { path: folder, commit }),
            Some(file) => Err(self.not_cached(name, format!("{file} is not"))),
        }
    }

    /// A file of a data set that is in the cache.
    pub(super) fn cached_file(&self, name: &HubName, file: &str) -> Result<Snapshot, HubError> {
        self.cached_file_of("datasets", name, file)
    }

    fn cached_file_of(&self, kind: &str, name: &HubName, file: &str) -> Result<Snapshot, HubError> {
        let (commit, folder) = self.snapshot(kind, name)?;
        let path = folder.join(file);
        if path.is_file() {
            return Ok(Snapshot { path, commit });
        }
        Err(self.not_cached(name, format!("{file} is not")))
    }

    /// The commit that a revision was when it was last looked up, and its folder.
    fn snapshot(&self, kind: &str, name: &HubName) -> Result<(String, PathBuf), HubError> {
        let folder = self.cache_folder().join(format!("{kind}--{}", name.repository.replace('/', "--")));
        let known = fs::read_to_string(folder.join("refs").join(&name.revision));
        let commit = known.map_or_else(|_| name.revision.clone(), |commit| commit.trim().to_owned());
        let snapshot = folder.join("snapshots").join(&commit);
        if snapshot.is_dir() {
            Ok((commit, snapshot))
        } else {
            Err(self.not_cached(name, "it is not".into()))
        }
    }

    fn not_cached(&self, name: &HubName, lacks: String) -> HubError {
        HubError::NotCached { name: name.to_string(), lacks, cache: self.cache_folder().to_owned() }
    }

    /// All models in the cache, by name.
    pub fn cached_models(&self) -> Vec<CachedModel> {
        let mut models = Vec::new();
        for folder in entries(self.cache_folder()) {
            let Some(repository) =
                file_name(&folder).strip_prefix("models--").map(|n| n.replacen("--", "/", 1))
            else {
                continue;
            };
            let snapshots = entries(&folder.join("snapshots"));
            models.extend(snapshots.map(|snapshot| cached_model(&repository, &folder, &snapshot)));
        }
        models.sort_by(|a, b| (&a.repository, &a.commit).cmp(&(&b.repository, &b.commit)));
        models
    }
}

fn cached_model(repository: &str, folder: &Path, snapshot: &Path) -> CachedModel {
    let commit = file_name(snapshot);
    let is_this = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|known| known.trim() == commit);
    let revisions = entries(&folder.join("refs")).filter(is_this).map(|path| file_name(&path));
    let gguf = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    let has_gguf = entries(snapshot).any(|path| gguf(&path));
    CachedModel {
        repository: repository.to_owned(),
        revisions: revisions.filter(|revision| *revision != commit).collect(),
        bytes: entries(snapshot).filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum(),
        lacks: lacks(snapshot).filter(|_| !has_gguf),
        commit,
    }
}

/// The first file that a model folder needs and lacks.
fn lacks(folder: &Path) -> Option<String> {
    let tokenizer = if folder.join("vocab.json").is_file() { "merges.txt" } else { "tokenizer.json" };
    let settings = ["config.json", tokenizer].map(|name| folder.join(name));
    let weights = weight_files(folder).unwrap_or_else(|_| vec![folder.join("model.safetensors.index.json")]);
    // A name in the cache is a link, which may lead nowhere.
    let missing = settings.into_iter().chain(weights).find(|path| !path.is_file())?;
    Some(file_name(&missing))
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
