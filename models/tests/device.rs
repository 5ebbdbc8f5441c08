//! A GPU gives what the processor gives: the same logits up to rounding, and the same greedy tokens.
//!
//! `ISOCOST_TEST_DEVICE` names the device (`cuda`, `cuda:1`, `metal`); without it the test says so and is skipped, but the
//! comparison itself is checked on the processor, where other batches must give the same.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Generated, Sampling, Settings};
use isocost_models::bundled;
use isocost_models::cache::{Cache, Sequence};
use isocost_models::config::Config;
use isocost_models::decoder::{Decoder, Feed};
use isocost_models::device::{DeviceChoice, describe};
use isocost_models::sampler::{self, Place};
use isocost_models::scheduler::{Markers, Prompt, Scheduler};
use isocost_models::weights::Weights;

mod reference;
use reference::{Reference, length, tokens as words_of};

/// The device under test, if one is named.
fn device() -> Option<Device> {
    let Ok(name) = std::env::var("ISOCOST_TEST_DEVICE") else {
        eprintln!("skipped: ISOCOST_TEST_DEVICE names no device");
        return None;
    };
    Some(name.parse::<DeviceChoice>().unwrap().open().unwrap())
}

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
    let Some(device) = device() else { return };
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

/// Logits of one batch over some steps whose tokens are given: prompts of two lengths, forks that share a part of the
/// first, and decoding, with fewer and fewer rows: few are calculated in a way of their own.
fn given_walk(reference: &Reference, dtype: DType, device: &Device) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    reference.write_checkpoint(folder.path(), 1);
    let config = Config::read(&folder.path().join("config.json")).unwrap();
    let weights = Weights::open(folder.path(), Some(dtype), device).unwrap();
    let decoder = Decoder::load(config, &weights).unwrap();
    let mut cache = Cache::new(decoder.config(), 4096, dtype, device).unwrap();
    let mut rows =
        vec![(Sequence::default(), words_of("long", 150)), (Sequence::default(), words_of("short", 37))];
    let mut all = Vec::new();
    for step in 0..10 {
        let live = rows.len().min(10 - step);
        let mut feeds: Vec<Feed> =
            rows[..live].iter_mut().map(|(sequence, tokens)| Feed { sequence, tokens }).collect();
        all.extend(decoder.step(&mut cache, &mut feeds).unwrap().to_vec2::<f32>().unwrap());
        if step == 0 {
            for len in [100, 128, 140] {
                rows.push((cache.fork(&rows[0].0, len).unwrap(), vec![]));
            }
        }
        let next = words_of(&format!("step {step}"), rows.len());
        rows.iter_mut().zip(next).for_each(|((_, tokens), next)| *tokens = vec![next]);
    }
    all
}

/// Root mean square of the differences, relative to the rows' lengths.
fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    assert_eq!(a.len(), b.len());
    let row = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        (length(&difference) / length(b)).powi(2)
    };
    (a.iter().zip(b).map(row).sum::<f64>() / a.len() as f64).sqrt()
}

#[test]
fn every_family_and_type_gives_the_logits_of_the_processor() {
    let Some(device) = device() else { return };
    let plain = ["gemma3", "llama-linear", "llama3", "phi3-sliding", "phi4-mini", "qwen2", "qwen2-sliding"];
    let plain =
        plain.into_iter().chain(["qwen2-yarn", "qwen3", "qwen3-yarn", "smollm3"]).map(Reference::open);
    let wide = [("qwen3", 2), ("qwen3", 4), ("gemma3", 4), ("qwen3", 3)];
    let wide = wide.map(|(name, factor)| Reference::open(name).with_wider_heads(factor));
    for reference in plain.chain(wide) {
        let truth = given_walk(&reference, DType::F32, &Device::Cpu);
        let exact = apart(&given_walk(&reference, DType::F32, &device), &truth);
        assert!(exact < 1e-5, "{}: {exact:.1e}", reference.name);
        let halves = [DType::BF16, DType::F16].map(|dtype| {
            let here = apart(&given_walk(&reference, dtype, &Device::Cpu), &truth);
            let there = apart(&given_walk(&reference, dtype, &device), &truth);
            // The processor rounds weights, keys and values; a GPU also what goes from one operation to the next.
            assert!(there < 3.0 * here, "{} {dtype:?}: {there:.1e}, here {here:.1e}", reference.name);
            format!("{dtype:?} {there:.1e} (here {here:.1e})")
        });
        println!("{}: f32 {exact:.1e}, {}, {}", reference.name, halves[0], halves[1]);
    }
}

