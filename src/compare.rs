//! `compare`: runs of other machines, models or versions against a first one.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use isocost_harness::compare::{
    Asked, Comparison, Gate, Matching, Ruling, Side, compare as compare_runs, differences_table, joint_level,
    tables,
};
use isocost_harness::escape::json;
use isocost_harness::manifest::read_manifest;
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
        Ok(Self { name: path.display().to_string(), measured, asked: Asked::read(path)? })
    }

    fn side(&self) -> Side<'_> {
        let Measured { manifest, rows, .. } = &self.measured;
        Side { name: &self.name, manifest, rows, asked: &self.asked }
    }
}

/// Prints what differs and what it did; exit code 1 if a gate fails.
pub(crate) fn compare(args: &CompareArgs) -> Result<ExitCode> {
    check_pairs(args)?;
    let base = Opened::read(&args.base)?;
    let matching = Matching { models: args.pair.clone(), only: args.only.clone() };
    let (mut comparisons, mut joint) = (Vec::new(), Vec::new());
    for path in &args.others {
        let other = Opened::read(path)?;
        let at = |level: Level| compare_runs(&base.side(), &other.side(), &matching, level);
        let found = at(Level::default());
        if found.cells.is_empty() {
            bail!("{}: shares no cell with {}: see --pair and --only", other.name, base.name);
        }
        // Wider intervals, so that all cells together seldom raise a false alarm.
        let widens = args.fail_on.iter().any(|gate| gate.whole_interval);
        joint.push(widens.then(|| at(joint_level(found.cells.len()))));
        comparisons.push(found);
    }
    print(args.output, &comparisons)?;
    let mut failures = Vec::new();
    for (found, joint) in comparisons.iter().zip(&joint) {
        for gate in &args.fail_on {
            failures.extend(ruled(gate, joint.as_ref().filter(|_| gate.whole_interval).unwrap_or(found))?);
        }
    }
    failures
        .iter()
        .for_each(|failure| eprintln!("gate failed: {}", isocost_harness::escape::visible(failure)));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every model of a pair is one of the run's.
fn check_pairs(args: &CompareArgs) -> Result<()> {
    let others = args.others.iter().map(|run| models(run)).collect::<Result<Vec<_>>>()?.concat();
    let base = if args.pair.is_empty() { Vec::new() } else { models(&args.base)? };
    for (left, right) in &args.pair {
        for (name, known) in [(left, &base), (right, &others)] {
            if !known.contains(name) {
                bail!("--pair {left}={right}: there is no model `{name}` there, but {}", known.join(", "));
            }
        }
    }
    Ok(())
}

fn models(run: &Path) -> Result<Vec<String>> {
    Ok(read_manifest(run)?.identity.sweep.models.into_iter().map(|model| model.name).collect())
}

/// The cells that fail; it is an error if none can be checked.
fn ruled(gate: &Gate, comparison: &Comparison) -> Result<Vec<String>> {
    let Ruling { checked, undefined, failures } = gate.rule(comparison);
    let (cells, metric) = (comparison.cells.len(), gate.metric);
    match undefined {
        _ if checked > 0 => {}
        Some(why) => bail!(
            "--fail-on '{gate}': no change of {metric} has an interval ({why}): run more problems, or leave `ci` out"
        ),
        None => bail!("--fail-on '{gate}': none of the {cells} compared cells has {metric} in both runs"),
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
