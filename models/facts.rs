//! What identifies a model in a manifest, from its files alone.

use std::path::PathBuf;

use isocost_harness::model_facts::{self, Lineage};
use isocost_harness::model_shape::ModelShape;
use isocost_harness::publication::file_sha256;
use serde::Serialize;

use crate::card::Card;
use crate::chat::ChatTemplate;
use crate::checkpoint::Checkpoint;
use crate::lineage::{self, lineage};
use crate::load::LoadError;
use crate::source::Source;

/// What identifies a model in a manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFacts {
    /// Family, as `model_type` names it.
    pub family: String,
    /// All parameters, shared ones once.
    pub parameters: u64,
    /// How the layers' weights are stored: `f32`, `bf16`, `q4k+q6k`.
    pub dtype: String,
    /// sha256 of every weight file, in order.
    pub weights_sha256: Vec<String>,
    /// sha256 of the chat template's text.
    pub template_sha256: String,
    /// Text that closes a thought at a budget.
    pub forced_answer: String,
    /// Its tokens.
    pub forced_tokens: u32,
    /// Tokens by which the prompt of a completion that does not think is longer than one that does; absent without a template for
    /// both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_extra_tokens: Option<i64>,
    /// Sizes of the decoder.
    pub shape: ModelShape,
    /// The commit of a model from the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_commit: Option<String>,
    /// The name under which it was published.
    pub hub_id: String,
    /// Where it comes from.
    pub lineage: Lineage,
}

impl ModelFacts {
    /// Of a model on disk; reads every weight file to its end, and loads nothing.
    ///
    /// # Errors
    /// [`LoadError`] if a file cannot be read.
    pub fn of(source: &Source, checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let Checkpoint { config, weights, conversation } = checkpoint;
        let card = &conversation.card;
        let hash = |file: &PathBuf| file_sha256(file).map_err(|e| LoadError::other(&e));
        Ok(Self {
            family: config.family.clone(),
            parameters: weights.parameters()?,
            dtype: weights.stored_as()?,
            weights_sha256: weights.files().iter().map(hash).collect::<Result<_, _>>()?,
            template_sha256: conversation.template.as_ref().map(ChatTemplate::sha256).unwrap_or_default(),
            forced_answer: card.forced_answer().map(|f| f.text.clone()).unwrap_or_default(),
            forced_tokens: conversation.forced_tokens() as u32,
            direct_extra_tokens: conversation.direct_extra_tokens(),
            shape: config.shape(),
            hub_commit: source.commit.clone(),
            hub_id: card.hub_id.clone(),
            lineage: lineage(&source.path, card),
        })
    }
}

/// What comparisons need to know of a model on disk; its weights are not read through.
///
/// # Errors
/// [`LoadError`] if a file cannot be read.
pub fn of_files(source: &Source, checkpoint: &Checkpoint) -> Result<model_facts::ModelFacts, LoadError> {
    let card = &checkpoint.conversation.card;
    Ok(model_facts::ModelFacts {
        family: Some(checkpoint.config.family.clone()),
        hub_id: Some(card.hub_id.clone()),
        parameters: Some(checkpoint.weights.parameters()?),
        shape: Some(checkpoint.config.shape()),
        lineage: lineage(&source.path, card),
        served_as: None,
    })
}

/// The same of a model whose files are not here, as far as its card says.
pub fn of_card(card: &Card) -> model_facts::ModelFacts {
    model_facts::ModelFacts {
        family: card.architecture.clone(),
        hub_id: Some(card.hub_id.clone()),
        parameters: card.parameters.as_ref().map(|count| count.value as u64),
        shape: None,
        lineage: lineage::of_card(card),
        served_as: None,
    }
}
