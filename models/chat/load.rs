//! Where a checkpoint keeps its template.
//!
//! In order: `chat_template.jinja` (since 2025), `chat_template.json` (vision models), the `chat_template` field of
//! `tokenizer_config.json`, which is a string or a list of named templates. The texts of `bos_token` and `eos_token`
//! come from `tokenizer_config.json`, then `special_tokens_map.json`.

use std::path::Path;

use serde_json::Value;

use super::{ChatError, ChatTemplate};
use crate::bounded_file;
use crate::tokenizer::token_text;

/// Templates are a few kB; a `tokenizer_config.json` with hundreds of reserved tokens is 100 kB.
const MAX_FILE_BYTES: u64 = 16 << 20;

impl ChatTemplate {
    /// Loads the template of a checkpoint's folder: its default one.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, ChatError> {
        Self::from_folder_named(folder, "default")
    }

    /// Loads the named one of a folder's templates (`default`, `tool_use`, `rag`).
    pub fn from_folder_named(folder: impl AsRef<Path>, name: &str) -> Result<Self, ChatError> {
        let folder = folder.as_ref();
        let config = json(&folder.join("tokenizer_config.json"))?;
        let map = json(&folder.join("special_tokens_map.json"))?;
        let jinja = folder.join("chat_template.jinja");
        let source =
            bounded_file::read_text(&jinja, MAX_FILE_BYTES).map_err(|reason| fault(&jinja, &reason))?;
        let source = match source {
            Some(source) => source,
            None => {
                let field = json(&folder.join("chat_template.json"))?;
                let field = field.as_ref().or(config.as_ref()).and_then(|json| json.get("chat_template"));
                let field = field.ok_or_else(|| ChatError::NoTemplate(folder.to_owned()))?;
                pick(field, name).ok_or_else(|| unnamed(folder, field, name))?
            }
        };
        let token =
            |field: &str| [&config, &map].into_iter().flatten().find_map(|json| token_text(json.get(field)?));
        Ok(Self::new(source)?.with_tokens(token("bos_token"), token("eos_token")))
    }
}

/// A single template has no name and serves under any.
fn pick(field: &Value, name: &str) -> Option<String> {
    let list = match field {
        Value::String(source) => return Some(source.clone()),
        list => list.as_array()?,
    };
    let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(name);
    let entry = list.iter().find(named).or_else(|| list.first().filter(|_| list.len() == 1))?;
    entry.get("template")?.as_str().map(str::to_owned)
}

fn unnamed(folder: &Path, field: &Value, name: &str) -> ChatError {
    let entries = field.as_array().into_iter().flatten();
    let names: Vec<_> = entries.filter_map(|entry| entry.get("name").and_then(Value::as_str)).collect();
    let reason = format!("no chat template named {name:?}; it has {names:?}: use one of these names");
    ChatError::File { path: folder.join("tokenizer_config.json"), reason }
}

fn json(path: &Path) -> Result<Option<Value>, ChatError> {
    bounded_file::read_json(path, MAX_FILE_BYTES).map_err(|reason| fault(path, &reason))
}

fn fault(path: &Path, reason: &str) -> ChatError {
    let reason = format!("{reason}; check the file, or download it again");
    ChatError::File { path: path.to_owned(), reason }
}
