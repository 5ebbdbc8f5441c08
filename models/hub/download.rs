//! One file: from the hub into the cache, resumed and checked.
//!
//! The library downloads into `blobs/HASH.part`, goes on where that file ends, and renames it. What it leaves to its
//! caller is done here: to try again, to compare what arrived with what the hub states, and to
//! use a content that is in the cache under another commit.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::CacheRepo;
use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiError, ApiRepo};
use sha2::digest::Digest;

use super::listing::{Hash, Listed, Listing, refused};
use super::{Hub, HubError, HubName};
use crate::source::News;

/// Attempts in a row that bring nothing before a download is given up.
const IDLE_ATTEMPTS: u32 = 3;

/// What is needed to fetch a file.
pub(super) struct Download<'a> {
    pub(super) name: &'a HubName,
    pub(super) remote: &'a ApiRepo,
    pub(super) local: &'a CacheRepo,
    pub(super) listed: &'a Listed,
    pub(super) listing: &'a Listing,
    pub(super) hub: &'a Hub,
}

impl Download<'_> {
    /// The file's path in the cache, where it is complete.
    pub(super) fn run(&self, news: &dyn Fn(News)) -> Result<PathBuf, HubError> {
        let path = self.local.pointer_path(&self.listing.sha).join(&self.listed.path);
        if self.has_its_size(&path) {
            return Ok(path);
        }
        // A name that leads nowhere or to half a file would stay in the way.
        let _ = fs::remove_file(&path);
        if self.name_known_content(&path) {
            return Ok(path);
        }
        let mut damage = self.fetch(&path, news)?;
        if damage.is_some() {
            damage = self.fetch(&path, news)?;
        }
        match damage {
            None => Ok(path),
            Some(message) => Err(HubError::Damaged {
                name: self.name.to_string(),
                file: self.listed.path.clone(),
                message,
            }),
        }
    }

    fn has_its_size(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|data| self.listed.size.is_none_or(|size| data.len() == size))
    }

    fn blob(&self) -> Option<PathBuf> {
        self.listed.hash().map(|hash| self.local.blob_path(hash.digits()))
    }

    /// Gives a content that another commit brought its name in this one.
    fn name_known_content(&self, path: &Path) -> bool {
        let Some(blob) = self.blob().filter(|blob| self.has_its_size(blob)) else { return false };
        let made = path.parent().map(fs::create_dir_all);
        made.is_some_and(|made| made.is_ok()) && link(&blob, path, &self.listed.path).is_ok()
    }

    /// Downloads the file; returns what is wrong with it, after removing it, if it is not what the hub states.
    fn fetch(&self, path: &Path, news: &dyn Fn(News)) -> Result<Option<String>, HubError> {
        self.arrive(news)?;
        let damage = self.damage(path).map_err(|e| HubError::file(path, &e))?;
        if damage.is_some() {
            let content = fs::canonicalize(path);
            let removed = fs::remove_file(path).and_then(|()| content.and_then(fs::remove_file));
            removed.map_err(|e| HubError::file(path, &e))?;
        }
        Ok(damage)
    }

    /// Downloads until the file is there or several attempts have brought nothing.
    fn arrive(&self, news: &dyn Fn(News)) -> Result<(), HubError> {
        let (mut idle, mut before) = (0, self.partly());
        loop {
            let arrivals = Arrivals { news, file: &self.listed.path, bytes: 0, of: 0 };
            let Err(error) = self.remote.download_with_progress(&self.listed.path, arrivals) else {
                return Ok(());
            };
            let now = self.partly();
            idle = if now > before { 0 } else { idle + 1 };
            before = now;
            if idle == IDLE_ATTEMPTS || is_final(&error) {
                return Err(self.explain(error));
            }
            std::thread::sleep(Duration::from_millis(100 << idle));
        }
    }

    /// Bytes of an attempt that broke off. One that holds all of them or more cannot be resumed and is removed.
    fn partly(&self) -> u64 {
        let Some(part) = self.blob().map(|blob| blob.with_extension("part")) else { return 0 };
        let bytes = fs::metadata(&part).map_or(0, |data| data.len());
        if self.listed.size.is_some_and(|size| bytes >= size) {
            let _ = fs::remove_file(part);
            return 0;
        }
        bytes
    }

    fn explain(&self, error: ApiError) -> HubError {
        let environment = &self.hub.environment;
        match error {
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(401 | 403) if self.listing.is_gated() => {
                    refused(self.name, environment, 403, "GatedRepo")
                }
                ureq::Error::StatusCode(status) if status < 500 => {
                    refused(self.name, environment, status, "")
                }
                error => self.broke_off(&error.to_string()),
            },
            ApiError::LockAcquisition(path) => HubError::file(&path, &"another process is downloading it"),
            ApiError::IoError(error) if error.kind() == io::ErrorKind::StorageFull => {
                HubError::file(self.hub.cache_folder(), &error)
            }
            error => self.broke_off(&error.to_string()),
        }
    }

    fn broke_off(&self, message: &str) -> HubError {
        HubError::BrokeOff {
            name: self.name.to_string(),
            file: self.listed.path.clone(),
            bytes: self.partly(),
            size: self.listed.size.unwrap_or_default(),
            message: message.to_owned(),
        }
    }

    /// What is wrong with a file, compared with what the hub states of it.
    fn damage(&self, path: &Path) -> io::Result<Option<String>> {
        let bytes = fs::metadata(path)?.len();
        if let Some(size) = self.listed.size.filter(|size| *size != bytes) {
            return Ok(Some(format!("has {bytes} bytes and not {size}")));
        }
        let (found, stated, what) = match self.listed.hash() {
            Some(Hash::Sha256(stated)) => (digest::<sha2::Sha256>(path, "")?, stated, "sha256"),
            Some(Hash::Git(stated)) => {
                (digest::<sha1::Sha1>(path, &format!("blob {bytes}\0"))?, stated, "git hash")
            }
            None => return Ok(None),
        };
        Ok((found != stated).then(|| format!("has not the {what} {stated}")))
    }
}

/// Whether another attempt would fare no better: the hub has answered, or the disk is full.
fn is_final(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(error) => {
            matches!(**error, ureq::Error::StatusCode(status) if status < 500 && status != 416)
        }
        ApiError::IoError(error) => error.kind() == io::ErrorKind::StorageFull,
        ApiError::LockAcquisition(_) => true,
        _ => false,
    }
}

/// Hexadecimal digest of `head` and a file's content.
fn digest<D: Digest>(path: &Path, head: &str) -> io::Result<String> {
    let mut digest = D::new_with_prefix(head.as_bytes());
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => digest.update(&buffer[..n]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `snapshots/COMMIT/FILE` as a relative link to the content, as the shared cache wants it.
#[cfg(unix)]
fn link(blob: &Path, path: &Path, file: &str) -> io::Result<()> {
    let up = "../".repeat(2 + file.matches('/').count());
    let content = blob.file_name().unwrap_or_default().to_string_lossy();
    std::os::unix::fs::symlink(format!("{up}blobs/{content}"), path)
}

#[cfg(not(unix))]
fn link(blob: &Path, path: &Path, _file: &str) -> io::Result<()> {
    fs::hard_link(blob, path)
}

/// Passes the library's reports on.
struct Arrivals<'a> {
    news: &'a dyn Fn(News),
    file: &'a str,
    bytes: u64,
    of: u64,
}

impl Progress for Arrivals<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        (self.bytes, self.of) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.bytes += size as u64;
        (self.news)(News::Arrived { file: self.file, bytes: self.bytes, of: self.of });
    }

    fn finish(&mut self) {}
}
