//! A run's manifest: what is measured and with what.
//!
//! It is written once, before anything is sampled. It may be anybody's, so it is checked as it is read.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::imported::is_imported;
use crate::run_error::{RunError, file_error};
use crate::shard::Shard;
use crate::sweep::Sweep;
use crate::trajectory::SCHEMA;

/// What a run measures and with what. Two runs with equal identities give equal records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What must not change when a run is resumed.
    pub identity: Identity,
    /// When, where and by which build; for the reader.
    pub provenance: BTreeMap<String, String>,
}

/// What must not change when a run is resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the record's form.
    pub schema: u32,
    /// The sweep, defaults filled in.
    pub sweep: Sweep,
    /// Of each task: sha256 of the problems that are used.
    pub problems_sha256: BTreeMap<String, String>,
    /// Of each model: what identifies it.
    pub models: BTreeMap<String, serde_json::Value>,
    /// Which part of the problems is sampled here; absent if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// A run's manifest.
///
/// # Errors
/// [`RunError::NotARun`] or [`RunError::Malformed`].
pub fn read_manifest(path: &Path) -> Result<Manifest, RunError> {
    let file = path.join("manifest.json");
    let text = std::fs::read_to_string(&file).map_err(|e| match e.kind() {
        ErrorKind::NotFound if is_imported(path) => RunError::Imported { path: path.to_owned() },
        ErrorKind::NotFound => RunError::NotARun { path: path.to_owned() },
        _ => file_error(&file)(e),
    })?;
    let schema = serde_json::from_str::<serde_json::Value>(&text).ok();
    let schema = schema.and_then(|v| v.pointer("/identity/schema").and_then(serde_json::Value::as_u64));
    if let Some(found) = schema.filter(|found| *found != u64::from(SCHEMA)) {
        return Err(RunError::OtherVersion { path: path.to_owned(), found });
    }
    let malformed = |message: String| RunError::Malformed { path: file.clone(), message };
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    // It may be anybody's: what is made of it relies on what a sweep of this program's own keeps to.
    manifest.identity.sweep.check_values().map_err(malformed)?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_whose_sweep_makes_no_sense_is_refused_with_its_name() {
        let (folder, sweep) = (tempfile::tempdir().unwrap(), Sweep::open("quickstart").unwrap());
        let identity = json!({ "schema": SCHEMA, "sweep": sweep, "problems_sha256": {}, "models": {} });
        let whole = json!({ "identity": identity, "provenance": {} });
        let read = |manifest: &serde_json::Value| {
            std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
            read_manifest(folder.path())
        };
        assert!(read(&whole).is_ok());
        for (place, value, complaint) in [
            ("n", json!([0]), "n = 0"),
            ("budgets", json!([]), "budgets is empty"),
            ("models/0/budgets", json!([]), "budgets is empty"),
            ("tasks/0/definition/sources/0/from", json!({ "path": "../x" }), "leads out"),
        ] {
            let mut spoilt = whole.clone();
            *spoilt.pointer_mut(&format!("/identity/sweep/{place}")).unwrap() = value;
            let message = read(&spoilt).unwrap_err().to_string();
            assert!(message.contains("manifest.json: ") && message.contains(complaint), "{message}");
        }
    }
}
