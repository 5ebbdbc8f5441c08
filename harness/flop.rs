//! How many floating-point operations a request takes: a machine-independent cost.
//!
//! A token that is read or sampled multiplies with every weight once, 2 operations each, and attends to the T tokens before
//! it: `2 N + 4 L H d T` (products with keys and with values, 2 operations each; Kaplan et al. 2020, table 1). Summed
//! over a prompt of P tokens that is `2 N P + 2 L H d P^2`. N leaves out an embedding table that is only looked up.
//! At long context the attention term is the larger one for small models, so "2 N per token" would understate
//! long thoughts.

use crate::model_shape::ModelShape;

/// A network whose operations can be counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Weights that every token multiplies with (N).
    weights: f64,
    /// Operations of one token attending to one other, over all layers and heads.
    attention: f64,
}

impl Network {
    /// From the number of parameters, shared ones once, and the shape.
    pub fn new(parameters: u64, shape: &ModelShape) -> Self {
        let looked_up = if shape.tied { 0 } else { shape.vocab * shape.width };
        let attention = 4 * shape.layers * shape.heads * shape.head_dim;
        Self { weights: parameters.saturating_sub(looked_up) as f64, attention: attention as f64 }
    }

    /// Operations of `tokens` tokens that follow `context` others, each attending to all before it.
    pub fn flop(&self, context: f64, tokens: f64) -> f64 {
        2.0 * self.weights * tokens + self.attention * (context * tokens + tokens * tokens / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ModelShape = ModelShape {
        feed_forward: 40,
        layers: 2,
        heads: 3,
        kv_heads: 1,
        head_dim: 5,
        width: 15,
        vocab: 100,
        tied: true,
    };

    #[test]
    fn a_prompt_costs_twice_the_weights_and_a_triangle_of_attention() {
        let network = Network::new(1000, &SHAPE);
        assert_eq!(network.flop(0.0, 10.0), 2.0 * 1000.0 * 10.0 + 2.0 * 2.0 * 3.0 * 5.0 * 100.0);
    }

    #[test]
    fn reading_in_two_parts_costs_what_reading_at_once_costs() {
        let network = Network::new(1000, &SHAPE);
        let parts = network.flop(0.0, 7.0) + network.flop(7.0, 4.0);
        assert!((parts - network.flop(0.0, 11.0)).abs() < 1e-9);
    }

    #[test]
    fn an_embedding_of_its_own_is_looked_up_and_not_multiplied_with() {
        let untied = ModelShape { tied: false, ..SHAPE };
        assert_eq!(Network::new(2500, &untied), Network::new(1000, &SHAPE));
    }

    #[test]
    fn attention_at_8k_tokens_exceeds_the_weights_of_a_600_million_parameter_model() {
        // Qwen3-0.6B: 28 layers, 16 heads of 128, 151,936 tokens, tied; science text: 1.57 times 2N at 8k.
        let shape = ModelShape {
            feed_forward: 3072,
            layers: 28,
            heads: 16,
            kv_heads: 8,
            head_dim: 128,
            width: 1024,
            vocab: 151_936,
            tied: true,
        };
        let one = Network::new(596_049_920, &shape);
        let ratio = (one.flop(8192.0, 1.0) - one.flop(0.0, 1.0)) / one.flop(0.0, 1.0);
        assert!((ratio - 1.57).abs() < 0.03, "{ratio}");
    }
}
