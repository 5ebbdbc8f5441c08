//! How long the estimators take on a run of millions of trajectories.
//!
//! 10,000 problems x 64 trajectories x 7 budgets are 4.5 million outcomes. What is timed is the way from per-problem
//! tallies, votes and summaries to an interval, as a report computes it.
//!
//! ```text
//! cargo bench -p isocost-harness --bench estimators
//! ```

use criterion::{Criterion, criterion_group, criterion_main};
use isocost_harness::statistics::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;

const PROBLEMS: usize = 10_000;
const TRAJECTORIES: usize = 64;
const BUDGETS: usize = 7;

fn votes(problems: usize) -> Vec<Vec<Vote>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let vote = |p: f64, rng: &mut ChaCha8Rng| {
        let correct = rng.random::<f64>() < p;
        let answer = if correct { Some(0) } else { Some(rng.random_range(1..12usize)).filter(|&a| a < 11) };
        Vote { correct, answer, score: rng.random(), tokens: rng.random_range(50.0..4000.0) }
    };
    let problem = |rng: &mut ChaCha8Rng| {
        let p: f64 = rng.random();
        (0..TRAJECTORIES).map(|_| vote(p, rng)).collect()
    };
    (0..problems).map(|_| problem(&mut rng)).collect()
}

fn curve() -> Curve {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut column = |low: f64, high: f64| (0..PROBLEMS).map(|_| rng.random_range(low..high)).collect();
    let costs: Vec<Vec<f64>> =
        (0..BUDGETS).map(|b| column(100.0 * 2f64.powi(b as i32), 190.0 * 2f64.powi(b as i32))).collect();
    let accuracies: Vec<Vec<f64>> = (0..BUDGETS).map(|b| column(0.0, 0.2 + 0.1 * b as f64)).collect();
    Curve::new(&costs, &accuracies).expect("seven budgets on the same problems")
}

fn closed_forms(c: &mut Criterion) {
    let votes = votes(PROBLEMS);
    let tallies: Vec<Tally> = votes.iter().map(|v| Tally::of(v.iter().map(|v| v.correct))).collect();
    let level = Level::default();
    c.bench_function("accuracy, 10,000 problems", |b| b.iter(|| accuracy(black_box(&tallies), level)));
    let (left, right) = (shares(&tallies).unwrap_or_default(), vec![0.5; PROBLEMS]);
    c.bench_function("paired difference, 10,000 problems", |b| {
        b.iter(|| paired_share_difference(black_box(&left), black_box(&right), level))
    });
    let lengths: Vec<Vec<f64>> = votes.iter().map(|v| v.iter().map(|v| v.tokens).collect()).collect();
    c.bench_function("p99 of 640,000 values", |b| b.iter(|| percentile(black_box(&lengths), 0.99, level)));
}

fn strategies(c: &mut Criterion) {
    let votes = votes(1000);
    let subsets = Subsets::default();
    let mut time = |name: &str, strategy, n| {
        c.bench_function(name, |b| {
            b.iter(|| strategy_accuracy(black_box(&votes), n, strategy, subsets, Level::default()))
        });
    };
    time("pass@32, 1,000 problems x 64", Strategy::PassAtK, 32);
    time("best-of-32, 1,000 problems x 64", Strategy::BestOfN, 32);
    time("maj@8 exact, 1,000 problems x 64", Strategy::Majority, 8);
    time("maj@32 exact, 1,000 problems x 64", Strategy::Majority, 32);
    time("weighted@8, 1,000 subsets, 1,000 problems x 64", Strategy::Weighted, 8);
}

fn resampled(c: &mut Criterion) {
    let curve = curve();
    let bootstrap = Bootstrap::default();
    c.bench_function("slope, jackknife-t, 10,000 problems x 7 budgets", |b| {
        b.iter(|| slope_per_decade(black_box(&curve), bootstrap))
    });
    c.bench_function("slope, 2,000 draws, 10,000 problems x 7 budgets", |b| {
        b.iter(|| slope_per_decade_by(black_box(&curve), bootstrap, Method::Percentile))
    });
    c.bench_function("cost to reach, 2,000 draws, 10,000 problems x 7 budgets", |b| {
        b.iter(|| cost_to_reach(black_box(&curve), 0.25, bootstrap))
    });
    let costs: Vec<f64> = curve.data().rows().map(|row| row[BUDGETS - 1]).collect();
    let correct: Vec<f64> = curve.data().rows().map(|row| row[2 * BUDGETS - 1]).collect();
    c.bench_function("cost per correct, Fieller, 10,000 problems", |b| {
        b.iter(|| cost_per_correct(black_box(&costs), black_box(&correct), Level::default()))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = closed_forms, strategies, resampled
}
criterion_main!(benches);
