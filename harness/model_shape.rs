//! The sizes of a decoder, and what a step must multiply at least.
//!
//! The counts are of a dense decoder with grouped-query attention and a gated feed-forward block (Qwen, Llama).
//! A multiplication with its addition is two FLOP. Norms, rotations and softmax are left out: they are
//! below a percent of the matrices at any size worth measuring.

use serde::{Deserialize, Serialize};

use crate::step::Load;

/// The sizes of a decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Decoder layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub width: u64,
    /// Width inside the feed-forward block.
    pub feed_forward: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// Tokens the network knows.
    pub vocab: u64,
    /// Whether the matrix that makes logits is the embedding.
    pub tied: bool,
}

/// More numbers than the matrices of any network hold; whatever is counted of fewer fits 64 bits.
const MOST_PARAMETERS: f64 = (1u64 << 50) as f64;

impl ModelShape {
    /// Whether a network can have these sizes, which may be a stranger's: none is 0, and all matrices together have fewer
    /// than 2^50 numbers.
    pub fn is_sound(&self) -> bool {
        let Self { layers, width, feed_forward, heads, kv_heads, head_dim, vocab, .. } = *self;
        let sizes = [layers, width, feed_forward, heads, kv_heads, head_dim, vocab];
        let [layers, width, feed_forward, heads, kv_heads, head_dim, vocab] = sizes.map(|size| size as f64);
        let layer = 2.0 * width * head_dim * (heads + kv_heads) + 3.0 * width * feed_forward;
        !sizes.contains(&0) && layers * layer + vocab * width < MOST_PARAMETERS
    }

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
    pub fn flop(&self, load: &Load) -> f64 {
        let matrices = 2.0 * self.layer_parameters() as f64 * f64::from(load.fed_tokens);
        let head = 2.0 * self.head_parameters() as f64 * f64::from(load.rows);
        let of_a_pair = 4 * self.layers * self.heads * self.head_dim;
        matrices + head + of_a_pair as f64 * load.attended_tokens as f64
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
    fn one_decoded_token_costs_two_flop_a_parameter() {
        let shape = qwen_1_5b();
        let mut load = Load::default();
        load.add_row(0, 1);
        let parameters = shape.layer_parameters() + shape.head_parameters();
        assert_eq!(shape.flop(&load), (2 * parameters + 4 * 28 * 12 * 128) as f64);
    }

    #[test]
    fn sizes_that_no_network_has_are_told_before_anything_is_counted_of_them() {
        assert!(qwen_1_5b().is_sound());
        for size in [0, 1 << 40, u64::MAX] {
            let width = ModelShape { width: size, ..qwen_1_5b() };
            let layers = ModelShape { layers: size, ..qwen_1_5b() };
            let vocab = ModelShape { vocab: size, ..qwen_1_5b() };
            assert!(![width, layers, vocab].iter().any(ModelShape::is_sound), "{size}");
        }
    }
}
