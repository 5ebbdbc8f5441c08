//! What conclusions cost in time and memory at a million trajectories.
//!
//! ```text
//! cargo run --release -p isocost-harness --example million_records -- FOLDER [RECORDS]
//! isocost report FOLDER
//! ```
//!
//! Writes a synthetic run into FOLDER unless one is there, then concludes from it in this process: reading, the cells
//! with their intervals, the economy, the claims, the CSV files. Prints the seconds of each part and the peak
//! memory of the process (Linux: `VmHWM`; writing holds one record at a time and does not count).

#[path = "../benches/synthetic_run/mod.rs"]
mod synthetic_run;

use std::path::PathBuf;
use std::time::Instant;

use isocost_harness::cells::{Known, economy, rows};
use isocost_harness::cells_csv::{cells_csv, prices_csv};
use isocost_harness::claims::{evidence::Evidence, lineup::Lineup, verdict::findings};
use isocost_harness::manifest::read_manifest;
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::observations::Observations;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/million".into()));
    let wanted = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    if !folder.join("manifest.json").exists() {
        println!("{} records written", synthetic_run::write(&folder, wanted)?);
    }
    let manifest = read_manifest(&folder)?;
    let (sweep, models) = (&manifest.identity.sweep, &manifest.identity.models);
    let of =
        |(name, value): (&String, &serde_json::Value)| (name.clone(), ModelFacts::new(Some(value), None));
    let known = Known { models: models.iter().map(of).collect(), ..Known::default() };
    let start = Instant::now();
    let observations = timed("reading", || Observations::read(&folder))?;
    let rows = timed("cells", || rows(sweep, &observations, &known));
    let economy = timed("economy", || economy(sweep, &observations));
    let lineup = Lineup::new(sweep, &known.models, |task| observations.seeds(task));
    let evidence = timed("evidence", || Evidence::new(&lineup, &observations));
    let found = timed("claims", || findings(&evidence));
    let text = timed("csv", || cells_csv(&rows) + &prices_csv(&rows));
    println!(
        "{} records, {} cells, {} economies, {} claims, {} bytes: {:.2} s, peak {}",
        observations.len(),
        rows.len(),
        economy.len(),
        found.len(),
        text.len(),
        start.elapsed().as_secs_f64(),
        peak_memory()
    );
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!("{what:10} {:6.2} s  peak {}", start.elapsed().as_secs_f64(), peak_memory());
    done
}

/// Largest resident memory of this process so far.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".into(), |kilobytes| kilobytes.trim().to_owned())
}
