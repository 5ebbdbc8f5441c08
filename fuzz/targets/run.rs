//! A run directory: a manifest, records and surfaces, parted by empty lines, from which cells and waits are concluded.

#![no_main]

use isocost_harness::cells::{Known, rows};
use isocost_harness::cells_csv::cells_csv;
use isocost_harness::conditions;
use isocost_harness::damage;
use isocost_harness::latency_rows::{latency_csv, latency_rows};
use isocost_harness::manifest::read_manifest;
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::observations::Observations;
use isocost_harness::replay::Serving;
use isocost_harness::run_directory::read_records;
use isocost_harness::surface::Surface;
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 3] = ["manifest.json", "trajectories.jsonl", "surface.json"];

fuzz_target!(|text: &str| {
    let run = tempfile::tempdir().expect("a folder");
    let run = run.path();
    let parts = text.splitn(FILES.len(), "\n\n").chain(std::iter::repeat(""));
    for (name, part) in FILES.iter().zip(parts) {
        std::fs::write(run.join(name), part).expect("room for a file");
    }
    let Ok(manifest) = read_manifest(run) else { return };
    let observations = Observations::read(run).expect("records");
    let records = read_records(run).expect("records");
    // A text that is not one is seen where it is read.
    assert!(records.len() <= observations.len());
    let sweep = &manifest.identity.sweep;
    let facts = |(name, facts): (&String, _)| (name.clone(), ModelFacts::new(Some(facts), None));
    let known = Known { models: manifest.identity.models.iter().map(facts).collect(), ..Known::default() };
    let cells = rows(sweep, &observations, &known);
    cells_csv(&cells);
    conditions::all(&manifest);
    conditions::conditions(&manifest, &cells);
    damage::sentences(run, &observations).expect("sentences");
    let surfaces = Surface::read_all(&run.join("surface.json")).unwrap_or_default();
    let is_short = |tokens: u32| tokens < 10_000;
    if records.iter().all(|record| {
        is_short(record.reasoning_tokens)
            && record.answers.iter().all(|a| is_short(a.answer_tokens) && is_short(a.reasoning_tokens))
    }) {
        latency_csv(&latency_rows(&manifest, &records, &surfaces, Serving::OneUser { rows: 8 }));
    }
});
