//! Large files go where git-LFS's batch request says, by their sha256, so that what the hub has is not sent again.

use std::collections::BTreeMap;
use std::fs::File;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::RequestBuilder;
use ureq::typestate::WithBody;

use super::{Outgoing, Session, UploadError};

/// What is asked when a file is sent.
const SENDING: &str = "take a large file";

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: BTreeMap<String, Action>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, Value>,
}

impl Action {
    /// A request with the headers that the hub wants on it.
    fn headed(&self, request: RequestBuilder<WithBody>) -> RequestBuilder<WithBody> {
        let headers = self.header.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        headers.fold(request, |request, (name, value)| request.header(name, value))
    }
}

impl Session {
    /// Sends what is large and not there yet.
    pub(super) fn send_large(&self, files: &[Outgoing], news: &dyn Fn(String)) -> Result<(), UploadError> {
        let large: Vec<&Outgoing> = files.iter().filter(|file| file.is_large).collect();
        let place = format!("/datasets/{}.git/info/lfs/objects/batch", self.repository);
        for some in large.chunks(100) {
            let objects: Vec<Value> =
                some.iter().map(|file| json!({ "oid": file.sha256, "size": file.size })).collect();
            let body = json!({ "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects });
            let batch: Batch =
                self.ask("take large files", &place, "application/vnd.git-lfs+json", &body.to_string())?;
            for object in &batch.objects {
                let file = some.iter().find(|file| file.sha256 == object.oid);
                self.send(
                    file.ok_or_else(|| {
                        self.failed("take large files", "it names a file that was not offered")
                    })?,
                    object,
                    news,
                )?;
            }
        }
        Ok(())
    }

    fn send(&self, file: &Outgoing, object: &Object, news: &dyn Fn(String)) -> Result<(), UploadError> {
        if let Some(error) = &object.error {
            return Err(self.failed(SENDING, &error.to_string()));
        }
        // Without actions the hub has the content already.
        let Some(upload) = object.actions.get("upload") else { return Ok(()) };
        self.put(file, upload)?;
        news(format!("sent {} ({} bytes)", file.name, file.size));
        object.actions.get("verify").map_or(Ok(()), |verify| self.verify(file, verify))
    }

    fn put(&self, file: &Outgoing, upload: &Action) -> Result<(), UploadError> {
        let open = File::open(&file.path)
            .map_err(|error| UploadError::File { path: file.path.clone(), message: error.to_string() })?;
        let request = self.agent.put(&upload.href).header("Content-Length", file.size.to_string());
        let response = upload.headed(request).send(open);
        let response = response.map_err(|error| self.failed(SENDING, &error.to_string()))?;
        self.accepted(SENDING, response.status().as_u16(), "")
    }

    /// Says that a file is there.
    fn verify(&self, file: &Outgoing, verify: &Action) -> Result<(), UploadError> {
        let body = json!({ "oid": file.sha256, "size": file.size }).to_string();
        let mut request =
            self.agent.post(&verify.href).header("Content-Type", "application/vnd.git-lfs+json");
        // The place to verify is the hub itself; where it is elsewhere its own headers must do.
        if verify.href.starts_with(&format!("{}/", self.endpoint)) {
            request = request.header("Authorization", &self.authorization);
        }
        let response = verify.headed(request).send(body);
        let response = response.map_err(|error| self.failed(SENDING, &error.to_string()))?;
        self.accepted(SENDING, response.status().as_u16(), "")
    }
}
