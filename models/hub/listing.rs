//! What the hub says of a repository: its commit, its files, and whether they may be had.

use std::path::Path;
use std::time::Duration;

use hf_hub::api::sync::ApiRepo;
use serde::Deserialize;

use super::name::is_safe_path;
use super::{Environment, HubError, HubName};
use crate::weights::weight_files;

/// What a model folder may hold beside its weights. Never `*.bin` or `*.pt`: those are pickles, which run code.
const SETTINGS: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "card.toml",
    INDEX,
];
const INDEX: &str = "model.safetensors.index.json";
const WEIGHTS: &str = "model.safetensors";

/// A repository at a commit.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// The commit.
    pub(super) sha: String,
    /// `false`, or who decides on requests.
    #[serde(default)]
    gated: serde_json::Value,
    #[serde(default)]
    siblings: Vec<Listed>,
}

/// A file of a repository.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    /// Its path.
    #[serde(rename = "rfilename")]
    pub(super) path: String,
    pub(super) size: Option<u64>,
    /// git's own hash of the content.
    blob_id: Option<String>,
    lfs: Option<Large>,
}

/// What is known of a large file.
#[derive(Clone, Debug, Deserialize)]
struct Large {
    sha256: String,
}

/// The hash by which the hub knows a content, which is also its name in the cache.
pub(super) enum Hash<'a> {
    /// sha256 of the content, hexadecimal.
    Sha256(&'a str),
    /// sha1 of `blob LENGTH\0` and the content, hexadecimal.
    Git(&'a str),
}

impl Listing {
    /// Asks the hub.
    pub(super) fn request(
        remote: &ApiRepo,
        name: &HubName,
        environment: &Environment,
    ) -> Result<Self, HubError> {
        let endpoint = || environment.endpoint.clone();
        let request = remote.info_request().query("blobs", "true").config();
        let request = request
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)));
        let response = request.build().call();
        let mut response =
            response.map_err(|e| HubError::Unreachable { endpoint: endpoint(), message: e.to_string() })?;
        let status = response.status().as_u16();
        if status != 200 {
            let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
            return Err(refused(name, environment, status, code.unwrap_or_default()));
        }
        let strange = |message: String| HubError::Strange { endpoint: endpoint(), message };
        let listing: Self = response.body_mut().read_json().map_err(|e| strange(e.to_string()))?;
        let is_commit = listing.sha.len() == 40 && listing.sha.bytes().all(|b| b.is_ascii_hexdigit());
        if is_commit { Ok(listing) } else { Err(strange("it names no commit".into())) }
    }

    /// Whether files are given only to those who accepted conditions.
    pub(super) fn is_gated(&self) -> bool {
        !matches!(self.gated, serde_json::Value::Null | serde_json::Value::Bool(false))
    }

    fn has(&self, path: &str) -> bool {
        self.siblings.iter().any(|file| file.path == path)
    }

    /// One of the files.
    pub(super) fn file(&self, name: &HubName, path: &str) -> Result<&Listed, HubError> {
        let found = self.siblings.iter().find(|file| file.path == path && is_safe_path(path));
        found.ok_or_else(|| no_file(name, path, "check the name, or try again once its owner has mended it"))
    }

    /// The small files of a model: everything but its weights.
    pub(super) fn settings(&self, name: &HubName) -> Result<Vec<&'static str>, HubError> {
        if name.file.is_some() {
            return Ok(vec![]);
        }
        if !self.has("config.json") {
            return Err(no_file(name, "config.json", &self.instead(name)));
        }
        if !self.has(INDEX) && !self.has(WEIGHTS) {
            return Err(no_file(name, WEIGHTS, &self.instead(name)));
        }
        Ok(SETTINGS.into_iter().filter(|file| self.has(file)).collect())
    }

    /// What to do about a repository without safetensors.
    fn instead(&self, name: &HubName) -> String {
        let gguf = self.siblings.iter().find(|file| file.path.to_lowercase().ends_with(".gguf"));
        match gguf {
            Some(file) => format!("name one of its GGUF files, as in hub:{}/{}", name.repository, file.path),
            None => "take a repository with safetensors (pickle files are never loaded)".into(),
        }
    }

    /// The files with a model's weights; `folder` holds its index already if it has one.
    pub(super) fn weights(&self, name: &HubName, folder: &Path) -> Result<Vec<String>, HubError> {
        match &name.file {
            Some(file) => Ok(vec![file.clone()]),
            None if !self.has(INDEX) => Ok(vec![WEIGHTS.into()]),
            None => {
                let shards = weight_files(folder)?;
                Ok(shards.iter().filter_map(|s| Some(s.file_name()?.to_str()?.to_owned())).collect())
            }
        }
    }
}

impl Listed {
    /// How the content can be recognised.
    pub(super) fn hash(&self) -> Option<Hash<'_>> {
        let sha256 = self.lfs.as_ref().map(|large| Hash::Sha256(&large.sha256));
        sha256.or_else(|| self.blob_id.as_deref().map(Hash::Git))
    }
}

impl<'a> Hash<'a> {
    /// The digits.
    pub(super) fn digits(&self) -> &'a str {
        match self {
            Self::Sha256(digits) | Self::Git(digits) => digits,
        }
    }
}

fn no_file(name: &HubName, file: &str, remedy: &str) -> HubError {
    HubError::NoFile { name: name.to_string(), file: file.to_owned(), remedy: remedy.to_owned() }
}

/// What a status other than success means; `code` is the hub's own word for it.
pub(super) fn refused(name: &HubName, environment: &Environment, status: u16, code: &str) -> HubError {
    let (text, endpoint) = (name.to_string(), environment.endpoint.clone());
    match (status, code) {
        (403, _) | (_, "GatedRepo") => {
            HubError::Gated { name: text, endpoint, repository: name.repository.clone() }
        }
        (_, "RevisionNotFound") => HubError::NoRevision { name: text, revision: name.revision.clone() },
        // Without a token the hub says 401 of what does not exist, too.
        (401, _) if environment.token.is_some() => HubError::Token { name: text, endpoint },
        (401 | 404, _) => HubError::Missing { name: text, endpoint },
        _ => HubError::Unreachable { endpoint, message: format!("HTTP status {status}") },
    }
}
