//! Thinking on, thinking off, and who writes the opening tag.
//!
//! Three habits exist. Qwen3's model writes `<think>` itself and is switched off by the template, which then writes an
//! empty block. The R1 family's template writes `<think>` and has no switch: thinking is skipped by
//! closing the block at once. SmolLM3 listens to `/no_think` in the system message. Instruct models have no
//! tags and never think. [`Thinking`] describes a model's habit, found in its template or given by its card;
//! [`ChatTemplate::prompt`] applies it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChatError, ChatTemplate, Guard, Message, RenderOptions};

/// How a model marks its thinking and how it is told not to think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    /// What opens and closes the thinking; `None` for a model that does not think in tags.
    pub tags: Option<(String, String)>,
    /// What must be done for an answer without thinking.
    pub off: OffSwitch,
    /// What to put after the generation prompt when thinking is on and the template opens no block itself, for
    /// models whose makers ask for it (R1: `<think>\n`).
    pub opening: Option<String>,
    /// What stands between the tags when thinking is skipped by an empty block, tags included.
    pub empty_block: String,
}

/// How thinking is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffSwitch {
    /// The template reads `enable_thinking` (or `thinking`).
    Template,
    /// The system message says `/no_think`.
    NoThink,
    /// The assistant's turn starts with an empty thinking block.
    EmptyBlock,
    /// The model never thinks: nothing to do.
    None,
}

/// Where the model stands when it writes its first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkState {
    /// Inside a thinking block which the prompt opened: the first token is a reasoning token.
    Open,
    /// In front of a thinking block which the model is expected to open.
    ModelOpens,
    /// Behind a thinking block, or without one: the first token is an answer token.
    Closed,
}

/// A rendered prompt: the text up to the model's first token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    marked: String,
    marks: BTreeMap<char, char>,
    state: ThinkState,
}

impl Prompt {
    /// A prompt that is not made by a template: all of it is trusted.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { marked: text.into(), marks: BTreeMap::new(), state: ThinkState::Closed }
    }

    /// The text as the model sees it.
    pub fn text(&self) -> String {
        self.marked.chars().map(|char| self.marks.get(&char).copied().unwrap_or(char)).collect()
    }

    /// Where the model starts.
    pub fn state(&self) -> ThinkState {
        self.state
    }

    /// The text in which characters that must not begin a control token are replaced by their marks.
    pub fn marked(&self) -> &str {
        &self.marked
    }

    /// What each mark stands for.
    pub fn marks(&self) -> impl Iterator<Item = (char, char)> + '_ {
        self.marks.iter().map(|(&mark, &char)| (mark, char))
    }

    /// Goes on with trusted text, such as a forced answer.
    pub fn push(&mut self, text: &str) {
        self.marked.push_str(text);
    }
}

impl Thinking {
    /// Tag pairs in use, in the order in which they are looked for.
    pub const TAGS: [(&'static str, &'static str); 2] = [("<think>", "</think>"), ("[THINK]", "[/THINK]")];

    /// A model that does not think.
    pub fn never() -> Self {
        Self { tags: None, off: OffSwitch::None, opening: None, empty_block: String::new() }
    }

    /// A model that thinks between these tags.
    pub fn tagged(open: &str, close: &str, off: OffSwitch) -> Self {
        let empty_block = format!("{open}\n\n{close}\n\n");
        Self { tags: Some((open.to_owned(), close.to_owned())), off, opening: None, empty_block }
    }

    /// Reads the habit off a template's text.
    pub fn detect(template: &str) -> Self {
        let Some((open, close)) = Self::TAGS.into_iter().find(|(_, close)| template.contains(close)) else {
            return Self::never();
        };
        let off = if template.contains("enable_thinking") {
            OffSwitch::Template
        } else if template.contains("/no_think") {
            OffSwitch::NoThink
        } else {
            OffSwitch::EmptyBlock
        };
        Self::tagged(open, close, off)
    }

    fn state(&self, text: &str, wanted: bool) -> ThinkState {
        let Some((open, close)) = &self.tags else { return ThinkState::Closed };
        if text.trim_end().ends_with(open.as_str()) {
            ThinkState::Open
        } else if wanted && !text.trim_end().ends_with(close.as_str()) {
            ThinkState::ModelOpens
        } else {
            ThinkState::Closed
        }
    }

    /// What to append to a rendering so that the block is empty and closed.
    fn skip(&self, rendered: &str) -> String {
        let Some((open, close)) = &self.tags else { return String::new() };
        let end = rendered.trim_end();
        if end.ends_with(close.as_str()) {
            return String::new();
        }
        if !end.ends_with(open.as_str()) {
            return self.empty_block.clone();
        }
        let written = &rendered[end.len() - open.len()..];
        let rest =
            self.empty_block.strip_prefix(written).or_else(|| self.empty_block.strip_prefix(open.as_str()));
        rest.unwrap_or_default().to_owned()
    }
}

impl ChatTemplate {
    /// Renders the conversation up to the model's first token, with thinking on or off.
    ///
    /// With thinking on the text ends behind the opening tag if the template (or the card) writes it, and in front
    /// of it if the model does; [`Prompt::state`] tells which. With thinking off the model's own switch is used, else an
    /// empty block. What the messages say can never become a control token: see [`Guard`].
    pub fn prompt(
        &self,
        messages: &[Message],
        thinking: bool,
        guard: &Guard,
        options: &RenderOptions,
    ) -> Result<Prompt, ChatError> {
        let habit = self.thinking();
        let tags = habit.tags.iter().flat_map(|(open, close)| [open.as_str(), close.as_str()]);
        let (mut messages, marks) = guard.hide(messages, &tags.collect::<Vec<_>>())?;
        if !thinking && habit.off == OffSwitch::NoThink {
            no_think(&mut messages);
        }
        let mut options = RenderOptions { add_generation_prompt: true, ..options.clone() };
        options.enable_thinking = habit.tags.is_some().then_some(thinking);
        if habit.tags.is_some() {
            options.extra.insert("thinking".into(), thinking.into());
        }
        let mut marked = self.render(&messages, &options)?;
        match habit.state(&marked, thinking) {
            ThinkState::ModelOpens => marked.push_str(habit.opening.as_deref().unwrap_or_default()),
            state if !thinking && (state == ThinkState::Open || habit.off == OffSwitch::EmptyBlock) => {
                marked.push_str(&habit.skip(&marked));
            }
            _ => {}
        }
        let state = habit.state(&marked, thinking);
        Ok(Prompt { marked, marks, state })
    }
}

fn no_think(messages: &mut Vec<Message>) {
    match messages.first_mut() {
        Some(first) if first.role == "system" => {
            let text = first.content.as_str().unwrap_or_default().trim_end();
            first.content = format!("{text} /no_think").trim_start().into();
        }
        _ => messages.insert(0, Message::system("/no_think")),
    }
}
