//! How fast conclusions follow from records: reading them, and the cells with their intervals.

mod synthetic_run;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use isocost_harness::cells::{Known, rows};
use isocost_harness::manifest::read_manifest;
use isocost_harness::observations::Observations;

const RECORDS: usize = 20_000;

fn conclude(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let written = synthetic_run::write(folder.path(), RECORDS).expect("a disk");
    let manifest = read_manifest(folder.path()).expect("the manifest just written");
    let observations = Observations::read(folder.path()).expect("the records just written");
    let mut group = c.benchmark_group("conclude");
    group.sample_size(10).throughput(Throughput::Elements(written as u64));
    group
        .bench_function("read", |b| b.iter(|| black_box(Observations::read(folder.path()).map(|o| o.len()))));
    group.bench_function("cells", |b| {
        b.iter(|| black_box(rows(&manifest.identity.sweep, &observations, &Known::default()).len()));
    });
    group.finish();
}

criterion_group!(benches, conclude);
criterion_main!(benches);
