//! `compare`: runs of other machines, models or versions against a first one.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use isocost_harness::compare::{
    Asked, Comparison, Gate, Matching, Ruling, Side, compare as compare_runs, differences_table, joint_level,
    tables,
};
use isocost_harness::escape::json;
use isocost_harness::statistics::Level;
use isocost_harness::table::Table;

use crate::cli::{CompareArgs, CompareOutput};
use crate::report::{self, Measured};

/// A run that is compared.
struct Opened {
    name: String,
    measured: Measured,
    asked: Asked,
}

impl Opened {
    fn read(path: &Path) -> Result<Self> {
        let measured = report::measured(path, &[])?;
        if measured.rows.is_empty() {
            bail!("{}: has no complete problem yet: go on with the run first", path.display());
        }
        Ok(Self { name: path.display().to_string(), measured, asked: Asked::read(path)? })
    }

    fn side(&self) -> Side<'_> {
        let Measured { manifest, rows, .. } = &self.measured;
        Side { name: &self.name, manifest, rows, asked: &self.asked }
    }
}

/// Prints what differs and what it did; exit code 1 if a gate fails.
pub(crate) fn compare(args: &CompareArgs) -> Result<ExitCode> {
    let base = Opened::read(&args.base)?;
    let matching = Matching { models: args.pair.clone(), only: args.only.clone() };
    let mut comparisons = Vec::new();
    let mut failures = Vec::new();
    for path in &args.others {
        let other = Opened::read(path)?;
        let at = |level: Level| compare_runs(&base.side(), &other.side(), &matching, level);
        let found = at(Level::default());
        if found.cells.is_empty() {
            bail!("{}: shares no cell with {}: see --pair and --only", other.name, base.name);
        }
        // Wider intervals, so that all cells together seldom raise a false alarm.
        let joint = (!args.fail_on.is_empty()).then(|| at(joint_level(found.cells.len())));
        for gate in &args.fail_on {
            failures.extend(ruled(gate, joint.as_ref().filter(|_| gate.whole_interval).unwrap_or(&found))?);
        }
        comparisons.push(found);
    }
    print(args.output, &comparisons)?;
    failures
        .iter()
        .for_each(|failure| eprintln!("gate failed: {}", isocost_harness::escape::visible(failure)));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cells that fail; it is an error if none can be checked.
fn ruled(gate: &Gate, comparison: &Comparison) -> Result<Vec<String>> {
    let Ruling { checked, failures } = gate.rule(comparison);
    let cells = comparison.cells.len();
    if checked == 0 {
        bail!("--fail-on '{gate}': none of the {cells} compared cells has {} in both runs", gate.metric);
    }
    eprintln!("gate {gate}: {} of {checked} cells fail ({cells} compared)", failures.len());
    Ok(failures)
}

fn print(output: CompareOutput, comparisons: &[Comparison]) -> Result<()> {
    let layout = match output {
        CompareOutput::Json => {
            println!("{}", json(&serde_json::to_string_pretty(comparisons)?));
            return Ok(());
        }
        CompareOutput::Text => Table::terminal,
        CompareOutput::Md => Table::markdown,
    };
    for comparison in comparisons {
        println!("{}", layout(&differences_table(comparison)));
        tables(comparison).iter().for_each(|table| println!("{}", layout(table)));
    }
    Ok(())
}
