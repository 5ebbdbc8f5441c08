//! Files of tasks that are not on this machine: from the hub's cache, the hub, or their address.

use std::path::PathBuf;

use isocost_harness::source::{Fetch, Place};
#[cfg(feature = "hub")]
use isocost_models::bundled;

#[cfg(feature = "hub")]
use crate::log;

/// What brings files from the network; the hub's own environment variables hold.
pub(crate) struct Network;

#[cfg(feature = "hub")]
impl Fetch for Network {
    fn fetch(&self, place: &Place) -> Result<PathBuf, String> {
        match place {
            Place::Hub(hub) => crate::progress::Downloads::data_set_file(hub).map_err(|e| e.to_string()),
            Place::Url(url) => kept(url),
            other => Err(format!("{other} is not on this machine")),
        }
    }
}

#[cfg(not(feature = "hub"))]
impl Fetch for Network {
    fn fetch(&self, place: &Place) -> Result<PathBuf, String> {
        Err(format!("{place} is not on this machine, and this build fetches nothing"))
    }
}

/// Larger files are no problem sets.
#[cfg(feature = "hub")]
const LARGEST: u64 = 1 << 28;

/// A file at an address that never changes, fetched once and kept in the user's cache folder.
#[cfg(feature = "hub")]
fn kept(url: &str) -> Result<PathBuf, String> {
    let name = url.split_once("://").map_or(url, |(_, rest)| rest);
    if name.split('/').any(|part| part.is_empty() || part == "..") {
        return Err(format!("{url}: not the address of a file"));
    }
    let path = bundled::cache().ok_or("there is no home folder: set XDG_CACHE_HOME")?.join(name);
    if path.is_file() {
        return Ok(path);
    }
    if std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value != "0") {
        return Err(format!("{url} was never fetched, and HF_HUB_OFFLINE is set"));
    }
    log::say(&format!("fetching {url}"));
    let failed = |error: ureq::Error| format!("{url}: {error}");
    let mut response = ureq::get(url).call().map_err(failed)?;
    let bytes = response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)?;
    store(&path, &bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(feature = "hub")]
fn store(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, path)
}
