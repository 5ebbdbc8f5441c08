//! Models and data sets from the Hugging Face hub.
//!
//! A repository on the hub is a git repository with large files. A *revision* (a branch, a tag) is resolved to a *commit*
//! first, and the commit goes into a run's manifest, so that the same files can be had again. Files are kept in the
//! cache that all of Hugging Face's libraries share: `blobs/` holds contents under their hash, `snapshots/COMMIT/`
//! their names, `refs/` what each revision was when it was last looked up.
//!
//! Contract: only the files that a model needs are fetched, never a pickle; each is compared with the size and
//! hash that the hub states; what broke off is resumed; what is complete in the cache is not fetched again, and with
//! `HF_HUB_OFFLINE` the network is not touched. The token is sent to the hub and shown to nobody.

mod cached;
mod download;
mod environment;
mod error;
mod listing;
mod name;
mod upload;

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

pub use cached::CachedModel;
pub use environment::Environment;
pub use error::HubError;
pub use name::HubName;
pub use upload::{DataSet, UploadError};

use crate::source::News;
use listing::Listing;

/// Files of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The model folder, or the one file that was asked for.
    pub path: PathBuf,
    /// The commit: 40 hexadecimal digits, unless somebody made the cache's folder by hand.
    pub commit: String,
}

/// The hub as this machine is set up to use it.
pub struct Hub {
    environment: Environment,
    cache: Cache,
}

/// The beginning of a commit, which is enough for people to tell it by; of a folder's name that is none, all of it.
pub fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

impl Hub {
    /// The hub with its cache as the usual environment variables say: see [`Environment`].
    ///
    /// # Errors
    /// [`HubError::NoHome`] if there is no place for the cache.
    pub fn from_env() -> Result<Self, HubError> {
        Ok(Self::new(Environment::read()?))
    }

    /// The hub in a given environment.
    pub fn new(environment: Environment) -> Self {
        let cache = Cache::new(environment.cache.clone());
        Self { environment, cache }
    }

    /// A model's files at the named revision: fetched as far as they are not in the cache.
    ///
    /// # Errors
    /// [`HubError`], one line with the remedy.
    pub fn model(&self, name: &HubName, news: &dyn Fn(News)) -> Result<Snapshot, HubError> {
        // A commit never changes, so what is complete needs no question to the hub.
        if self.environment.offline || name.is_commit() {
            match self.cached(name) {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) if self.environment.offline => return Err(error),
                Err(_) => {}
            }
        }
        let api = self.api(name)?;
        match self.listing(&api, name, RepoType::Model) {
            Ok(listing) => self.fetch_model(&api, name, &listing, news),
            Err(HubError::Unreachable { message, .. }) if self.cached(name).is_ok() => {
                let snapshot = self.cached(name)?;
                let commit = short(&snapshot.commit);
                news(News::Note(&format!(
                    "{name}: the hub cannot be reached ({message}); taking commit {commit} from the cache"
                )));
                Ok(snapshot)
            }
            Err(error) => Err(error),
        }
    }

    fn fetch_model(
        &self,
        api: &Api,
        name: &HubName,
        listing: &Listing,
        news: &dyn Fn(News),
    ) -> Result<Snapshot, HubError> {
        let repository = self.at_commit(name, &listing.sha, RepoType::Model);
        let fetch = |file: &str| self.fetch(api, name, listing, &repository, file, news);
        for file in listing.settings(name)? {
            fetch(file)?;
        }
        let folder = self.cache.repo(repository.clone()).pointer_path(&listing.sha);
        for file in listing.weights(name, &folder)? {
            fetch(&file)?;
        }
        self.remember(name, &listing.sha, RepoType::Model)?;
        let path = name.file.as_ref().map_or_else(|| folder.clone(), |file| folder.join(file));
        Ok(Snapshot { path, commit: listing.sha.clone() })
    }

    /// One file of a data set at a revision.
    ///
    /// # Errors
    /// [`HubError`], one line with the remedy.
    pub fn data_set_file(
        &self,
        repository: &str,
        revision: &str,
        file: &str,
        news: &dyn Fn(News),
    ) -> Result<Snapshot, HubError> {
        let name = HubName::data_set(repository, revision, file)?;
        let found = self.cached_file(&name, file);
        if self.environment.offline || (name.is_commit() && found.is_ok()) {
            return found;
        }
        let api = self.api(&name)?;
        let listing = match self.listing(&api, &name, RepoType::Dataset) {
            Err(HubError::Unreachable { .. }) if found.is_ok() => return found,
            listing => listing?,
        };
        let at_commit = self.at_commit(&name, &listing.sha, RepoType::Dataset);
        let path = self.fetch(&api, &name, &listing, &at_commit, file, news)?;
        self.remember(&name, &listing.sha, RepoType::Dataset)?;
        Ok(Snapshot { path, commit: listing.sha })
    }

    fn api(&self, name: &HubName) -> Result<Api, HubError> {
        let endpoint = self.environment.endpoint.clone();
        // A character that no header can hold would fail later, in words about headers.
        if self.environment.token.as_ref().is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(HubError::Token { name: name.to_string(), endpoint });
        }
        let builder = ApiBuilder::from_cache(self.cache.clone())
            .with_endpoint(endpoint.clone())
            .with_token(self.environment.token.clone())
            .with_user_agent("isocost", env!("CARGO_PKG_VERSION"));
        builder.build().map_err(|e| HubError::Unreachable { endpoint, message: e.to_string() })
    }

    fn listing(&self, api: &Api, name: &HubName, kind: RepoType) -> Result<Listing, HubError> {
        let repository = Repo::with_revision(name.repository.clone(), kind, name.revision.clone());
        Listing::request(&api.repo(repository), name, &self.environment)
    }

    fn at_commit(&self, name: &HubName, commit: &str, kind: RepoType) -> Repo {
        Repo::with_revision(name.repository.clone(), kind, commit.to_owned())
    }

    fn fetch(
        &self,
        api: &Api,
        name: &HubName,
        listing: &Listing,
        repository: &Repo,
        file: &str,
        news: &dyn Fn(News),
    ) -> Result<PathBuf, HubError> {
        let listed = listing.file(name, file)?;
        let remote: ApiRepo = api.repo(repository.clone());
        let local = self.cache.repo(repository.clone());
        let download =
            download::Download { name, remote: &remote, local: &local, listed, listing, hub: self };
        download.run(news)
    }

    /// Notes what a revision was, for the next time the hub cannot be asked.
    fn remember(&self, name: &HubName, commit: &str, kind: RepoType) -> Result<(), HubError> {
        let named = Repo::with_revision(name.repository.clone(), kind, name.revision.clone());
        self.cache.repo(named).create_ref(commit).map_err(|e| HubError::file(self.cache.path(), &e))
    }

    /// Where the files are kept.
    pub fn cache_folder(&self) -> &Path {
        self.cache.path()
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_folder_that_is_no_commit_is_called_by_its_whole_name() {
        assert_eq!(short("0123456789abcdef0123456789abcdef01234567"), "0123456789ab");
        assert_eq!(["", "main", "ein Größenmaß"].map(short), ["", "main", "ein Größen"]);
        assert_eq!(short("elf Zeichenß"), "elf Zeichenß", "byte 12 is in the middle of a character");
    }
}
