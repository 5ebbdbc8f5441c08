//! Whether a run may go on where another process left it: measured is the same, by the same build on the same device.
//!
//! Another build may sample or judge otherwise, and on another device seconds and joules are others, so what both
//! wrote would be one run's numbers only by name. Of a build whose tree was dirty the commit says too little: the hash of
//! what it holds beyond the commit is compared as well. A build that knows no commit is known by its version alone.

use std::fmt;
use std::path::Path;

use crate::manifest::{Identity, Manifest};
use crate::run_error::RunError;

/// Provenance that names a build.
pub(crate) const BUILD: [&str; 4] = ["isocost", "git_commit", "git_tree", "git_diff"];

/// What a run must go on with, beside what it measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Version, commit and changes of this program.
    Build,
    /// Where the models run.
    Device,
}

impl Setting {
    /// What a manifest says of it.
    fn of(self, manifest: &Manifest) -> Vec<&str> {
        let keys: &[&str] = match self {
            Self::Build => &BUILD,
            Self::Device => &["device"],
        };
        keys.iter().filter_map(|key| manifest.provenance.get(*key)).map(String::as_str).collect()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Device => "device",
        })
    }
}

/// Whether a run that was begun as `there` may go on as `here`.
///
/// # Errors
/// [`RunError::Mixed`] if something else is measured, [`RunError::Elsewhere`] if it is by another build or on another device.
pub(crate) fn check_same(path: &Path, there: &Manifest, here: &Manifest) -> Result<(), RunError> {
    if let Some(what) = difference(&there.identity, &here.identity) {
        return Err(RunError::Mixed { path: path.to_owned(), what });
    }
    let differs = [Setting::Build, Setting::Device].into_iter().find(|s| s.of(there) != s.of(here));
    let elsewhere = |setting: Setting| {
        let [there, here] = [there, here].map(|manifest| named(&setting.of(manifest)));
        RunError::Elsewhere { path: path.to_owned(), setting, there, here }
    };
    differs.map_or(Ok(()), |setting| Err(elsewhere(setting)))
}

/// In a line; of a hash the first digits.
fn named(parts: &[&str]) -> String {
    let is_hash = |part: &str| part.len() >= 40 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = |part: &&str| if is_hash(part) { part[..12].to_owned() } else { (*part).to_owned() };
    let named = parts.iter().map(short).collect::<Vec<_>>().join(" ");
    if named.is_empty() { "unknown".into() } else { named }
}

/// What two runs measure differently.
pub(crate) fn difference(there: &Identity, wanted: &Identity) -> Option<String> {
    let another_model = wanted.models.iter().find(|(name, facts)| there.models.get(*name) != Some(facts));
    if there.schema != wanted.schema {
        Some("record schema (another version wrote it)".into())
    } else if there.sweep != wanted.sweep {
        Some("sweep".into())
    } else if there.problems_sha256 != wanted.problems_sha256 {
        Some("problem set (its hash differs)".into())
    } else if there.shard != wanted.shard {
        Some("part of the problems (--shard)".into())
    } else {
        another_model.map(|(name, _)| format!("model behind the name `{name}` (its hashes differ)"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::run_directory::RunDirectory;
    use crate::sweep::Sweep;
    use crate::trajectory::SCHEMA;

    fn manifest(provenance: &[(&str, &str)]) -> Manifest {
        let sweep = Sweep::open("quickstart").unwrap();
        let (problems_sha256, models) = (BTreeMap::new(), BTreeMap::new());
        let identity = Identity { schema: SCHEMA, sweep, problems_sha256, models, shard: None };
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Manifest { identity, provenance: provenance.iter().map(text).collect() }
    }

    #[test]
    fn a_run_goes_on_with_the_same_build_and_device_and_no_other() {
        let commit = "9b34845aa3df066c0c8e9a89e79743c18e8383b1";
        let begun = [("isocost", "0.1.0"), ("git_commit", commit), ("git_tree", "dirty"), ("git_diff", "e1")];
        let begun = [&begun[..], &[("device", "cpu, 2 cores"), ("started", "yesterday")]].concat();
        let folder = tempfile::tempdir().unwrap();
        let opened = |key: &str, value: &str| {
            let mut manifest = manifest(&begun);
            manifest.provenance.insert(key.to_owned(), value.to_owned());
            RunDirectory::open(folder.path(), &manifest)
        };
        opened("started", "yesterday").unwrap();
        opened("started", "today").unwrap();
        for (key, value, of) in [
            ("isocost", "0.2.0", Setting::Build),
            ("git_commit", "unknown", Setting::Build),
            ("git_tree", "clean", Setting::Build),
            ("git_diff", "e2", Setting::Build),
            ("device", "cuda:0, NVIDIA H200", Setting::Device),
        ] {
            let error = opened(key, value).unwrap_err();
            assert!(matches!(&error, RunError::Elsewhere { setting, .. } if *setting == of), "{error}");
            let message = error.to_string();
            assert!(message.contains(value) && message.contains("--out"), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
        let message = opened("device", "gpu").unwrap_err().to_string();
        assert!(message.contains("cpu, 2 cores"), "{message}");
        assert!(opened("git_tree", "clean").unwrap_err().to_string().contains("9b34845aa3df dirty e1"));
    }
}
