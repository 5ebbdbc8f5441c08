//! Model cards: what is known about a model that its weights do not say.
//!
//! A measurement of "Qwen3-0.6B" is also one of a sampling recipe, of the string that ends its thinking, and of the way
//! thinking is switched off. Those choices move accuracy, so they are data with a source, one TOML file per model in
//! `cards/`, built into the program. The history of a model (base, teacher, training compute) is there for the claims
//! about distillation and training cost.
//!
//! Contract: a fact without a published source says `recalled, unverified` in its `source`; an unknown fact is absent;
//! a misspelt field is an error. A model without a card gets a derived one, which holds what its template and
//! vocabulary show and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::chat::{ChatTemplate, OffSwitch, Thinking};
use crate::tokenizer::Tokenizer;

const CARDS: [(&str, &str); 15] = [
    ("deepscaler-1.5b-preview", include_str!("cards/deepscaler-1.5b-preview.toml")),
    ("deepseek-r1-distill-llama-8b", include_str!("cards/deepseek-r1-distill-llama-8b.toml")),
    ("deepseek-r1-distill-qwen-1.5b", include_str!("cards/deepseek-r1-distill-qwen-1.5b.toml")),
    ("deepseek-r1-distill-qwen-7b", include_str!("cards/deepseek-r1-distill-qwen-7b.toml")),
    ("llama-3.2-1b-instruct", include_str!("cards/llama-3.2-1b-instruct.toml")),
    ("llama-3.2-3b-instruct", include_str!("cards/llama-3.2-3b-instruct.toml")),
    ("phi-4-mini-reasoning", include_str!("cards/phi-4-mini-reasoning.toml")),
    ("qwen2.5-0.5b-instruct", include_str!("cards/qwen2.5-0.5b-instruct.toml")),
    ("qwen2.5-1.5b-instruct", include_str!("cards/qwen2.5-1.5b-instruct.toml")),
    ("qwen2.5-math-1.5b-instruct", include_str!("cards/qwen2.5-math-1.5b-instruct.toml")),
    ("qwen3-0.6b", include_str!("cards/qwen3-0.6b.toml")),
    ("qwen3-1.7b", include_str!("cards/qwen3-1.7b.toml")),
    ("qwen3-4b", include_str!("cards/qwen3-4b.toml")),
    ("qwen3-8b", include_str!("cards/qwen3-8b.toml")),
    ("smollm3-3b", include_str!("cards/smollm3-3b.toml")),
];

/// What can go wrong with a card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// No card bears this name.
    #[error(
        "no model card for {name:?}; cards exist for {known}; write one as TOML, or derive one from the model"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A card's text is not a card.
    #[error("model card {name}: {reason}; correct the card")]
    Invalid {
        /// The card's name or path.
        name: String,
        /// What the parser says, in one line.
        reason: String,
    },
    /// A card's file cannot be read.
    #[error("{0}: {1}; check the path")]
    Unreadable(PathBuf, std::io::Error),
}

/// A value and where it was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Who says so; contains `recalled, unverified` if nobody was asked.
    pub source: String,
}

/// What is known about one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The name under which the hub has it: `Qwen/Qwen3-0.6B`.
    pub hub_id: String,
    /// The `model_type` of its `config.json`.
    pub architecture: Option<String>,
    /// The licence of the weights.
    pub licence: Option<Fact<String>>,
    /// All parameters, embeddings included, shared ones once.
    pub parameters: Option<Fact<f64>>,
    /// The day of release, `YYYY-MM-DD`.
    pub released: Option<Fact<String>>,
    /// What it was trained from.
    pub base_model: Option<Fact<String>>,
    /// Whose outputs or logits it was trained on.
    pub teacher: Option<Fact<String>>,
    /// The system message its maker wants; absent means none.
    pub system_prompt: Option<Fact<String>>,
    /// What its maker wants added to a mathematical problem.
    pub instruction: Option<Fact<String>>,
    /// What makes it go on thinking when it wants to stop.
    pub wait: Option<Fact<String>>,
    /// How it thinks; absent for a model that does not.
    pub thinking: Option<ThinkingCard>,
    /// What ends its thinking at a budget, the preferred text first.
    #[serde(default)]
    pub forced_answers: Vec<ForcedAnswer>,
    /// Recommended sampling by mode.
    #[serde(default)]
    pub sampling: Vec<SamplingCard>,
    /// What its training took, by stage, as far as published.
    #[serde(default)]
    pub training: Vec<Training>,
}

/// How a model marks its thinking and how it is told not to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinkingCard {
    /// The opening tag.
    pub open: String,
    /// The closing tag.
    pub close: String,
    /// How thinking is switched off.
    pub off: OffSwitch,
    /// What the prompt must end with if the template does not open the block.
    pub opening: Option<String>,
    /// A skipped thinking block, tags included.
    pub empty_block: String,
    /// Who says so.
    pub source: String,
}

/// A text that ends the thinking at a budget and asks for the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForcedAnswer {
    /// `qwen`, `s1`, `close`: what it is called. A run uses the first of its model's card.
    pub name: String,
    /// What is appended to the unfinished thinking, closing tag included.
    pub text: String,
    /// Who uses it.
    pub source: String,
}

