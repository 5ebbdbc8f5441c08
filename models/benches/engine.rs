//! What the engine does over and over: a decoding step, reading a prompt, drawing a token, forking.

use std::hint::black_box;

use candle_core::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isocost_harness::engine::Sampling;
use isocost_models::bundled;
use isocost_models::cache::{Cache, Sequence};
use isocost_models::decoder::{Decoder, Feed};
use isocost_models::sampler;
use isocost_models::throughput;

const ROWS: usize = 16;
const CONTEXT: usize = 300;

fn decoder() -> Decoder {
    let folder = bundled::folder("bundled:reason-l").expect("it comes with the program");
    throughput::open(&folder, None, &Device::Cpu).expect("it is whole")
}

fn rows(decoder: &Decoder, cache: &mut Cache) -> Vec<Sequence> {
    let read = |_| {
        let mut sequence = Sequence::default();
        let mut feeds = [Feed { sequence: &mut sequence, tokens: &[7; CONTEXT] }];
        decoder.step(cache, &mut feeds).expect("there is room");
        sequence
    };
    (0..ROWS).map(read).collect()
}

fn steps(c: &mut Criterion) {
    let decoder = decoder();
    let mut cache = Cache::new(decoder.config(), 16 * 1024, decoder.dtype(), &Device::Cpu).expect("it fits");
    let mut rows = rows(&decoder, &mut cache);
    let mut group = c.benchmark_group("decoder");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("step of 16 rows at 300 tokens", |b| {
        b.iter(|| {
            let mut feeds: Vec<Feed> =
                rows.iter_mut().map(|sequence| Feed { sequence, tokens: &[9] }).collect();
            black_box(decoder.step(&mut cache, &mut feeds).expect("there is room"));
            rows.iter_mut().for_each(|row| cache.take_back(row, CONTEXT));
        });
    });
    group.throughput(Throughput::Elements(CONTEXT as u64));
    group.bench_function("prompt of 300 tokens", |b| {
        b.iter(|| {
            let mut sequence = Sequence::default();
            let mut feeds = [Feed { sequence: &mut sequence, tokens: &[7; CONTEXT] }];
            black_box(decoder.step(&mut cache, &mut feeds).expect("there is room"));
            cache.release(sequence);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("fork of a row", |b| {
        b.iter(|| {
            let fork = cache.fork(&rows[0], CONTEXT).expect("there is room");
            cache.release(black_box(fork));
        });
    });
}

fn draws(c: &mut Criterion) {
    let plain = Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None };
    let greedy = Sampling { temperature: 0.0, ..plain.clone() };
    let filtered = Sampling { top_k: Some(20), top_p: Some(0.95), ..plain.clone() };
    for vocab in [121, 152_000] {
        // As of a trained model: few tokens far above the rest.
        let logit = |i: usize| {
            (i as f32 * 0.377).sin() * 4.0 + ((i * 7919) % 10_007 / 9_900) as f32 * (i % 97) as f32 / 8.0
        };
        let logits: Vec<f32> = (0..vocab).map(logit).collect();
        let mut group = c.benchmark_group(format!("sampler, vocabulary of {vocab}"));
        for (name, sampling) in [("greedy", &greedy), ("temperature", &plain), ("top-k and top-p", &filtered)]
        {
            group.bench_function(name, |b| b.iter(|| sampler::draw(black_box(&logits), sampling, 0.4)));
        }
    }
}

criterion_group!(engine, steps, draws);
criterion_main!(engine);
