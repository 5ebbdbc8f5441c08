//! `report`: tables and pictures from a run directory alone.

use std::path::Path;

use anyhow::Result;
use isocost_harness::cells;
use isocost_harness::run_directory::{read_manifest, read_records};

/// Writes the run's tables and prints the short one.
pub(crate) fn report(path: &Path) -> Result<()> {
    let manifest = read_manifest(path)?;
    let records = read_records(path)?;
    let sweep = &manifest.identity.sweep;
    let rows = cells::rows(sweep, &records);
    for row in &rows {
        let a = row.accuracy.map(|a| format!("{:.3} [{:.3} {:.3}]", a.value, a.ci_low, a.ci_high));
        let c = &row.cell;
        println!(
            "{:10} {:12} {:>4} n={:<3} {:9} {:22} r={:6.1} a={:5.1} s={:.4} usd={:?}",
            c.model,
            c.task,
            c.budget.to_string(),
            c.n,
            c.strategy.name(),
            a.unwrap_or_default(),
            row.reasoning_tokens_mean,
            row.answer_tokens_mean,
            row.device_s_mean,
            row.usd_per_correct.map(|u| u.value)
        );
    }
    for e in cells::economy(sweep, &records) {
        println!("{e:?}");
    }
    Ok(())
}
