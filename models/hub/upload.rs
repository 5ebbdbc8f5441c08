//! A folder of files as one commit of a data set on the hub.
//!
//! The hub's own protocol: the repository is created unless it is there; for each file the hub says whether it is kept in
//! git or as a large one; large ones are sent ahead ([`large_files`]); then one commit names all files. Nothing is visible
//! before that commit.
//!
//! Contract: the token comes from the environment, goes to the hub alone (never to where large files are put), and is
//! in no message.

mod large_files;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::Agent;

use super::Environment;

/// Bytes of a file by which the hub guesses what it is.
const SAMPLE: u64 = 512;

/// A data set of the hub.
#[derive(Clone, Copy, Debug)]
pub struct DataSet<'a> {
    /// `OWNER/NAME`.
    pub repository: &'a str,
    /// Whether it is hidden from others, if it is new.
    pub private: bool,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Not a name.
    #[error("{0}: not the name of a data set: write OWNER/NAME")]
    Name(String),
    /// No token.
    #[error(
        "{repository}: an upload needs a token that may write: set HF_TOKEN to one ({endpoint}/settings/tokens)"
    )]
    NoToken {
        /// The data set.
        repository: String,
        /// The hub.
        endpoint: String,
    },
    /// The network is not to be touched.
    #[error("{0}: HF_HUB_OFFLINE is set: unset it to upload")]
    Offline(String),
    /// The hub refuses.
    #[error(
        "{repository}: {endpoint} refused to {what} (status {status}{reason}): check that HF_TOKEN may write there"
    )]
    Refused {
        /// The data set.
        repository: String,
        /// The hub.
        endpoint: String,
        /// What was asked.
        what: &'static str,
        /// The status of its answer.
        status: u16,
        /// What it says, if it does.
        reason: String,
    },
    /// No answer, or not the hub's.
    #[error(
        "{repository}: {endpoint} could not {what} ({message}): nothing was published; try again later, or check HF_ENDPOINT"
    )]
    Failed {
        /// The data set.
        repository: String,
        /// The hub.
        endpoint: String,
        /// What was asked.
        what: &'static str,
        /// What happened.
        message: String,
    },
    /// A file cannot be read.
    #[error("{}: {message}: check that it can be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
}

/// A file on its way.
struct Outgoing {
    name: String,
    path: PathBuf,
    size: u64,
    sha256: String,
    is_large: bool,
}

#[derive(Deserialize)]
struct Preuploaded {
    files: Vec<Mode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    path: String,
    upload_mode: String,
}

impl DataSet<'_> {
    /// What can be known to be wrong without asking the hub.
    ///
    /// # Errors
    /// [`UploadError`], one line with the remedy.
    pub fn check(&self, environment: &Environment) -> Result<(), UploadError> {
        Session::open(self, environment).map(|_| ())
    }

    /// Publishes files under their names, as one commit with this summary; returns the data set's address.
    ///
    /// # Errors
    /// [`UploadError`], one line with the remedy.
    pub fn upload(
        &self,
        environment: &Environment,
        files: &BTreeMap<String, PathBuf>,
        summary: &str,
        news: &dyn Fn(String),
    ) -> Result<String, UploadError> {
        let session = Session::open(self, environment)?;
        session.create(self.private)?;
        let mut files =
            files.iter().map(|(name, path)| outgoing(name, path)).collect::<Result<Vec<_>, _>>()?;
        session.sort(&mut files)?;
        session.send_large(&files, news)?;
        session.commit(&files, summary)?;
        Ok(format!("{}/datasets/{}", session.endpoint, self.repository))
    }
}

fn outgoing(name: &str, path: &Path) -> Result<Outgoing, UploadError> {
    let failed =
        |error: std::io::Error| UploadError::File { path: path.to_owned(), message: error.to_string() };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let size = std::io::copy(&mut file, &mut hasher).map_err(failed)?;
    let sha256 = format!("{:x}", hasher.finalize());
    Ok(Outgoing { name: name.to_owned(), path: path.to_owned(), size, sha256, is_large: false })
}

impl Outgoing {
    fn read(&self, most: u64) -> Result<Vec<u8>, UploadError> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(|error| UploadError::File { path: self.path.clone(), message: error.to_string() })?;
        Ok(bytes)
    }
}

/// Requests about one data set.
struct Session {
    agent: Agent,
    endpoint: String,
    repository: String,
    authorization: String,
}

