//! `claims`: verdicts on the registered claims, from the records of runs; and what a claim would take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use isocost_harness::claims::evidence::Evidence;
use isocost_harness::claims::lineup::Lineup;
use isocost_harness::claims::plan::{ClaimPlan, plan as planned};
use isocost_harness::claims::registry::{self, Claim, Scale, claims};
use isocost_harness::claims::table::{ClaimsFile, SCHEMA, details, summary};
use isocost_harness::claims::verdict::{Finding, findings};
use isocost_harness::escape::json;
use isocost_harness::manifest::{Manifest, read_manifest};
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::observations::Observations;
use isocost_harness::price::Usage;
use isocost_harness::rounding::{grouped, significant};
use isocost_harness::run_directory::{check_unpublished, write_whole};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::table::{Column, terminal};

use crate::{models, plan, report, workload};

/// Where a manifest says which claims were registered before sampling.
pub(crate) const REGISTERED: &str = "claims_sha256";

/// Prints the verdicts of each run and leaves them in its `claims.json`.
pub(crate) fn claims_of_runs(runs: &[PathBuf], only: Option<&str>) -> Result<ExitCode> {
    check_known(only)?;
    let files = runs.iter().map(|run| of_run(run)).collect::<Result<Vec<_>>>()?;
    for (run, file) in runs.iter().zip(&files) {
        if runs.len() > 1 {
            println!("{}", run.display());
        }
        print(file, only);
    }
    for (run, file) in runs.iter().zip(&files) {
        write(run, file)?;
        eprintln!("wrote {}/claims.json", run.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn of_run(run: &Path) -> Result<ClaimsFile> {
    let (manifest, observations) = (read_manifest(run)?, report::observations(run)?);
    if observations.is_empty() {
        bail!("{}: has no whole trajectory yet: go on with the run first", run.display());
    }
    Ok(verdicts(&manifest, &observations))
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
    let models = report::known(manifest).models;
    let lineup = Lineup::new(&manifest.identity.sweep, &models, |task| observations.seeds(task));
    ClaimsFile {
        schema: SCHEMA,
        registry_sha256: registry::sha256(),
        registered_sha256: manifest.provenance.get(REGISTERED).cloned(),
        findings: findings(&Evidence::new(&lineup, observations)),
    }
}

/// Leaves the verdicts in the run's directory.
pub(crate) fn write(run: &Path, file: &ClaimsFile) -> Result<()> {
    check_unpublished(run)?;
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
    let of_task = |name: &str| tasks.iter().find(|known| known.task.name == name);
    let seeds = |name: &str| of_task(name).map(|known| known.problems.seeds()).unwrap_or_default();
    let lineup = Lineup::new(&sweep, &facts(&sweep)?, seeds);
    let pilot = pilot.map(Pilot::read).transpose()?;
    let of = |claim: Claim| {
        let found =
            pilot.as_ref().and_then(|pilot| pilot.file.findings.iter().find(|f| f.claim.id == claim.id));
        planned(&lineup, &problems, claim, found)
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
    println!("{}", plan_table(&plans, &Costs { sweep: &sweep, tasks: &tasks, pilot: pilot.as_ref() }));
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

/// Facts of the sweep's models. Nothing is fetched and no server is asked: a plan may be made anywhere.
fn facts(sweep: &Sweep) -> Result<BTreeMap<String, ModelFacts>> {
    let of = |model: &ModelEntry| {
        let known =
            if model.server.is_some() { ModelFacts::default() } else { models::facts(&model.source)? };
        Ok((model.name.clone(), known.with(model.facts.as_ref())))
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
        let (manifest, observations) = (read_manifest(run)?, report::observations(run)?);
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

/// What tokens and dollars are counted by.
struct Costs<'a> {
    sweep: &'a Sweep,
    /// In the sweep's order.
    tasks: &'a [TaskInRun],
    pilot: Option<&'a Pilot>,
}

fn plan_table(plans: &[ClaimPlan], costs: &Costs) -> String {
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
    let rows: Vec<Vec<String>> = plans.iter().map(|plan| plan_row(plan, costs)).collect();
    terminal(&columns, &rows)
}

fn plan_row(plan: &ClaimPlan, costs: &Costs) -> Vec<String> {
    let shown = |effect: f64| match plan.claim.scale {
        Scale::Difference => significant(effect),
        Scale::Ratio => format!("x{}", significant(effect.exp())),
    };
    let absent = || "-".to_owned();
    let needed = |(k, problems): &(u32, Option<usize>)| {
        format!("{} at {k}", problems.map_or(absent(), |p| p.to_string()))
    };
    let counts: Vec<String> = plan.problems.iter().map(needed).collect();
    let series = plan.comparisons.as_ref().map_or(&[][..], |found| &found.series);
    // The cheapest of the combinations, in trajectories of one series.
    let all_of =
        |(k, problems): &(u32, Option<usize>)| Some(u64::from(*k).saturating_mul((*problems)? as u64));
    let cheapest = plan.problems.iter().filter_map(all_of).min().filter(|_| !series.is_empty());
    let trajectories = cheapest.map(|count| count.saturating_mul(series.len() as u64));
    let tokens = cheapest.and_then(|count| costs.tokens(count, series));
    let usd = costs.pilot.zip(costs.sweep.all_prices().next()).zip(trajectories);
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

impl Costs<'_> {
    /// Tokens of so many trajectories of each series (model and task): as in the pilot, else at most. Absent where the
    /// context is the limit.
    fn tokens(&self, trajectories: u64, series: &[(usize, usize)]) -> Option<String> {
        if let Some(pilot) = self.pilot {
            let count = trajectories as f64 * series.len() as f64;
            return Some(grouped((count * pilot.usage.sampled_tokens) as u64));
        }
        let at_most = |&(model, task): &(usize, usize)| {
            plan::tokens_at_most(self.sweep, &self.sweep.models[model], &self.tasks[task].task)
        };
        let of_each: u64 = series.iter().map(at_most).sum::<Option<u64>>()?;
        Some(format!("<{}", grouped(trajectories.saturating_mul(of_each))))
    }
}

#[cfg(test)]
mod tests {
    use isocost_harness::model_facts::Kind;
    use isocost_harness::problem::ProblemSet;

    use super::*;

    fn sweep(models: &str) -> Sweep {
        let text = format!(
            "name = \"s\"\nwhy = \"w\"\nseed = 1\nbudgets = [0, 64]\nn = [1]\nstrategies = [\"first\"]\nmodels = [{models}]\n\
             tasks = [{{ name = \"countdown-3\" }}, {{ name = \"gsm8k\" }}]\n[sampling]\ntemperature = 1.0\n"
        );
        Sweep::parse("s", &text).unwrap()
    }

    #[test]
    fn tokens_are_at_most_those_of_each_models_budgets_and_each_tasks_answers() {
        let sweep = sweep(
            "{ name = \"a\", source = \"a\" }, { name = \"b\", source = \"b\", budgets = [0] }, { name = \"c\", source = \"c\", budgets = [\"max\"] }",
        );
        let in_run = |entry: &isocost_harness::sweep::TaskEntry| TaskInRun {
            task: entry.task().unwrap(),
            problems: ProblemSet::new(vec![]),
        };
        let tasks: Vec<TaskInRun> = sweep.tasks.iter().map(in_run).collect();
        let costs = Costs { sweep: &sweep, tasks: &tasks, pilot: None };
        assert_eq!(costs.tokens(10, &[(0, 0)]), Some(format!("<{}", grouped(10 * (64 + 2 * 24)))));
        assert_eq!(
            costs.tokens(10, &[(0, 1), (1, 1)]),
            Some(format!("<{}", grouped(10 * (64 + 2 * 1024 + 1024))))
        );
        assert_eq!(costs.tokens(10, &[(0, 0), (2, 0)]), None, "a thought that only the context ends");
        assert!(costs.tokens(u64::MAX, &[(0, 0)]).is_some());
    }

    #[test]
    fn a_model_that_is_not_here_is_known_by_its_card_and_a_server_is_not_asked() {
        let sweep = sweep(
            "{ name = \"a\", source = \"hub:deepseek-ai/DeepSeek-R1-Distill-Qwen-7B@none\" }, \
             { name = \"b\", source = \"http://127.0.0.1:9/v1\", budgets = [\"max\"], server = { model = \"m\" }, facts = { kind = \"direct\" } }",
        );
        let facts = facts(&sweep).unwrap();
        assert_eq!(facts["a"].lineage.kind, Some(Kind::Distilled));
        assert!(facts["a"].parameters.is_some_and(|count| count > 7_000_000_000));
        assert_eq!(facts["b"].lineage.kind, Some(Kind::Direct));
    }
}
