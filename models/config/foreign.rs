//! Keys of a `config.json` that change the calculation in families that have them, and that the decoder does not follow.
//!
//! Most keys say nothing about the network, and new ones of that kind appear with every release of `transformers`; so what is
//! not known is ignored, and what is known to matter elsewhere is refused where it would be ignored.

use serde_json::Value;

/// Keys that must be absent, null, false or 0: experts (Qwen3-MoE, Mixtral, DeepSeek), compressed attention (DeepSeek), a scale
/// of its own (Granite), clipped or chunked or two-sided attention, blocks side by side (Falcon, GPT-NeoX, Cohere).
const SWITCHES: [&str; 14] = [
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "q_lora_rank",
    "kv_lora_rank",
    "attention_multiplier",
    "attention_chunk_size",
    "clip_qkv",
    "alibi",
    "parallel_attn",
    "use_parallel_residual",
    "use_bidirectional_attention",
    "add_cross_attention",
    "logits_soft_cap",
];

/// Keys that must be absent, null or 1: factors of Cohere, Granite, MiniCPM and Falcon-H1.
const FACTORS: [&str; 7] = [
    "logit_scale",
    "logits_scaling",
    "residual_multiplier",
    "embedding_multiplier",
    "lm_head_multiplier",
    "scale_emb",
    "scale_depth",
];

/// Keys that normalise queries and keys: they must say what the family does anyway (OLMoE, Cohere).
const QK_NORM: [&str; 2] = ["qk_norm", "use_qk_norm"];

/// A key with its value that asks for what the decoder does not do; `qk_norm` says whether the family normalises queries and keys.
pub(super) fn foreign_key(config: &Value, qk_norm: bool) -> Option<String> {
    let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    // Phi rotates a part of each head; the others, where they are at home, all of it.
    let part = Some("partial_rotary_factor").filter(|_| family != "phi3");
    let switches = SWITCHES.map(|key| (key, 0.0));
    let factors = FACTORS.into_iter().chain(part).map(|key| (key, 1.0));
    let norms = QK_NORM.map(|key| (key, f64::from(u8::from(qk_norm))));
    let all = switches.into_iter().chain(factors).chain(norms);
    let changes = |(key, neutral): (&str, f64)| {
        let value = config.get(key).filter(|value| !value.is_null() && number(value) != Some(neutral))?;
        Some(format!("`{key}: {value}` in {family}"))
    };
    all.into_iter().find_map(changes)
}

/// A number, or a switch as one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_bool().map(|on| f64::from(u8::from(on))))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    const QWEN3: &str = include_str!("../bundled/reason-s/config.json");

    fn with(key: &str, value: &str) -> Result<Config, String> {
        let text = QWEN3.replacen('{', &format!("{{\"{key}\": {value},"), 1);
        Config::parse(&text, Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_other_families_that_change_the_calculation_are_refused() {
        for (key, value) in [
            ("num_experts", "8"),
            ("partial_rotary_factor", "0.5"),
            ("logit_scale", "2.0"),
            ("residual_multiplier", "0.2"),
            ("qk_norm", "false"),
            ("clip_qkv", "\"8\""),
        ] {
            let refused = with(key, value).unwrap_err();
            assert!(refused.contains(key) && refused.contains("config.json"), "{refused}");
        }
    }

    #[test]
    fn keys_that_change_nothing_and_keys_of_nobody_are_ignored() {
        let plain = Config::parse(QWEN3, Path::new("config.json")).unwrap();
        for (key, value) in [
            ("num_experts", "null"),
            ("num_local_experts", "0"),
            ("logit_scale", "1.0"),
            ("qk_norm", "true"),
            ("use_bidirectional_attention", "false"),
            ("use_cache", "false"),
            ("anything", "{}"),
        ] {
            assert_eq!(with(key, value).unwrap(), plain, "{key}");
        }
    }
}
