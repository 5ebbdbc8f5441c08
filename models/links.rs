//! Where the links of a model's folder may lead: nowhere but to that model's own files.
//!
//! A folder that somebody shares may hold a link called `config.json` that leads to a private key, whose beginning would then
//! stand in an error, a manifest, or a prompt. So every entry must be a file inside the folder. The hub's cache is made of
//! links, from `snapshots/COMMIT/` to `blobs/` of the same repository; those, and no others, may leave the folder. What is
//! neither file nor folder (a pipe, a device) would be read for ever, and is refused too.
//!
//! The name that a person typed may itself be a link: that is theirs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::load::LoadError;

/// Checks a model's folder before anything in it is read.
///
/// # Errors
/// [`LoadError`] naming the first entry that leads out of the folder or is no file.
pub(crate) fn check(folder: &Path) -> Result<(), LoadError> {
    let own = folder.canonicalize().map_err(|e| LoadError::read(folder, &e))?;
    let blobs = blobs(&own);
    for entry in fs::read_dir(folder).map_err(|e| LoadError::read(folder, &e))? {
        let path = entry.map_err(|e| LoadError::read(folder, &e))?.path();
        check_entry(&path, &[Some(&own), blobs.as_ref()])?;
    }
    Ok(())
}

fn check_entry(path: &Path, allowed: &[Option<&PathBuf>]) -> Result<(), LoadError> {
    // A link to nothing is a missing file, which is said when it is wanted.
    let Ok(target) = path.canonicalize() else { return Ok(()) };
    if !allowed.iter().flatten().any(|folder| target.starts_with(folder)) {
        let message = "is a link that leads out of the model's folder, where nothing is read: copy the file, or name its own folder";
        return Err(LoadError::other(&format!("{}: {message}", path.display())));
    }
    let facts = fs::metadata(&target).map_err(|e| LoadError::read(path, &e))?;
    if !facts.is_file() && !facts.is_dir() {
        return Err(LoadError::malformed(path, &"is neither a file nor a folder"));
    }
    Ok(())
}

/// Where a snapshot of the hub's cache keeps its files; `None` for any other folder.
fn blobs(own: &Path) -> Option<PathBuf> {
    let snapshots =
        own.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"))?;
    let repository = snapshots.parent()?;
    let name = repository.file_name()?.to_str()?;
    let is_cache = ["models--", "datasets--"].iter().any(|kind| name.starts_with(kind));
    // A `blobs` that is itself a link leads elsewhere, and allows nothing.
    let blobs = repository.join("blobs").canonicalize().ok()?;
    (is_cache && blobs.starts_with(repository)).then_some(blobs)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn said(folder: &Path) -> String {
        check(folder).unwrap_err().to_string()
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused_and_one_inside_is_not() {
        let place = tempfile::tempdir().unwrap();
        let (model, secret) = (place.path().join("model"), place.path().join("secret"));
        fs::create_dir(&model).unwrap();
        fs::write(&secret, "key").unwrap();
        fs::write(model.join("a.json"), "{}").unwrap();
        symlink("a.json", model.join("config.json")).unwrap();
        symlink("nowhere", model.join("card.toml")).unwrap();
        symlink(&model, place.path().join("named")).unwrap();
        check(&model).unwrap();
        check(&place.path().join("named")).unwrap();
        for target in [secret.as_path(), Path::new("../secret"), Path::new("/etc/passwd"), Path::new("..")] {
            symlink(target, model.join("tokenizer.json")).unwrap();
            let message = said(&model);
            assert!(message.contains("tokenizer.json") && message.contains("leads out"), "{message}");
            assert!(!message.contains("key"), "{message}");
            fs::remove_file(model.join("tokenizer.json")).unwrap();
        }
    }

    #[test]
    fn a_snapshot_of_the_hubs_cache_may_use_its_own_blobs_and_no_others() {
        let cache = tempfile::tempdir().unwrap();
        let repository = |name: &str| {
            let repository = cache.path().join(name);
            fs::create_dir_all(repository.join("snapshots/c0")).unwrap();
            fs::create_dir_all(repository.join("blobs")).unwrap();
            fs::write(repository.join("blobs/b0"), "{}").unwrap();
            repository
        };
        let (ours, other) = (repository("models--o--n"), repository("models--o--other"));
        symlink("../../blobs/b0", ours.join("snapshots/c0/config.json")).unwrap();
        check(&ours.join("snapshots/c0")).unwrap();
        symlink("../../../models--o--other/blobs/b0", ours.join("snapshots/c0/tokenizer.json")).unwrap();
        assert!(said(&ours.join("snapshots/c0")).contains("tokenizer.json"));
        // Blobs that are a link to everything allow nothing.
        fs::remove_dir_all(other.join("blobs")).unwrap();
        symlink("/", other.join("blobs")).unwrap();
        symlink("../../blobs/etc/passwd", other.join("snapshots/c0/config.json")).unwrap();
        assert!(said(&other.join("snapshots/c0")).contains("leads out"));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let model = tempfile::tempdir().unwrap();
        let pipe = model.path().join("tokenizer.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(said(model.path()).contains("neither a file nor a folder"));
    }
}
