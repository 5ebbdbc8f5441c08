//! Every family against the reference implementation: the same logits and the same greedy tokens.
//!
//! `scripts/parity.py` wrote the references; the checkpoints themselves are made anew from the same hash.

use std::path::Path;

use candle_core::{DType, Device};
use isocost_models::cache::{Cache, Sequence};
use isocost_models::config::Config;
use isocost_models::decoder::{Decoder, Feed};
use isocost_models::weights::Weights;

mod reference;
use reference::{Reference, difference, length, project, tokens, worst};

/// All stored families.
fn families() -> Vec<Reference> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 15, "the references are missing");
    names.iter().map(|name| Reference::open(name)).collect()
}

/// A decoder with an empty cache.
struct Model {
    decoder: Decoder,
    cache: Cache,
}

impl Model {
    fn new(reference: &Reference, dtype: DType) -> Self {
        let folder = tempfile::tempdir().unwrap();
        reference.write_checkpoint(folder.path(), 1);
        Self::load(folder.path(), dtype)
    }

    fn load(folder: &Path, dtype: DType) -> Self {
        let config = Config::read(&folder.join("config.json")).unwrap();
        let weights = Weights::open(folder, Some(dtype), &Device::Cpu).unwrap();
        let decoder = Decoder::load(config, &weights).unwrap();
        let cache = Cache::new(decoder.config(), 8192, dtype, &Device::Cpu).unwrap();
        Self { decoder, cache }
    }

    fn step(&mut self, feeds: &mut [(&mut Sequence, &[u32])]) -> Vec<Vec<f32>> {
        let mut feeds: Vec<Feed> =
            feeds.iter_mut().map(|(sequence, tokens)| Feed { sequence, tokens }).collect();
        self.decoder.step(&mut self.cache, &mut feeds).unwrap().to_vec2().unwrap()
    }

    /// Logits after each of the tokens, of a sequence that is released again.
    fn all(&mut self, ids: &[u32]) -> Vec<Vec<f32>> {
        let mut sequence = Sequence::default();
        let mut feeds = [Feed { sequence: &mut sequence, tokens: ids }];
        let logits = self.decoder.step_with_all_logits(&mut self.cache, &mut feeds).unwrap();
        self.cache.release(sequence);
        logits.to_vec2().unwrap()
    }

    /// The most probable token after `ids`, `count` times over.
    fn greedy(&mut self, sequence: &mut Sequence, ids: &[u32], count: usize) -> Vec<u32> {
        let mut next = ids.to_vec();
        let mut chosen = Vec::new();
        for _ in 0..count {
            let logits = self.step(&mut [(sequence, &next)]);
            chosen.push(best(&logits[0]));
            next = vec![chosen[chosen.len() - 1]];
        }
        chosen
    }
}

fn best(logits: &[f32]) -> u32 {
    let compare = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1);
    logits.iter().enumerate().max_by(compare).unwrap().0 as u32
}

#[test]
fn every_family_gives_the_reference_logits_at_every_position_and_its_greedy_tokens() {
    println!("largest relative error of the logits: f32 at any of 600 positions (and of a shorter prompt)");
    println!("root mean square at positions 1,000 to 1,100: bf16 and f16, each beside the reference's own");
    println!(
        "{:14} {:>8} {:>8} {:>7} {:>18} {:>18}",
        "family", "f32", "short", "greedy", "bf16 (reference)", "f16 (reference)"
    );
    for reference in families() {
        let mut model = Model::new(&reference, DType::F32);
        let error = worst(&model.all(&tokens("prompt", 600)), &reference.rows("prompt"));
        let short = reference
            .short
            .map(|length| worst(&model.all(&tokens("prompt", length)), &reference.rows("short")));
        let expected = reference.greedy();
        let prompt = tokens("prompt", reference.greedy_from);
        let chosen = model.greedy(&mut Sequence::default(), &prompt, expected.len());
        let halves = [DType::BF16, DType::F16].map(|dtype| half_errors(&reference, dtype));
        let equal = chosen.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        let half = |(ours, theirs): (f64, f64)| format!("{ours:.1e} ({theirs:.1e})");
        println!(
            "{:14} {error:>8.1e} {:>8} {equal:>4}/{} {:>18} {:>18}",
            reference.name,
            short.map_or("-".into(), |short| format!("{short:.1e}")),
            expected.len(),
            half(halves[0]),
            half(halves[1])
        );
        assert!(error < 1e-4 && short.unwrap_or(0.0) < 1e-4, "{}: {error:.1e} {short:?}", reference.name);
        assert_eq!(chosen, expected, "{}", reference.name);
        for (ours, theirs) in halves {
            assert!(ours < 1.5 * theirs, "{}: {ours:.1e}, the reference itself {theirs:.1e}", reference.name);
        }
    }
}

