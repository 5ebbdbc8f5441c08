//! How a person names a repository.

use std::fmt;

use super::HubError;

/// `OWNER/NAME`, with a file and a revision if need be: `OWNER/NAME/FILE.gguf@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName {
    /// `OWNER/NAME`.
    pub repository: String,
    /// A branch, a tag or a commit; `main` unless said otherwise.
    pub revision: String,
    /// The one file that is wanted.
    pub file: Option<String>,
}

impl HubName {
    /// Reads what follows `hub:` in a model's name.
    ///
    /// # Errors
    /// [`HubError::Name`].
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let wrong = || HubError::Name { text: text.to_owned() };
        let (path, revision) = text.split_once('@').unwrap_or((text, "main"));
        let parts: Vec<&str> = path.splitn(3, '/').collect();
        let (repository, file) = match parts[..] {
            [owner, name] => (format!("{owner}/{name}"), None),
            [owner, name, file] if file.to_lowercase().ends_with(".gguf") => {
                (format!("{owner}/{name}"), Some(file.to_owned()))
            }
            _ => return Err(wrong()),
        };
        let name = Self { repository, revision: revision.to_owned(), file };
        if name.is_safe() { Ok(name) } else { Err(wrong()) }
    }

    /// A file of a data set.
    pub(super) fn data_set(repository: &str, revision: &str, file: &str) -> Result<Self, HubError> {
        let name = Self {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            file: Some(file.to_owned()),
        };
        let whole = repository.split('/').count() == 2 && name.is_safe();
        if whole { Ok(name) } else { Err(HubError::Name { text: format!("{repository}/{file}@{revision}") }) }
    }

    /// All of it becomes parts of addresses and paths.
    fn is_safe(&self) -> bool {
        let texts = [Some(&self.repository), Some(&self.revision), self.file.as_ref()];
        texts.into_iter().flatten().all(|text| is_safe_path(text))
    }

    /// Whether the revision is a commit, which never moves.
    pub fn is_commit(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|b| b.is_ascii_hexdigit())
    }

    /// The model's own name, by which its card is looked up.
    pub fn model(&self) -> &str {
        let file = self.file.as_deref().and_then(|file| file.rsplit('/').next());
        let stem = file.map(|file| file.rsplit_once('.').map_or(file, |(stem, _)| stem));
        stem.unwrap_or_else(|| self.repository.rsplit('/').next().unwrap_or_default())
    }
}

/// Relative, without a step upwards, and of characters that need no escape in an address.
pub(super) fn is_safe_path(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "._-+=".contains(c);
    text.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(is_safe))
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "hub:{}", self.repository)?;
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))?;
        if self.revision == "main" { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_owner_and_may_have_a_revision_and_a_gguf_file() {
        let name = HubName::parse("Qwen/Qwen3-0.6B").unwrap();
        assert_eq!((name.repository.as_str(), name.revision.as_str()), ("Qwen/Qwen3-0.6B", "main"));
        assert_eq!((name.model(), name.to_string().as_str()), ("Qwen3-0.6B", "hub:Qwen/Qwen3-0.6B"));
        let name = HubName::parse("o/n/q/model-Q4_K_M.gguf@refs/pr/1").unwrap();
        assert_eq!((name.revision.as_str(), name.model()), ("refs/pr/1", "model-Q4_K_M"));
        assert_eq!(name.to_string(), "hub:o/n/q/model-Q4_K_M.gguf@refs/pr/1");
    }

    #[test]
    fn names_that_would_leave_the_cache_or_break_an_address_are_refused() {
        for text in [
            "",
            "gpt2",
            "a/b@",
            "a//b",
            "/a/b",
            "../b",
            "a/..",
            "a/b@../../x",
            "a/b/c.bin",
            "a b/c",
            "a/b?x",
            "a/b/../x.gguf",
        ] {
            assert!(HubName::parse(text).is_err(), "{text:?}");
        }
        assert!(HubName::data_set("o/n", "main", "../x").is_err());
        assert!(HubName::data_set("o/n", "main", "data/test-00000-of-00001.parquet").is_ok());
    }
}
