//! A place in an object store: named objects that are read and written whole.
//!
//! Amazon's S3 and whatever speaks its protocol (`s3://BUCKET/PLACE`, keys and endpoint from `AWS_*` in the environment), and
//! folders (`file:///PLACE`). The library waits asynchronously; nothing here does, so each call waits for its answer.

use anyhow::{Context, Result};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, parse_url_opts};
use tokio::runtime::{Builder, Runtime};

/// A place in an object store.
pub(crate) struct Bucket {
    store: Box<dyn ObjectStore>,
    place: Path,
    runtime: Runtime,
}

impl Bucket {
    /// The place that a URL names; nothing is asked of it yet.
    ///
    /// # Errors
    /// If it names no store that is known, or the environment lacks what the store needs.
    pub(crate) fn open(url: &str) -> Result<Self> {
        let url = url.parse().context("is not a URL: give s3://BUCKET/PLACE, file:///PLACE, or a folder")?;
        let (store, place) = parse_url_opts(&url, settings())
            .context("names no store: give s3://BUCKET/PLACE, file:///PLACE, or a folder")?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { store, place, runtime })
    }

    /// Names of all objects there, in order.
    ///
    /// # Errors
    /// If the store does not answer, or not with names.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        use futures_util::TryStreamExt;
        let found: Vec<_> = self.runtime.block_on(self.store.list(Some(&self.place)).try_collect())?;
        let name = |path: &Path| {
            let parts: Vec<_> =
                path.prefix_match(&self.place)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        let mut names: Vec<String> = found.iter().filter_map(|object| name(&object.location)).collect();
        names.sort();
        Ok(names)
    }

    /// An object.
    ///
    /// # Errors
    /// If it is not there, or the store does not answer.
    pub(crate) fn get(&self, name: &str) -> Result<Vec<u8>> {
        let object = async { self.store.get(&self.path(name)).await?.bytes().await };
        Ok(self.runtime.block_on(object)?.into())
    }

    /// Writes an object, in the place of an older one.
    ///
    /// # Errors
    /// If the store does not take it.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.runtime.block_on(self.store.put(&self.path(name), bytes.into()))?;
        Ok(())
    }

    /// Writes an object unless there is one of that name; whether there was none. Of several that try at once, one succeeds.
    ///
    /// # Errors
    /// If the store does not take it, or cannot promise that.
    pub(crate) fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let path = self.path(name);
        match self.runtime.block_on(self.store.put_opts(&path, bytes.into(), PutMode::Create.into())) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.place.clone(), |path, part| path.join(part))
    }
}

/// What the environment says of stores, by its names there.
fn settings() -> Vec<(String, String)> {
    let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).filter(|(key, _)| key.starts_with("AWS_")).collect()
}