/// How far 16-bit numbers lead from the exact logits of the same weights, at positions from 1,000 on: here, and in the
/// reference implementation. Root mean squares over positions.
fn half_errors(reference: &Reference, dtype: DType) -> (f64, f64) {
    let name = if dtype == DType::BF16 { "bf16" } else { "f16" };
    let exact = reference.rows(&format!("{name}.exact"));
    let logits = Model::new(reference, dtype).all(&tokens("long", 1100));
    let logits = &logits[1000..];
    let size = logits.iter().map(|row| length(row).powi(2)).sum::<f64>();
    let spread = |rows: &[Vec<f32>]| {
        let errors = rows.iter().zip(&exact).map(|(row, exact)| difference(row, exact).powi(2));
        (errors.sum::<f64>() / size).sqrt()
    };
    let ours: Vec<Vec<f32>> = logits.iter().map(|row| project(row)).collect();
    (spread(&ours), spread(&reference.rows(&format!("{name}.reference"))))
}

#[test]
fn neighbours_forks_and_truncations_leave_the_greedy_tokens_as_they_are() {
    for reference in families() {
        let mut model = Model::new(&reference, DType::F32);
        let expected = reference.greedy();
        let prompt = tokens("prompt", reference.greedy_from);
        let (mut left, mut middle, mut right) =
            (Sequence::default(), Sequence::default(), Sequence::default());
        let mut feeds = [tokens("left", 37), prompt.clone(), tokens("right", 411)];
        for token in &expected {
            let logits =
                model.step(&mut [(&mut left, &feeds[0]), (&mut middle, &feeds[1]), (&mut right, &feeds[2])]);
            feeds = [0, 1, 2].map(|row| vec![best(&logits[row])]);
            assert_eq!(feeds[1], [*token], "{} beside neighbours", reference.name);
        }
        // Everything but the last chosen token is in the cache.
        let mut fork = model.cache.fork(&middle, prompt.len()).unwrap();
        let forked = model.greedy(&mut fork, &expected[..1], expected.len() - 1);
        assert_eq!(forked, expected[1..], "{} after a fork", reference.name);
        let kept = prompt.len() - 30;
        model.cache.truncate(&mut middle, kept).unwrap();
        let again = model.greedy(&mut middle, &prompt[kept..], expected.len());
        assert_eq!(again, expected, "{} after a truncation", reference.name);
    }
}

#[test]
fn shards_give_what_one_file_gives() {
    for name in ["qwen2", "phi4-mini"] {
        let reference = Reference::open(name);
        let folder = tempfile::tempdir().unwrap();
        reference.write_checkpoint(folder.path(), 3);
        assert!(folder.path().join("model-00003-of-00003.safetensors").is_file());
        let prompt = tokens("prompt", 40);
        let sharded = Model::load(folder.path(), DType::F32).all(&prompt);
        assert_eq!(sharded, Model::new(&reference, DType::F32).all(&prompt));
    }
}

#[test]
fn both_dialects_of_a_configuration_mean_the_same() {
    for reference in families() {
        let path = Path::new("config.json");
        let hub = Config::parse(&reference.config.to_string(), path).unwrap();
        let saved = Config::parse(&reference.config_saved.to_string(), path).unwrap();
        assert_eq!(hub, saved, "{}", reference.name);
    }
}

/// A field of a configuration, and a value that is wrong for it.
type Mistake = (&'static str, fn(&mut Config));

#[test]
fn a_variation_that_is_left_out_shows() {
    let mistakes: [Mistake; 9] = [
        ("qwen2-yarn", |c| c.rotations[0].scaling = isocost_models::rope::Scaling::None),
        ("qwen2-sliding", |c| c.layers.iter_mut().for_each(|layer| layer.window = None)),
        ("qwen2-sliding", |c| c.layers[0].window = Some(70)),
        ("llama3", |c| c.rotations[0].scaling = isocost_models::rope::Scaling::None),
        ("llama-linear", |c| c.rotations[0].scaling = isocost_models::rope::Scaling::None),
        ("smollm3", |c| c.layers[3].rotation = Some(0)),
        ("phi3-sliding", |c| c.layers[1].window = Some(91)),
        ("phi4-mini", |c| {
            if let isocost_models::rope::Scaling::LongRope { near, far, .. } = &mut c.rotations[0].scaling {
                std::mem::swap(near, far);
            }
        }),
        ("gemma3", |c| c.layers[0].rotation = Some(0)),
    ];
    for (name, spoil) in mistakes {
        let reference = Reference::open(name);
        let folder = tempfile::tempdir().unwrap();
        reference.write_checkpoint(folder.path(), 1);
        let mut config = Config::read(&folder.path().join("config.json")).unwrap();
        spoil(&mut config);
        let weights = Weights::open(folder.path(), Some(DType::F32), &Device::Cpu).unwrap();
        let decoder = Decoder::load(config, &weights).unwrap();
        let cache = Cache::new(decoder.config(), 1024, DType::F32, &Device::Cpu).unwrap();
        let error = worst(&Model { decoder, cache }.all(&tokens("prompt", 600)), &reference.rows("prompt"));
        assert!(error > 1e-2, "{name}: an error of {error:.1e} would hardly be seen");
    }
}
