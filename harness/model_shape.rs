//! The sizes of a decoder, and what a step must multiply at least.
//!
//! The counts are of a dense decoder with grouped-query attention and a gated feed-forward block (Qwen, Llama).
//! A multiplication with its addition is two FLOP. Norms, rotations and softmax are left out: they are
//! below a percent of the matrices at any size worth measuring.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::step::Load;

/// The sizes of a decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Decoder layers.
    #[serde(deserialize_with = "up_to::<4096, _>")]
    pub layers: u64,
    /// Width of the residual stream.
    #[serde(deserialize_with = "up_to::<1_048_576, _>")]
    pub width: u64,
    /// Width inside the feed-forward block.
    #[serde(deserialize_with = "up_to::<1_048_576, _>")]
    pub feed_forward: u64,
    /// Query heads.
    #[serde(deserialize_with = "up_to::<4096, _>")]
    pub heads: u64,
    /// Key and value heads.
    #[serde(deserialize_with = "up_to::<4096, _>")]
    pub kv_heads: u64,
    /// Width of a head.
    #[serde(deserialize_with = "up_to::<4096, _>")]
    pub head_dim: u64,
    /// Tokens the network knows.
    #[serde(deserialize_with = "up_to::<1_048_576, _>")]
    pub vocab: u64,
    /// Whether the matrix that makes logits is the embedding.
    pub tied: bool,
}

/// A size that some model may have: it may be anybody's file, and what is counted from sizes must fit its number.
fn up_to<'de, const MOST: u64, D: Deserializer<'de>>(sizes: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(sizes)?;
    if size <= MOST { Ok(size) } else { Err(D::Error::custom(format!("no model has a size of {size}"))) }
}

impl ModelShape {
    /// Numbers in the matrices of all layers: queries, keys, values, output, and the three of the feed-forward block.
    pub fn layer_parameters(&self) -> u64 {
        let attention = 2 * self.width * self.head_dim * (self.heads + self.kv_heads);
        self.layers * (attention + 3 * self.width * self.feed_forward)
    }

    /// Numbers in the matrix that makes logits.
    pub fn head_parameters(&self) -> u64 {
        self.vocab * self.width
    }

    /// Bytes of one token's keys and values, at `element_bytes` a number.
    pub fn kv_bytes_per_token(&self, element_bytes: u64) -> u64 {
        2 * self.layers * self.kv_heads * self.head_dim * element_bytes
    }

    /// FLOP of a step: 2 for each weight and new token (the head only for each row), and 4 for each pair of
    /// tokens, head and dimension (scores and weighted values).
    pub fn flop(&self, load: &Load) -> u64 {
        let matrices = (2 * self.layer_parameters()).saturating_mul(u64::from(load.fed_tokens));
        let head = (2 * self.head_parameters()).saturating_mul(u64::from(load.rows));
        let attention = (4 * self.layers * self.heads * self.head_dim).saturating_mul(load.attended_tokens);
        matrices.saturating_add(head).saturating_add(attention)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Qwen2.5-1.5B and what is distilled into it.
    pub(crate) fn qwen_1_5b() -> ModelShape {
        ModelShape {
            layers: 28,
            width: 1536,
            feed_forward: 8960,
            heads: 12,
            kv_heads: 2,
            head_dim: 128,
            vocab: 151_936,
            tied: true,
        }
    }

    #[test]
    fn the_counts_are_those_of_a_published_model() {
        let shape = qwen_1_5b();
        // 1.31 billion parameters without the embedding, says its card; 28 kB of bf16 cache a token.
        assert_eq!(shape.layer_parameters(), 1_310_195_712);
        assert_eq!(shape.kv_bytes_per_token(2), 28_672);
    }

    #[test]
    fn a_size_that_no_model_has_is_not_read_and_the_largest_steps_still_are_numbers() {
        let read = |name: &str, size: u64| {
            let mut shape = serde_json::to_value(qwen_1_5b()).unwrap();
            shape[name] = size.into();
            serde_json::from_value::<ModelShape>(shape)
        };
        assert!(read("layers", 4096).is_ok() && read("vocab", 1 << 20).is_ok());
        assert!(read("layers", 4097).unwrap_err().to_string().contains("no model has a size of 4097"));
        assert!(read("width", u64::MAX).is_err());
        let most =
            Load { rows: u32::MAX, fed_tokens: u32::MAX, attended_tokens: u64::MAX, ..Load::default() };
        assert_eq!(qwen_1_5b().flop(&most), u64::MAX);
    }

    #[test]
    fn one_decoded_token_costs_two_flop_a_parameter() {
        let shape = qwen_1_5b();
        let mut load = Load::default();
        load.add_row(0, 1);
        let parameters = shape.layer_parameters() + shape.head_parameters();
        assert_eq!(shape.flop(&load), 2 * parameters + 4 * 28 * 12 * 128);
    }
}