impl Session {
    fn open(data_set: &DataSet, environment: &Environment) -> Result<Self, UploadError> {
        let repository = data_set.repository.to_owned();
        let is_part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !matches!(repository.split('/').collect::<Vec<_>>()[..], [owner, name] if is_part(owner) && is_part(name))
        {
            return Err(UploadError::Name(repository));
        }
        if environment.offline {
            return Err(UploadError::Offline(repository));
        }
        let endpoint = environment.endpoint.clone();
        // A character that no header can hold is in no token of the hub.
        let token =
            environment.token.as_ref().filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        let Some(token) = token else { return Err(UploadError::NoToken { repository, endpoint }) };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .user_agent(concat!("isocost/", env!("CARGO_PKG_VERSION")));
        let agent = Agent::new_with_config(config.build());
        Ok(Self { agent, endpoint, repository, authorization: format!("Bearer {token}") })
    }

    /// Creates the repository; one that is there is left as it is.
    fn create(&self, private: bool) -> Result<(), UploadError> {
        let (owner, name) = self.repository.split_once('/').unwrap_or_default();
        let body = json!({ "type": "dataset", "organization": owner, "name": name, "private": private });
        let (status, answer) =
            self.post("create the data set", "/api/repos/create", "application/json", &body.to_string())?;
        if status == 409 { Ok(()) } else { self.accepted("create the data set", status, &answer) }
    }

    /// Asks which files are large.
    fn sort(&self, files: &mut [Outgoing]) -> Result<(), UploadError> {
        let what = "say how files are kept";
        let place = format!("/api/datasets/{}/preupload/main", self.repository);
        for some in files.chunks_mut(100) {
            let described = some.iter().map(|file| {
                let sample = BASE64_STANDARD.encode(file.read(SAMPLE)?);
                Ok(json!({ "path": file.name, "sample": sample, "size": file.size }))
            });
            let body = json!({ "files": described.collect::<Result<Vec<_>, UploadError>>()? });
            let modes: Preuploaded = self.ask(what, &place, "application/json", &body.to_string())?;
            for file in some {
                let mode = modes.files.iter().find(|mode| mode.path == file.name);
                file.is_large = mode.is_some_and(|mode| mode.upload_mode == "lfs");
            }
        }
        Ok(())
    }

    /// One commit with all files: small ones by content, large ones by hash.
    fn commit(&self, files: &[Outgoing], summary: &str) -> Result<(), UploadError> {
        let mut lines = vec![json!({ "key": "header", "value": { "summary": summary, "description": "" } })];
        for file in files {
            lines.push(if file.is_large {
                json!({ "key": "lfsFile", "value": { "path": file.name, "algo": "sha256", "oid": file.sha256, "size": file.size } })
            } else {
                let content = BASE64_STANDARD.encode(file.read(u64::MAX)?);
                json!({ "key": "file", "value": { "path": file.name, "encoding": "base64", "content": content } })
            });
        }
        let body: String = lines.iter().map(|line| line.to_string() + "\n").collect();
        let place = format!("/api/datasets/{}/commit/main", self.repository);
        let _: Value = self.ask("commit", &place, "application/x-ndjson", &body)?;
        Ok(())
    }

    fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        what: &'static str,
        place: &str,
        kind: &str,
        body: &str,
    ) -> Result<T, UploadError> {
        let (status, answer) = self.post(what, place, kind, body)?;
        self.accepted(what, status, &answer)?;
        serde_json::from_str(&answer).map_err(|error| self.failed(what, &error.to_string()))
    }

    fn post(
        &self,
        what: &'static str,
        place: &str,
        kind: &str,
        body: &str,
    ) -> Result<(u16, String), UploadError> {
        let request = self.agent.post(format!("{}{place}", self.endpoint));
        let accept = if kind.contains("lfs") { kind } else { "application/json" };
        let request = request.header("Authorization", &self.authorization).header("Content-Type", kind);
        let response = request.header("Accept", accept).send(body);
        let mut response = response.map_err(|error| self.failed(what, &error.to_string()))?;
        let answer =
            response.body_mut().read_to_string().map_err(|error| self.failed(what, &error.to_string()))?;
        Ok((response.status().as_u16(), answer))
    }

    fn accepted(&self, what: &'static str, status: u16, answer: &str) -> Result<(), UploadError> {
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said = serde_json::from_str::<Value>(answer).ok();
        let said = said.and_then(|answer| answer.get("error")?.as_str().map(|reason| format!(": {reason}")));
        Err(UploadError::Refused {
            repository: self.repository.clone(),
            endpoint: self.endpoint.clone(),
            what,
            status,
            reason: said.unwrap_or_default(),
        })
    }

    fn failed(&self, what: &'static str, message: &str) -> UploadError {
        let (repository, endpoint) = (self.repository.clone(), self.endpoint.clone());
        UploadError::Failed { repository, endpoint, what, message: message.to_owned() }
    }
}
