//! A place in an object store: named objects that are read and written whole.
//!
//! Amazon's S3 and whatever speaks its protocol (`s3://BUCKET/PLACE`, keys and endpoint from `AWS_*` in the environment), and
//! folders (`file:///PLACE`). The library waits asynchronously; nothing here does, so each call waits for its answer.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, RetryConfig};
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
        let place = "give s3://BUCKET/PLACE, file:///PLACE, or a folder";
        let parsed = url.parse().with_context(|| format!("is not a URL: {place}"))?;
        let (scheme, path) =
            ObjectStoreScheme::parse(&parsed).with_context(|| format!("names no store: {place}"))?;
        let store: Box<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::Local => Box::new(LocalFileSystem::new()),
            ObjectStoreScheme::AmazonS3 => {
                Box::new(AmazonS3Builder::from_env().with_url(url).with_retry(patience()).build()?)
            }
            _ => bail!("no store of this kind is known: {place}"),
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { store, place: path, runtime })
    }

    /// Names of all objects there, in order.
    ///
    /// # Errors
    /// If the store does not answer, or not with names.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        use futures_util::TryStreamExt;
        let found: Vec<_> =
            self.runtime.block_on(self.store.list(Some(&self.place)).try_collect()).map_err(short)?;
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
        Ok(self.runtime.block_on(object).map_err(short)?.into())
    }

    /// Writes an object, in the place of an older one.
    ///
    /// # Errors
    /// If the store does not take it.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.runtime.block_on(self.store.put(&self.path(name), bytes.into())).map_err(short)?;
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
            Err(error) => Err(short(error)),
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.place.clone(), |path, part| path.join(part))
    }
}

/// What is at the bottom of an error: the library says each of its causes again and again.
fn short(error: Error) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    anyhow!("{}: check the place, and for S3 AWS_ENDPOINT, AWS_REGION and the keys", error.root_cause())
}

/// How often and how long a request is tried again.
fn patience() -> RetryConfig {
    RetryConfig { max_retries: 6, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}
