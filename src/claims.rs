//! `claims`: verdicts on the registered claims, from the records of runs; and what a claim would take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use isocost_harness::cell::Budget;
use isocost_harness::claims::evidence::Evidence;
use isocost_harness::claims::lineup::Lineup;
use isocost_harness::claims::plan::{ClaimPlan, plan};
use isocost_harness::claims::registry::{self, Claim, Scale, claims};
use isocost_harness::claims::table::{ClaimsFile, SCHEMA, details, summary};
use isocost_harness::claims::verdict::{Finding, findings};
use isocost_harness::escape::json;
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::observation::Observations;
use isocost_harness::price::Usage;
use isocost_harness::rounding::{grouped, significant};
use isocost_harness::run_directory::{Manifest, read_manifest, write_whole};
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::table::{Column, terminal};
use isocost_models::engine::Device;

use crate::{report, workload};

/// Where a manifest says which claims were registered before sampling.
pub(crate) const REGISTERED: &str = "claims_sha256";

/// Prints the verdicts of each run and leaves them in its `claims.json`.
pub(crate) fn claims_of_runs(runs: &[PathBuf], only: Option<&str>) -> Result<ExitCode> {
    check_known(only)?;
    for run in runs {
        let manifest = read_manifest(run)?;
        let file = verdicts(&manifest, &Observations::read(run)?);
        write(run, &file)?;
        if runs.len() > 1 {
            println!("{}", run.display());
        }
        print(&file, only);
        eprintln!("wrote {}/claims.json", run.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn check_known(only: Option<&str>) -> Result<()> {
    let known: Vec<String> = claims().into_iter().map(|claim| claim.id).collect();
    match only {
        Some(id) if !known.iter().any(|claim| claim == id) => {
            bail!("no claim `{id}`; there are {}", known.join(", "))
        }
        _ => Ok(()),
    }
}

/// Every claim on a run.
pub(crate) fn verdicts(manifest: &Manifest, observations: &Observations) -> ClaimsFile {
    let lineup = Lineup::new(&manifest.identity.sweep, &report::known(manifest).models);
    ClaimsFile {
        schema: SCHEMA,
        registry_sha256: registry::sha256(),
        registered_sha256: manifest.provenance.get(REGISTERED).cloned(),
        findings: findings(&Evidence::new(&lineup, observations)),
    }
}

/// Leaves the verdicts in the run's directory.
pub(crate) fn write(run: &Path, file: &ClaimsFile) -> Result<()> {
    Ok(write_whole(&run.join("claims.json"), &(json(&serde_json::to_string_pretty(file)?) + "\n"))?)
}

fn print(file: &ClaimsFile, only: Option<&str>) {
    let asked: Vec<&Finding> =
        file.findings.iter().filter(|finding| only.is_none_or(|id| finding.claim.id == id)).collect();
    if only.is_none() {
        println!("{}", summary(&file.findings));
    }
    asked.iter().for_each(|finding| println!("{}", details(finding)));
    println!("{}", file.registration());
}

/// Prints what each claim needs on a sweep, from assumed deviations or those of a pilot run.
pub(crate) fn plan_claims(sweep: &str, pilot: Option<&Path>, library: &Library) -> Result<ExitCode> {
    let sweep = Sweep::open(sweep)?;
    let tasks = workload::tasks(&sweep, library)?;
    let problems: Vec<usize> = tasks.iter().map(|task| task.problems.problems().len()).collect();
    let lineup = Lineup::new(&sweep, &facts(&sweep, library)?);
    let pilot = pilot.map(Pilot::read).transpose()?;
    let of = |claim: Claim| {
        let found =
            pilot.as_ref().and_then(|pilot| pilot.file.findings.iter().find(|f| f.claim.id == claim.id));
        plan(&lineup, &problems, claim, found)
    };
    let plans: Vec<ClaimPlan> = claims().into_iter().map(of).collect();
    let counts: Vec<String> =
        lineup.tasks.iter().zip(&problems).map(|(task, count)| format!("{} {count}", task.name)).collect();
    println!(
        "{}: {} trajectories of each problem; problems: {}",
        sweep.name,
        sweep.trajectories(),
        counts.join(", ")
    );
    println!("{}", plan_table(&plans, &sweep, &lineup, pilot.as_ref()));
    for plan in &plans {
        if let Err(missing) = &plan.comparisons {
            println!("{}: the sweep lacks {missing}", plan.claim.id);
        }
    }
    if pilot.is_none() {
        println!(
            "Deviations are assumed (see each claim's file); `--pilot RUN` measures them, and tokens and dollars."
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Facts of the sweep's models.
fn facts(sweep: &Sweep, library: &Library) -> Result<BTreeMap<String, ModelFacts>> {
    let tasks = workload::tasks(sweep, library)?;
    let of = |model: &ModelEntry| {
        let value = workload::find(sweep, model, &tasks, &Device::Cpu)?.facts()?;
        Ok((model.name.clone(), ModelFacts::new(Some(&value), model.facts.as_ref())))
    };
    sweep.models.iter().map(of).collect()
}

/// A run that says how much numbers vary, and what a trajectory takes.
struct Pilot {
    file: ClaimsFile,
    /// Mean use of one trajectory.
    usage: Usage,
}

impl Pilot {
    fn read(run: &Path) -> Result<Self> {
        let (manifest, observations) = (read_manifest(run)?, Observations::read(run)?);
        let count = observations.len().max(1) as f64;
        let mut usage = Usage { n: 1.0, ..Usage::default() };
        for trajectory in observations.all() {
            usage.device_s += trajectory.device_s() / count;
            usage.prompt_tokens += f64::from(trajectory.prompt_tokens) / count;
            usage.sampled_tokens += trajectory.sampled_tokens() as f64 / count;
        }
        if observations.is_empty() {
            bail!("{}: has no trajectory to plan with: run it first", run.display());
        }
        Ok(Self { file: verdicts(&manifest, &observations), usage })
    }
}

fn plan_table(plans: &[ClaimPlan], sweep: &Sweep, lineup: &Lineup, pilot: Option<&Pilot>) -> String {
    let heads = [
        ("claim", ""),
        ("compared", ""),
        ("effect", ""),
        ("detectable now", ""),
        ("problems needed", "of each task, at K trajectories"),
        ("trajectories", ""),
        ("tokens", ""),
        ("price", "$"),
    ];
    let columns: Vec<Column> = heads.iter().map(|(title, unit)| Column::number(title, unit)).collect();
    let rows: Vec<Vec<String>> = plans.iter().map(|plan| plan_row(plan, sweep, lineup, pilot)).collect();
    terminal(&columns, &rows)
}

fn plan_row(plan: &ClaimPlan, sweep: &Sweep, lineup: &Lineup, pilot: Option<&Pilot>) -> Vec<String> {
    let shown = |effect: f64| match plan.claim.scale {
        Scale::Difference => significant(effect),
        Scale::Ratio => format!("x{}", significant(effect.exp())),
    };
    let absent = || "-".to_owned();
    let needed = |(k, problems): &(u32, Option<usize>)| {
        format!("{} at {k}", problems.map_or(absent(), |p| p.to_string()))
    };
    let counts: Vec<String> = plan.problems.iter().map(needed).collect();
    let series = plan.comparisons.as_ref().map(|found| found.series.len()).unwrap_or(0);
    // The cheapest of the combinations, in trajectories.
    let cheapest =
        plan.problems.iter().filter_map(|(k, problems)| Some(u64::from(*k) * (*problems)? as u64)).min();
    let trajectories = cheapest.map(|count| count * series as u64).filter(|_| series > 0);
    let tokens = trajectories.map(|count| tokens_of(count, sweep, lineup, pilot));
    let usd = pilot.zip(sweep.all_prices().next()).zip(trajectories);
    vec![
        plan.claim.id.clone(),
        plan.comparisons.as_ref().map_or_else(|_| absent(), |found| found.count.to_string()),
        shown(plan.claim.power.effect),
        plan.detectable.map_or_else(absent, shown),
        counts.join(", "),
        trajectories.map_or_else(absent, grouped),
        tokens.unwrap_or_else(absent),
        usd.map_or_else(absent, |((pilot, price), count)| {
            significant(count as f64 * price.usd(&pilot.usage))
        }),
    ]
}

/// Tokens of so many trajectories: as in the pilot, else at most.
fn tokens_of(trajectories: u64, sweep: &Sweep, lineup: &Lineup, pilot: Option<&Pilot>) -> String {
    if let Some(pilot) = pilot {
        return grouped((trajectories as f64 * pilot.usage.sampled_tokens) as u64);
    }
    // Answers of the built-in tasks have at most 16 tokens or so; the pilot knows better.
    let answers = 16 * sweep.budgets.len() as u64;
    let longest = lineup.models.iter().filter_map(|model| model.budgets.last()).max();
    match longest {
        Some(Budget::Tokens(tokens)) => {
            format!("<{}", grouped(trajectories * (u64::from(*tokens) + answers)))
        }
        _ => "-".into(),
    }
}
