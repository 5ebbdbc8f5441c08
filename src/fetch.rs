//! Files of tasks that are not on this machine: from the hub's cache, the hub, or their address.

#[cfg(feature = "hub")]
use std::io::Write;
use std::path::PathBuf;

use isocost_harness::source::{Fetch, Place};
#[cfg(feature = "hub")]
use isocost_models::bundled;
#[cfg(feature = "hub")]
use isocost_models::hub::Environment;

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
    if Environment::read().is_ok_and(|environment| environment.offline) {
        return Err(format!("{url} was never fetched, and HF_HUB_OFFLINE is set"));
    }
    log::say(&format!("fetching {url}"));
    let failed = |error: ureq::Error| format!("{url}: {error}");
    let mut response = ureq::get(url).call().map_err(failed)?;
    let bytes = response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)?;
    store(&path, &bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Writes a file under a name of its own and renames it: whoever else fetches it meanwhile is not disturbed.
#[cfg(feature = "hub")]
fn store(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let mut partial = tempfile::NamedTempFile::new_in(folder)?;
    partial.write_all(bytes)?;
    partial.persist(path)?;
    Ok(())
}

#[cfg(all(test, feature = "hub"))]
mod tests {
    use super::*;

    #[test]
    fn files_whose_names_differ_only_in_their_ending_are_stored_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let texts =
            ["json", "jsonl", "csv"].map(|ending| (folder.path().join(format!("x/a.{ending}")), ending));
        for _ in 0..50 {
            std::thread::scope(|scope| {
                texts.iter().for_each(|(path, text)| {
                    scope.spawn(|| store(path, text.repeat(10_000).as_bytes()).unwrap());
                });
            });
            texts.iter().for_each(|(path, text)| {
                assert_eq!(std::fs::read_to_string(path).unwrap(), text.repeat(10_000));
            });
        }
        assert_eq!(std::fs::read_dir(folder.path().join("x")).unwrap().count(), 3, "nothing else is left");
    }
}
