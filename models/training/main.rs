//! `train RECIPE.toml OUT`: makes one bundled model, resuming from its last checkpoint.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use isocost_models::training::data::{Batch, Documents};
use isocost_models::training::graph::{self, Weights};
use isocost_models::training::optimizer::AdamW;
use isocost_models::training::recipe::Recipe;
use isocost_models::training::vocabulary::{ASSISTANT, END, END_THINK, THINK, USER, Vocabulary};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Batches, and threads, a step.
const BATCHES: usize = 2;
const STEPS_BETWEEN_CHECKPOINTS: u64 = 250;
/// Longest sequence the bundled models promise to handle.
const CONTEXT: usize = 1024;

/// Where a training stands.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Progress {
    step: u64,
    next_document: u64,
    tokens_seen: u64,
    seconds: f64,
    /// Step and mean loss since the last entry, in nats per token.
    loss_curve: Vec<(u64, f32)>,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, recipe, out] = &args[..] else { bail!("usage: train RECIPE.toml OUT") };
    // SAFETY: no other thread runs yet. Each batch has its own thread, so matrix products must not
    // start more.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
    let text = std::fs::read_to_string(recipe).with_context(|| format!("{recipe}: cannot be read"))?;
    let recipe: Recipe = toml::from_str(&text).with_context(|| format!("{recipe}: is not a recipe"))?;
    Training::open(recipe, PathBuf::from(out))?.run()
}

struct Training {
    recipe: Recipe,
    out: PathBuf,
    documents: Documents,
    weights: Weights,
    optimizer: AdamW,
    progress: Progress,
}

impl Training {
    fn open(recipe: Recipe, out: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&out).with_context(|| format!("{}: cannot be made", out.display()))?;
        let documents = Documents::new(&recipe.data, recipe.seed)?;
        let weights = graph::initial_weights(&recipe.shape, Vocabulary::default().size(), recipe.seed)?;
        let mut training = Self {
            recipe,
            out,
            documents,
            weights,
            optimizer: AdamW::default(),
            progress: Progress::default(),
        };
        if let Some(folder) = training.recipe.start_from.clone() {
            load_weights(&training.weights, &Path::new(&folder).join("model.safetensors"))?;
        }
        training.resume()?;
        Ok(training)
    }

    fn resume(&mut self) -> Result<()> {
        let Ok(text) = std::fs::read_to_string(self.out.join("progress.json")) else { return Ok(()) };
        self.progress = serde_json::from_str(&text)?;
        load_weights(&self.weights, &self.out.join("model.safetensors"))?;
        self.optimizer = AdamW::load(&self.out.join("optimizer.safetensors"))?;
        Ok(())
    }

    fn run(mut self) -> Result<()> {
        let (mut recent, mut started) = (Vec::new(), Instant::now());
        while self.progress.step < self.recipe.optimizer.steps {
            recent.push(self.step()?);
            let step = self.progress.step;
            if step.is_multiple_of(50) {
                let mean = recent.drain(..).sum::<f32>() / 50.0;
                self.progress.seconds += started.elapsed().as_secs_f64();
                started = Instant::now();
                self.progress.loss_curve.push((step, mean));
                let p = &self.progress;
                eprintln!("step {step} loss {mean:.4} tokens {} seconds {:.0}", p.tokens_seen, p.seconds);
            }
            if step.is_multiple_of(STEPS_BETWEEN_CHECKPOINTS) || step == self.recipe.optimizer.steps {
                self.save()?;
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<f32> {
        let settings = &self.recipe.optimizer;
        let mut batches: Vec<Batch> = Vec::with_capacity(BATCHES);
        for _ in 0..BATCHES {
            let (batch, next) = self.documents.batch(self.progress.next_document, settings.batch_tokens)?;
            self.progress.next_document = next;
            self.progress.tokens_seen += batch.tokens.len() as u64;
            batches.push(batch);
        }
        let (loss, grads) = graph::gradients(&self.weights, &self.recipe.shape, &batches)?;
        anyhow::ensure!(loss.is_finite(), "the loss is no longer finite: lower the learning rate");
        let rate = settings.rate(self.progress.step);
        self.optimizer.step(&self.weights, &grads, rate, settings.weight_decay)?;
        self.progress.step += 1;
        Ok(loss)
    }

    /// Writes the checkpoint; `progress.json` comes last, so a torn checkpoint is never resumed from.
    fn save(&self) -> Result<()> {
        let tensors: HashMap<String, Tensor> =
            self.weights.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        candle_core::safetensors::save(&tensors, self.out.join("model.safetensors"))?;
        self.optimizer.save(&self.out.join("optimizer.safetensors"))?;
        self.write("config.json", &config_json(&self.recipe))?;
        self.write("tokenizer.json", &Vocabulary::default().tokenizer_json())?;
        self.write("tokenizer_config.json", &tokenizer_config_json())?;
        self.write("training.json", &self.card()?)?;
        self.write("progress.json", &json!(self.progress))
    }

    fn card(&self) -> Result<serde_json::Value> {
        let parameters: usize = self.weights.values().map(|var| var.elem_count()).sum();
        let embedding = self.weights["model.embed_tokens.weight"].elem_count();
        let file = std::fs::read(self.out.join("model.safetensors"))?;
        Ok(json!({
            "recipe": self.recipe,
            "parameters": parameters,
            "parameters_without_embedding": parameters - embedding,
            "tokens_seen": self.progress.tokens_seen,
            "documents_seen": self.progress.next_document,
            // Six per parameter and token (Kaplan et al. 2020); attention over short documents is left out.
            "training_flop": 6 * parameters as u64 * self.progress.tokens_seen,
            "training_seconds": self.progress.seconds.round(),
            "loss_curve": self.progress.loss_curve,
            "sha256": format!("{:x}", Sha256::digest(file)),
        }))
    }

    fn write(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        let (path, partial) = (self.out.join(name), self.out.join(format!("{name}.partial")));
        std::fs::write(&partial, serde_json::to_string_pretty(value)? + "\n")?;
        std::fs::rename(&partial, &path).with_context(|| format!("{}: cannot be written", path.display()))
    }
}

fn load_weights(weights: &Weights, path: &Path) -> Result<()> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    for (name, var) in weights {
        var.set(tensors.get(name).with_context(|| format!("{}: lacks {name}", path.display()))?)?;
    }
    Ok(())
}

fn config_json(recipe: &Recipe) -> serde_json::Value {
    let (shape, vocabulary) = (&recipe.shape, Vocabulary::default());
    let end = vocabulary.encode(END).map(|ids| ids[0]).unwrap_or_default();
    json!({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "float32",
        "hidden_act": "silu", "attention_bias": false, "tie_word_embeddings": true,
        "vocab_size": vocabulary.size(), "hidden_size": shape.width, "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim, "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta, "max_position_embeddings": CONTEXT, "eos_token_id": end
    })
}

fn tokenizer_config_json() -> serde_json::Value {
    let template = format!(
        "{{%- for message in messages %}}{{%- if message.role == 'user' %}}{USER} {{{{ message.content }}}} \
         {ASSISTANT}{{%- endif %}}{{%- endfor %}}{{%- if add_generation_prompt %}} {THINK}\
         {{%- if enable_thinking is defined and not enable_thinking %}} {END_THINK}{{%- endif %}}{{%- endif %}}"
    );
    json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": template,
           "model_max_length": CONTEXT})
}
