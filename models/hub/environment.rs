//! The variables by which all of Hugging Face's programs are set up.

use std::path::PathBuf;

use super::HubError;

/// Where the hub is, where its files go, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    /// `HF_ENDPOINT`, else `https://huggingface.co`.
    pub endpoint: String,
    /// `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `$XDG_CACHE_HOME/huggingface/hub`.
    pub cache: PathBuf,
    /// `HF_TOKEN`, else the file `HF_TOKEN_PATH`, else the file `token` in `HF_HOME`, where `hf auth login` leaves it.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE` is set: the network is not touched.
    pub offline: bool,
}

impl Environment {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`HubError::NoHome`] if neither a variable nor a home folder says where the cache is.
    pub fn read() -> Result<Self, HubError> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::from(&variable, std::env::home_dir())
    }

    fn from(variable: &dyn Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let folder = |name: &str| set(name).map(PathBuf::from);
        let caches = folder("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
        let home = folder("HF_HOME").or_else(|| caches.map(|caches| caches.join("huggingface")));
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let token_file = folder("HF_TOKEN_PATH").or_else(|| in_home("token"));
        let from_file = || std::fs::read_to_string(token_file?).ok();
        let token = set("HF_TOKEN").or_else(from_file).map(|token| token.trim().to_owned());
        let offline = set("HF_HUB_OFFLINE").unwrap_or_default().to_lowercase();
        Ok(Self {
            endpoint: set("HF_ENDPOINT").map_or("https://huggingface.co".into(), without_slash),
            cache: folder("HF_HUB_CACHE").or_else(|| in_home("hub")).ok_or(HubError::NoHome)?,
            token: token.filter(|token| !token.is_empty()),
            offline: matches!(offline.as_str(), "1" | "true" | "yes" | "on"),
        })
    }
}

fn without_slash(endpoint: String) -> String {
    endpoint.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment, HubError> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        };
        Environment::from(&variable, None)
    }

    #[test]
    fn the_nearest_variable_says_where_the_cache_is() {
        let mut variables = vec![("XDG_CACHE_HOME", "/c")];
        for (next, expected) in [
            (("HF_HOME", "/h"), "/c/huggingface/hub"),
            (("HF_HUB_CACHE", "/x"), "/h/hub"),
            (("HF_TOKEN", "t"), "/x"),
        ] {
            assert_eq!(environment(&variables).unwrap().cache, PathBuf::from(expected));
            variables.push(next);
        }
        assert!(matches!(environment(&[]), Err(HubError::NoHome)));
    }

    #[test]
    fn a_token_comes_from_the_variable_or_from_the_file_of_the_login() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        assert_eq!(environment(&[("HF_HOME", path)]).unwrap().token, None);
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        assert_eq!(environment(&[("HF_HOME", path)]).unwrap().token.as_deref(), Some("hf_file"));
        let both = environment(&[("HF_HOME", path), ("HF_TOKEN", " hf_variable\n")]).unwrap();
        assert_eq!(both.token.as_deref(), Some("hf_variable"));
    }

    #[test]
    fn offline_and_endpoint_are_read_as_the_python_library_reads_them() {
        let read = environment(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", "ON"), ("HF_ENDPOINT", "http://m/")]);
        let read = read.unwrap();
        assert!(read.offline && read.endpoint == "http://m");
        assert!(!environment(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", "0")]).unwrap().offline);
    }
}
