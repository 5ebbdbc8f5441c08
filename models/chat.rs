//! Chat templates: from a conversation to the exact text a model was trained to continue.
//!
//! A chat model never sees "messages". It sees one string in which every turn is wrapped in the markers its
//! trainer chose, and that string is made by a Jinja template shipped with the weights. Getting one newline wrong
//! costs accuracy without any error, so the template is run as it is, with the settings the `transformers` library
//! uses: blocks trimmed, Python's string methods, `tojson` without escapes, a `{% generation %}` block, a date.
//!
//! Reasoning adds one decision: is thinking on or off, and who writes the opening tag? [`ChatTemplate::prompt`]
//! answers both and says in which [`ThinkState`] the model starts.
//!
//! Contract: rendering is a pure function of template, messages and options (the date too is an argument); a
//! template that does not end, or grows without end, is a [`ChatError`], never a hang or a panic.
//!
//! ```
//! use isocost_models::chat::{ChatTemplate, Message, RenderOptions};
//! let template = ChatTemplate::new("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] ")?;
//! let text = template.render(&[Message::user("2+2?")], &RenderOptions::default())?;
//! assert_eq!(text, "[user] 2+2?\n[assistant] ");
//! # Ok::<(), isocost_models::chat::ChatError>(())
//! ```

mod budget;
mod environment;
mod guard;
mod instrument;
mod json;
mod load;
mod thinking;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use guard::Guard;
pub use thinking::{OffSwitch, Prompt, ThinkState, Thinking};

/// What can go wrong between a template's file and a rendered prompt.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The folder holds no template at all.
    #[error(
        "{0}: no chat template (looked for chat_template.jinja, chat_template.json and tokenizer_config.json): \
         this is a base model; put its template into {0}/chat_template.jinja"
    )]
    NoTemplate(PathBuf),
    /// A file could not be read, or is not what its name says.
    #[error("{path}: {reason}")]
    File {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The template is not valid Jinja.
    #[error("chat template does not parse: {0}; fix the template or name another with chat_template.jinja")]
    Syntax(String),
    /// The template itself refused the conversation with `raise_exception`.
    #[error("the chat template refuses this conversation: {0}; change the messages")]
    Refused(String),
    /// The template failed while it ran.
    #[error("chat template failed: {0}; check the messages against what the template expects")]
    Failed(String),
    /// The template used up its steps, its memory or its time.
    #[error("chat template stopped: more than {0}; it loops or grows without end, use a trusted template")]
    Exhausted(&'static str),
    /// The messages hold so many private-use characters that none is left to mark guarded text with.
    #[error("the messages use up Unicode's private-use area; remove those characters")]
    NoMarks,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool`.
    pub role: String,
    /// What is said: text, or the list of parts that some templates accept.
    #[serde(default)]
    pub content: Value,
    /// Whatever else a template reads, such as `tool_calls` or `reasoning_content`.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Message {
    /// A turn of plain text by `role`.
    pub fn new(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: Value::String(text.into()), extra: BTreeMap::new() }
    }

    /// What the person asks.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new("user", text)
    }

    /// What stands above the conversation.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new("system", text)
    }

    /// What the model answered earlier.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new("assistant", text)
    }
}

/// Everything a rendering depends on besides the messages.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderOptions {
    /// End with the header of the assistant's turn, so that the model answers.
    pub add_generation_prompt: bool,
    /// The template's own thinking switch; `None` leaves the template its default.
    pub enable_thinking: Option<bool>,
    /// What `strftime_now` calls today.
    pub today: jiff::civil::Date,
    /// Further variables: `tools`, `documents`, and whatever a template invents.
    pub extra: BTreeMap<String, Value>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        // A fixed day: a caller who does not care still gets reproducible prompts.
        let (today, extra) = (jiff::civil::date(2025, 1, 15), BTreeMap::new());
        Self { add_generation_prompt: true, enable_thinking: None, today, extra }
    }
}

/// A model's chat template, ready to render.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    checked: String,
    fuel: u64,
    bos_token: Option<String>,
    eos_token: Option<String>,
    thinking: Thinking,
}

impl ChatTemplate {
    /// Takes a template's text and checks that it parses.
    pub fn new(source: impl Into<String>) -> Result<Self, ChatError> {
        let source = source.into();
        let (checked, fuel) = instrument::instrument(&source)?;
        let thinking = Thinking::detect(&source);
        Ok(Self { source, checked, fuel, bos_token: None, eos_token: None, thinking })
    }

    /// Sets what the template's `bos_token` and `eos_token` stand for.
    pub fn with_tokens(mut self, bos: Option<String>, eos: Option<String>) -> Self {
        (self.bos_token, self.eos_token) = (bos, eos);
        self
    }

    /// Replaces the thinking control found in the template, for instance by a card's.
    pub fn with_thinking(mut self, thinking: Thinking) -> Self {
        self.thinking = thinking;
        self
    }

    /// How this template's model is told to think or not to.
    pub fn thinking(&self) -> &Thinking {
        &self.thinking
    }

    /// The template as published.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text that the template calls `bos_token`, if any.
    pub fn bos_token(&self) -> Option<&str> {
        self.bos_token.as_deref()
    }

    /// The sha256 of the template's text in hexadecimal: what a run's manifest records.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.source.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Renders a conversation.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<String, ChatError> {
        let mut context = options.extra.clone();
        context.insert("messages".into(), serde_json::to_value(messages).unwrap_or_default());
        context.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        if let Some(on) = options.enable_thinking {
            context.insert("enable_thinking".into(), on.into());
        }
        for (name, token) in [("bos_token", &self.bos_token), ("eos_token", &self.eos_token)] {
            context.entry(name.into()).or_insert_with(|| token.clone().unwrap_or_default().into());
        }
        environment::render(&self.checked, context, options.today, self.fuel)
    }
}