#[test]
fn the_device_draws_the_tokens_that_the_processor_draws() {
    let Some(device) = device() else { return };
    let (rows, vocab) = (5, 5_000);
    let words = reference::words("logits", rows * vocab);
    let logits: Vec<f32> = words.map(|word| (word >> 40) as f32 / (1 << 21) as f32).collect();
    let logits = Tensor::from_vec(logits, (rows, vocab), &Device::Cpu).unwrap();
    let there = logits.to_device(&device).unwrap();
    let places: Vec<Place> =
        (0..20).map(|i| Place { row: i % rows, u: (i as f64 * 0.618_033_988_749).fract() }).collect();
    for temperature in [0.0, 0.6, 1.0] {
        for (top_k, top_p, min_p) in [
            (None, None, None),
            (Some(20), None, None),
            (None, Some(0.95), None),
            (None, None, Some(0.1)),
            (Some(20), Some(0.8), Some(0.05)),
        ] {
            let sampling = Sampling { temperature, top_k, top_p, min_p };
            let expected = sampler::draw_rows(&logits, &places, &sampling).unwrap();
            let drawn = sampler::draw_rows(&there, &places, &sampling).unwrap();
            for (a, b) in drawn.iter().zip(&expected) {
                assert_eq!(a.token, b.token, "{sampling:?}");
                assert!((a.logprob - b.logprob).abs() < 1e-5, "{a:?} {b:?}");
            }
        }
    }
}

/// Trajectories of two prompts, with forks at two budgets.
fn sweep(device: &Device) -> Vec<Generated> {
    let decoder = decoder("reason-s", device);
    let mut cache = Cache::new(decoder.config(), 8192, DType::F32, device).unwrap();
    let settings = Settings {
        budgets: [0, 7, 20].map(Budget::Tokens).to_vec(),
        policy: Policy::ForceAnswer,
        answer_tokens: 6,
        waits: 0,
        sampling: Sampling { temperature: 0.8, top_k: Some(20), top_p: Some(0.95), min_p: None },
        seed: 1,
    };
    let markers = Markers { forced: vec![3, 4], ..Markers::default() };
    let prompt = |number: usize| Prompt {
        problem: format!("problem {number}"),
        thinking: tokens(40 + 30 * number, decoder.config().vocab, number),
        direct: tokens(20, decoder.config().vocab, number),
        trajectories: vec![0, 1, 2],
    };
    let prompts = [prompt(0), prompt(1)];
    let mut all = Vec::new();
    Scheduler::new(&decoder, &mut cache, &markers, &settings, 6)
        .run(&prompts, &mut |generated| {
            all.push(generated);
            ControlFlow::Continue(())
        })
        .unwrap();
    all.sort_by_key(|generated| (generated.job, generated.trajectory));
    all
}

#[test]
fn a_sweep_samples_the_same_thoughts_and_answers_on_the_device() {
    let Some(device) = device() else { return };
    let (here, there) = (sweep(&Device::Cpu), sweep(&device));
    assert_eq!(here.len(), 6);
    for (a, b) in here.iter().zip(&there) {
        assert_eq!(a.reasoning_ids, b.reasoning_ids);
        let answers =
            |generated: &Generated| generated.answers.iter().map(|a| a.ids.clone()).collect::<Vec<_>>();
        assert_eq!(answers(a), answers(b));
    }
}
