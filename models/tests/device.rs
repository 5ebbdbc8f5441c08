//! A GPU gives what the processor gives: the same logits up to rounding, and the same greedy tokens.
//!
//! `ISOCOST_TEST_DEVICE` names the device (`cuda`, `cuda:1`, `metal`); without it the test says so and is skipped, but the
//! comparison itself is checked on the processor, where other batches must give the same.

use candle_core::{DType, Device};
use isocost_models::bundled;
use isocost_models::cache::{Cache, Sequence};
use isocost_models::config::Config;
use isocost_models::decoder::{Decoder, Feed};
use isocost_models::device::{DeviceChoice, describe};
use isocost_models::weights::Weights;

/// Largest difference, relative to the largest logit, that rounding in `f32` explains.
const TOLERANCE: f32 = 1e-4;

fn decoder(name: &str, device: &Device) -> Decoder {
    let folder = bundled::folder(&format!("bundled:{name}")).unwrap();
    let config = Config::read(&folder.join("config.json")).unwrap();
    let weights = Weights::open(&folder, Some(DType::F32), device).unwrap();
    Decoder::load(config, &weights).unwrap()
}

/// Ids that look like nothing in particular.
fn tokens(count: usize, vocab: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * i * 7 + i * 13 + seed * 31) % vocab) as u32).collect()
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32
}

/// Logits after prompts of several lengths in one batch, then after a fork and a truncation, then of greedy steps.
fn walk(decoder: &Decoder) -> Vec<Vec<f32>> {
    let (config, device) = (decoder.config(), decoder.device());
    let mut cache = Cache::new(config, 4096, decoder.dtype(), device).unwrap();
    let mut all = Vec::new();
    let mut step = |cache: &mut Cache, rows: &mut [(Sequence, Vec<u32>)]| {
        let mut feeds: Vec<Feed> =
            rows.iter_mut().map(|(sequence, tokens)| Feed { sequence, tokens }).collect();
        let logits = decoder.step(cache, &mut feeds).unwrap().to_vec2::<f32>().unwrap();
        all.extend(logits.iter().cloned());
        logits
    };
    let mut rows: Vec<_> =
        [600, 1, 17, 256].iter().map(|n| (Sequence::default(), tokens(*n, config.vocab, *n))).collect();
    step(&mut cache, &mut rows);
    let fork = cache.fork(&rows[0].0, 333).unwrap();
    cache.truncate(&mut rows[3].0, 100).unwrap();
    rows.push((fork, vec![]));
    rows.iter_mut().for_each(|(_, tokens)| *tokens = vec![5, 6, 7]);
    let mut logits = step(&mut cache, &mut rows);
    for _ in 0..64 {
        rows.iter_mut().zip(&logits).for_each(|((_, tokens), logits)| *tokens = vec![argmax(logits)]);
        logits = step(&mut cache, &mut rows);
    }
    all
}

/// The largest difference, relative to the largest logit of its row; infinite where greedy tokens differ.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let row = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let largest = a.iter().fold(0f32, |most, x| most.max(x.abs()));
        let apart = a.iter().zip(b).fold(0f32, |most, (x, y)| most.max((x - y).abs()));
        if argmax(a) == argmax(b) { apart / largest } else { f32::INFINITY }
    };
    a.iter().zip(b).map(row).fold(0f32, f32::max)
}

#[test]
fn the_device_gives_the_logits_and_greedy_tokens_of_the_processor() {
    let Ok(name) = std::env::var("ISOCOST_TEST_DEVICE") else {
        eprintln!("skipped: ISOCOST_TEST_DEVICE names no device");
        return;
    };
    let device = name.parse::<DeviceChoice>().unwrap().open().unwrap();
    for model in ["reason-l", "reason-s", "direct-m"] {
        let (here, there) = (walk(&decoder(model, &Device::Cpu)), walk(&decoder(model, &device)));
        let apart = difference(&here, &there);
        println!(
            "{model} on {}: largest relative difference {apart:.1e} in {} rows",
            describe(&device),
            here.len()
        );
        assert!(apart < TOLERANCE, "{model}: {apart}");
    }
}

#[test]
fn the_comparison_sees_a_wrong_logit_and_a_wrong_token() {
    let a = walk(&decoder("reason-s", &Device::Cpu));
    assert_eq!(a.len(), 4 + 5 * 65);
    assert_eq!(difference(&a, &walk(&decoder("reason-s", &Device::Cpu))), 0.0);
    let mut b = a.clone();
    b[40][3] += 0.01;
    assert!(difference(&a, &b) > TOLERANCE);
    let best = argmax(&b[100]) as usize;
    b[100][best] = -100.0;
    assert!(difference(&a, &b).is_infinite());
}