/// Sampling recommended by a model's maker; an absent setting is not recommended, so leave it off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingCard {
    /// For which way of answering.
    pub mode: Mode,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// Best k only.
    pub top_k: Option<u32>,
    /// Least share of the best token's probability.
    pub min_p: Option<f64>,
    /// Subtracted from tokens that occurred.
    pub presence_penalty: Option<f64>,
    /// Divides the logits of tokens that occurred.
    pub repetition_penalty: Option<f64>,
    /// Who recommends it.
    pub source: String,
}

/// The two ways of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// With thinking.
    Thinking,
    /// Without.
    Direct,
}

/// One stage of a model's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// `pretraining`, `distillation`, `reinforcement learning`.
    pub stage: String,
    /// Device-hours.
    pub gpu_hours: Option<f64>,
    /// The device they were measured on.
    pub device: Option<String>,
    /// Tokens seen.
    pub tokens: Option<f64>,
    /// Examples seen, where tokens are not published.
    pub examples: Option<f64>,
    /// Who says so.
    pub source: String,
}

impl Card {
    /// All cards built into the program.
    pub fn all() -> Result<Vec<Self>, CardError> {
        CARDS.iter().map(|(name, text)| Self::parse(name, text)).collect()
    }

    /// The card of a model, named by hub id, by its last part, or by a folder called so; case does not matter.
    pub fn for_model(name: &str) -> Result<Self, CardError> {
        let last =
            |name: &str| name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
        let cards = Self::all()?;
        let known = || cards.iter().map(|card| card.hub_id.as_str()).collect::<Vec<_>>().join(", ");
        let found = cards.iter().find(|card| last(&card.hub_id) == last(name)).cloned();
        found.ok_or_else(|| CardError::Unknown { name: name.to_owned(), known: known() })
    }

    /// Reads a card from a file of one's own.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CardError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| CardError::Unreadable(path.to_owned(), error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a card's text; `name` is for the error.
    pub fn parse(name: &str, text: &str) -> Result<Self, CardError> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let reason = error.message().replace('\n', "; ");
            CardError::Invalid { name: format!("{name}, line {line}"), reason }
        })
    }

    /// The card of a model nobody described: its thinking as its template or its vocabulary show it.
    pub fn derive(name: &str, template: Option<&ChatTemplate>, tokenizer: &Tokenizer) -> Self {
        let shown = template.map(|template| template.thinking().clone());
        let thinking = shown.filter(|thinking| thinking.tags.is_some()).or_else(|| in_vocabulary(tokenizer));
        let thinking = thinking.as_ref().and_then(ThinkingCard::derived);
        let forced_answers = thinking.iter().flat_map(forced_answers).collect();
        let wait =
            thinking.as_ref().map(|_| Fact { value: "Wait".into(), source: "derived: as in s1".into() });
        Self {
            hub_id: name.to_owned(),
            architecture: None,
            licence: None,
            parameters: None,
            released: None,
            base_model: None,
            teacher: None,
            system_prompt: None,
            instruction: None,
            wait,
            thinking,
            forced_answers,
            sampling: Vec::new(),
            training: Vec::new(),
        }
    }

    /// The card's way of thinking, for [`ChatTemplate::with_thinking`].
    pub fn thinking(&self) -> Thinking {
        let Some(card) = &self.thinking else { return Thinking::never() };
        let mut thinking = Thinking::tagged(&card.open, &card.close, card.off);
        thinking.opening.clone_from(&card.opening);
        thinking.empty_block.clone_from(&card.empty_block);
        thinking
    }

    /// The preferred forced answer.
    pub fn forced_answer(&self) -> Option<&ForcedAnswer> {
        self.forced_answers.first()
    }

    /// The sampling recommended for a mode.
    pub fn sampling(&self, mode: Mode) -> Option<&SamplingCard> {
        self.sampling.iter().find(|sampling| sampling.mode == mode)
    }
}

impl ThinkingCard {
    fn derived(thinking: &Thinking) -> Option<Self> {
        let (open, close) = thinking.tags.clone()?;
        Some(Self {
            open,
            close,
            off: thinking.off,
            opening: thinking.opening.clone(),
            empty_block: thinking.empty_block.clone(),
            source: "derived from the template or the vocabulary".into(),
        })
    }
}

/// Thinking tags that have tokens of their own.
fn in_vocabulary(tokenizer: &Tokenizer) -> Option<Thinking> {
    let pairs = Thinking::TAGS.into_iter();
    let mut known =
        pairs.filter(|(open, close)| [open, close].iter().all(|tag| tokenizer.token_id(tag).is_some()));
    known.next().map(|(open, close)| Thinking::tagged(open, close, OffSwitch::EmptyBlock))
}

fn forced_answers(thinking: &ThinkingCard) -> [ForcedAnswer; 2] {
    let close = &thinking.close;
    let answer =
        |name: &str, text: String| ForcedAnswer { name: name.into(), text, source: "derived".into() };
    [answer("s1", format!("\n{close}\nFinal Answer:")), answer("close", format!("\n{close}\n\n"))]
}
