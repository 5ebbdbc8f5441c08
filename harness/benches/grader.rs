//! How fast the grader is, over its whole corpus: one element is one grading.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isocost_harness::grader::{Conventions, equivalent, grade_completion};
use serde_json::Value;
use std::hint::black_box;

fn corpus(name: &str, field: &str) -> Vec<(String, String)> {
    let path = format!("{}/tests/grader_corpus/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the corpus is part of the repository");
    let of = |v: &Value, f: &str| v[f].as_str().unwrap_or_default().to_string();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|v| (of(&v, "gold"), of(&v, field)))
        .collect()
}

fn grading(c: &mut Criterion) {
    let conventions = Conventions::default();
    let (answers, completions) = (corpus("answers", "answer"), corpus("completions", "completion"));
    let mut group = c.benchmark_group("grader");
    group.throughput(Throughput::Elements(answers.len() as u64));
    group.bench_function("equivalent", |b| {
        b.iter(|| {
            answers.iter().filter(|(g, a)| equivalent(black_box(g), a, &conventions).is_some()).count()
        });
    });
    group.throughput(Throughput::Elements(completions.len() as u64));
    group.bench_function("grade_completion", |b| {
        b.iter(|| {
            completions.iter().filter(|(g, t)| grade_completion(black_box(g), t, &conventions).equal).count()
        });
    });
    group.finish();
}

criterion_group!(benches, grading);
criterion_main!(benches);
