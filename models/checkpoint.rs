//! Everything a model's folder or file holds: configuration, weights, tokenizer, chat template, card.
//!
//! A folder is what the Hugging Face hub serves: `config.json`, `model.safetensors` (or shards with an index),
//! `tokenizer.json`, a chat template. A GGUF file has all of that in one. Weights are mapped, not read; nothing is
//! ever executed but the template, in its sandbox, and pickle files are not looked at.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};

use crate::card::Card;
use crate::chat::{ChatError, ChatTemplate};
use crate::config::Config;
use crate::conversation::Conversation;
use crate::decoder::Decoder;
use crate::gguf::Header;
use crate::load::LoadError;
use crate::source::Source;
use crate::tokenizer::{GgufVocabulary, Tokenizer};
use crate::weights::Weights;

/// A model on disk, opened.
pub struct Checkpoint {
    /// Sizes and variations.
    pub config: Config,
    /// Mapped weights.
    pub weights: Weights,
    /// How it is spoken to.
    pub conversation: Conversation,
}

impl Checkpoint {
    /// Opens a model and checks that its parts agree; nothing is loaded. Without a `dtype` weights keep the type they
    /// are stored in.
    ///
    /// # Errors
    /// [`LoadError`]: one line with the file and the remedy.
    pub fn open(source: &Source, dtype: Option<DType>, device: &Device) -> Result<Self, LoadError> {
        let path = &source.path;
        let opened = if source.is_gguf() {
            Self::open_gguf(source, dtype, device)?
        } else if path.is_dir() {
            Self::open_folder(source, dtype, device)?
        } else {
            return Err(LoadError::read(path, &"there is no such model folder"));
        };
        // A configuration that contradicts the weights is known now, not when the model's turn comes.
        Decoder::load(opened.config.clone(), &opened.weights.described())?;
        Ok(opened)
    }

    fn open_folder(source: &Source, dtype: Option<DType>, device: &Device) -> Result<Self, LoadError> {
        let folder = &source.path;
        let config = Config::read(&folder.join("config.json")).map_err(|e| only_gguf(folder).unwrap_or(e))?;
        let weights = Weights::open(folder, dtype, device)?;
        let conversation = Self::folder_conversation(source, &config)?;
        Ok(Self { config, weights, conversation })
    }

    /// How a model is spoken to; a folder needs no weights for that.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn conversation(source: &Source) -> Result<Conversation, LoadError> {
        if source.is_gguf() {
            return Ok(Self::open_gguf(source, None, &Device::Cpu)?.conversation);
        }
        Self::folder_conversation(source, &Config::read(&source.path.join("config.json"))?)
    }

    fn folder_conversation(source: &Source, config: &Config) -> Result<Conversation, LoadError> {
        let folder = &source.path;
        let tokenizer = Tokenizer::from_folder(folder).map_err(|e| LoadError::other(&e))?;
        let template = match ChatTemplate::from_folder(folder) {
            Ok(template) => Some(template),
            Err(ChatError::NoTemplate(_)) => None,
            Err(error) => return Err(LoadError::other(&error)),
        };
        let own_card = folder.join("card.toml");
        let card = if own_card.is_file() {
            Card::from_file(&own_card).map_err(|e| LoadError::malformed(&own_card, &e))?
        } else {
            card(&[&source.name], template.as_ref(), &tokenizer)
        };
        Conversation::new(folder, config, tokenizer, template, card)
    }

    fn open_gguf(source: &Source, dtype: Option<DType>, device: &Device) -> Result<Self, LoadError> {
        let path = &source.path;
        let header = Arc::new(Header::open(path).map_err(|e| LoadError::malformed(path, &e))?);
        let vocabulary = GgufVocabulary::from_header(&header);
        let tokenizer = Tokenizer::from_gguf(&vocabulary).map_err(|e| LoadError::malformed(path, &e))?;
        let template = template(&header, &vocabulary, path)?;
        let title = header.text("general.name").unwrap_or_default().replace(' ', "-");
        let card = card(&[&source.name, &title], template.as_ref(), &tokenizer);
        let (config, weights) = Self::gguf_network(path, &header, dtype, device)?;
        let conversation = Conversation::new(path, &config, tokenizer, template, card)?;
        Ok(Self { config, weights, conversation })
    }

    /// Configuration and weights of a GGUF file, which its header describes.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn gguf_network(
        path: &Path,
        header: &Arc<Header>,
        dtype: Option<DType>,
        device: &Device,
    ) -> Result<(Config, Weights), LoadError> {
        let weights = Weights::open_gguf(path, header.clone(), dtype, device)?;
        let entry = header.tensors.get("rope_freqs.weight");
        let divisors = entry.map(|entry| divisors(&weights, &entry.shape, path)).transpose()?;
        Ok((Config::from_gguf(header, divisors, path)?, weights))
    }
}

/// A folder of GGUF files, of which one must be named.
fn only_gguf(folder: &Path) -> Option<LoadError> {
    let mut paths = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let file = paths.find(|path| path.extension().is_some_and(|end| end == "gguf"))?;
    let lacks = !folder.join("config.json").exists();
    let message = format!("{}: has GGUF files and no config.json: name the file", folder.display());
    lacks.then(|| LoadError::other(&format!("{message}, as in {}", file.display())))
}

/// Llama 3's rope scaling: what each frequency is divided by.
fn divisors(weights: &Weights, shape: &[usize], path: &Path) -> Result<Vec<f64>, LoadError> {
    let numbers = weights.tensor("rope_freqs.weight", shape)?;
    let numbers = numbers.flatten_all().and_then(|t| t.to_dtype(DType::F64)).and_then(|t| t.to_vec1::<f64>());
    numbers.map_err(|e| LoadError::malformed(path, &e))
}

fn template(
    header: &Header,
    vocabulary: &GgufVocabulary,
    path: &Path,
) -> Result<Option<ChatTemplate>, LoadError> {
    let Some(source) = header.text("tokenizer.chat_template") else { return Ok(None) };
    let token = |id: Option<&u32>| vocabulary.tokens.get(*id? as usize).cloned();
    let template = ChatTemplate::new(source).map_err(|e| LoadError::malformed(path, &e))?;
    Ok(Some(template.with_tokens(token(vocabulary.bos_id.as_ref()), token(vocabulary.eos_ids.first()))))
}

/// The card of the first name that has one, or what template and vocabulary show.
fn card(names: &[&str], template: Option<&ChatTemplate>, tokenizer: &Tokenizer) -> Card {
    let known = names.iter().find_map(|name| Card::for_model(name).ok());
    known.unwrap_or_else(|| Card::derive(names[0], template, tokenizer))
}
