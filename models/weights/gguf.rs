//! Weights in a GGUF file, under the names that the hub's checkpoints use.
//!
//! The converter that makes GGUF files renames every weight and, for Llama only, reorders the rows of query
//! and key: it interleaves the two halves of each head, since llama.cpp turns neighbouring numbers where everybody
//! else turns a head's halves. Rows are whole blocks, so the order is restored without touching a number.

use std::sync::Arc;

use super::mapped::Mapped;
use super::stored::{Raw, Stored};
use crate::gguf::{Entry, Header};
use crate::load::LoadError;

/// A mapped GGUF file.
pub(super) struct GgufFile {
    file: Mapped,
    header: Arc<Header>,
}

/// Ours, theirs.
const LAYER_NAMES: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
const NAMES: [(&str, &str); 4] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
    ("rope_freqs.weight", "rope_freqs.weight"),
];

impl GgufFile {
    pub(super) fn new(file: Mapped, header: Arc<Header>) -> Self {
        Self { file, header }
    }

    pub(super) fn file(&self) -> &Mapped {
        &self.file
    }

    /// The names of all weights, as the hub has them where they have one.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.header.tensors.keys().map(|name| ours(name).unwrap_or_else(|| name.clone()))
    }

    /// The bytes of a weight by its name on the hub.
    pub(super) fn raw(&self, name: &str) -> Result<Option<Raw<'_>>, LoadError> {
        let Some(name) = theirs(name) else { return Ok(None) };
        let Some(entry) = self.header.tensors.get(&name) else { return Ok(None) };
        let fail = |message: String| LoadError::malformed(self.file.path(), &message);
        let dtype = entry.dtype().map_err(|kind| {
            let what = format!("the quantisation of `{name}`, {kind},");
            LoadError::unsupported(self.file.path(), &what)
        })?;
        let size = entry.size_in_bytes(dtype);
        let size = size.ok_or_else(|| fail(format!("`{name}` {:?} is not whole blocks", entry.shape)))?;
        let bytes = self.bytes(entry, size).ok_or_else(|| {
            fail(format!("`{name}` lies outside the file, or not on a boundary: its offset is wrong"))
        })?;
        Ok(Some(Raw { stored: Stored::of(dtype), shape: entry.shape.clone(), bytes, file: &self.file }))
    }

    fn bytes(&self, entry: &Entry, size: u64) -> Option<&[u8]> {
        let start = self.header.data_start.checked_add(entry.offset)?;
        let range = usize::try_from(start).ok()?..usize::try_from(start.checked_add(size)?).ok()?;
        if !entry.offset.is_multiple_of(8) { None } else { self.file.bytes().get(range) }
    }

    /// In Llama files, how many heads the rows of this weight belong to.
    pub(super) fn interleaved_heads(&self, name: &str) -> Option<usize> {
        if self.header.text("general.architecture") != Some("llama") {
            return None;
        }
        let count = |key: &str| self.header.number(key).map(|heads| heads as usize);
        let queries = count("llama.attention.head_count");
        if name.contains("q_proj") {
            queries
        } else if name.contains("k_proj") {
            count("llama.attention.head_count_kv").or(queries)
        } else {
            None
        }
    }
}

/// `model.layers.3.mlp.up_proj.weight` is `blk.3.ffn_up.weight`.
pub(crate) fn theirs(name: &str) -> Option<String> {
    if let Some((_, theirs)) = NAMES.iter().find(|(ours, _)| *ours == name) {
        return Some((*theirs).to_owned());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, end) = rest.rsplit_once('.')?;
    let (_, theirs) = LAYER_NAMES.iter().find(|(ours, _)| *ours == part)?;
    Some(format!("blk.{layer}.{theirs}.{end}"))
}

fn ours(name: &str) -> Option<String> {
    if let Some((ours, _)) = NAMES.iter().find(|(_, theirs)| *theirs == name) {
        return Some((*ours).to_owned());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, end) = rest.split_once('.')?;
    let (ours, _) = LAYER_NAMES.iter().find(|(_, theirs)| *theirs == part)?;
    Some(format!("model.layers.{layer}.{ours}.{end}"))
}

/// Brings rows back from interleaved halves (0, half, 1, half + 1, ..) to one half after the other.
pub(super) fn halves(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (width, half) = (bytes.len() / rows, rows / heads / 2);
    let mut out = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let (head, within) = (row / (2 * half), row % (2 * half));
        let from = head * 2 * half + 2 * (within % half) + within / half;
        out.extend_from_slice(&bytes[from * width..][..width]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_worlds_are_each_others_translation() {
        let name = "model.layers.12.self_attn.q_norm.weight";
        assert_eq!(theirs(name).as_deref(), Some("blk.12.attn_q_norm.weight"));
        assert_eq!(theirs(name).and_then(|theirs| ours(&theirs)).as_deref(), Some(name));
        assert_eq!(theirs("vision_tower.weight"), None);
        assert_eq!(ours("blk.0.ffn_gate_exps.weight"), None);
    }

    #[test]
    fn interleaved_rows_become_halves_again() {
        // Two heads of four rows: the converter wrote rows 0 2 1 3 of each.
        let interleaved = [0, 2, 1, 3, 4, 6, 5, 7];
        assert_eq!(halves(&interleaved, 8, 2), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
