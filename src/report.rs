//! `report`: tables, report and pictures from a run directory alone.

use std::path::Path;

use anyhow::{Context, Result};
use isocost_harness::cell_tables::groups;
use isocost_harness::cells::{self, Known};
use isocost_harness::cells_csv::{cells_csv, prices_csv};
use isocost_harness::energy;
use isocost_harness::engine::Activity;
use isocost_harness::imported::is_imported;
use isocost_harness::latency_rows::{LatencyRow, latency_csv, latency_rows, latency_tables};
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::observation::Observations;
use isocost_harness::plot::{accuracy_by_n, accuracy_by_tokens};
use isocost_harness::price::Price;
use isocost_harness::replay::Serving;
use isocost_harness::report_md::{Figure, Report, Section, report_md};
use isocost_harness::row::Row;
use isocost_harness::run_directory::{
    Identity, Manifest, read_activity, read_manifest, read_records, write_whole,
};
use isocost_harness::steps_parquet::write_steps_parquet;
use isocost_harness::surface::Surface;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::verification::Verification;

use crate::{claims, import};

/// Writes the run's tables and pictures, and prints the short table. `prices` are further ones, by name or file.
pub(crate) fn report(path: &Path, prices: &[String]) -> Result<()> {
    if is_imported(path) {
        return import::report(path);
    }
    let rows = write(path, prices)?;
    print(&rows);
    eprintln!("wrote {0}/report.md, cells.csv, claims.json and figures/", path.display());
    Ok(())
}

/// Writes the run's tables and pictures; returns the cells.
pub(crate) fn write(path: &Path, prices: &[String]) -> Result<Vec<Row>> {
    let mut manifest = read_manifest(path)?;
    add_prices(&mut manifest.identity.sweep, prices)?;
    let sweep = &manifest.identity.sweep;
    let observations = Observations::read(path)?;
    let rows = cells::rows(sweep, &observations, &known(&manifest));
    let economy = cells::economy(sweep, &observations);
    write_whole(&path.join("cells.csv"), &cells_csv(&rows))?;
    write_steps_parquet(path)?;
    if sweep.all_prices().count() > 0 {
        write_whole(&path.join("prices.csv"), &prices_csv(&rows))?;
    }
    let claims = claims::verdicts(&manifest, &observations);
    claims::write(path, &claims)?;
    let figures = draw(path, sweep, &rows)?;
    let report = Report {
        title: format!("{}: accuracy and its cost", sweep.name),
        command: manifest.provenance.get("command").cloned().unwrap_or_default(),
        conditions: conditions(&manifest),
        activity: activity(path, observations.len())?,
        notes: vec![sweep.why.trim().to_owned()],
        rows,
        claims: Some(claims),
        economy,
        figures,
        sections: sections(path, &manifest)?,
    };
    write_whole(&path.join("report.md"), &report_md(&report))?;
    Ok(report.rows)
}

/// What `verify` found, and what users would wait on the surface it measured, if there is any.
fn sections(path: &Path, manifest: &Manifest) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let verification = path.join("verify.json");
    if let Ok(text) = std::fs::read_to_string(&verification) {
        let found: Verification = serde_json::from_str(&text)
            .with_context(|| format!("{}: verify the run again", verification.display()))?;
        sections
            .push(Section { title: "Checked by running cells alone".into(), tables: vec![found.table()] });
    }
    let surface = path.join("surface.json");
    if surface.exists() {
        let serving = Serving::OneUser { rows: manifest.identity.sweep.rows as u32 };
        let rows = latency_rows(manifest, &read_records(path)?, &Surface::read_all(&surface)?, serving);
        write_whole(&path.join("latency.csv"), &latency_csv(&rows))?;
        sections.push(Section { title: "Waiting".into(), tables: latency_tables(&ends(rows), serving) });
    }
    Ok(sections)
}

/// One completion and the most of each budget; `latency.csv` holds what lies between.
fn ends(mut rows: Vec<LatencyRow>) -> Vec<LatencyRow> {
    let most = rows.iter().map(|row| row.asked.n).max().unwrap_or(1);
    rows.retain(|row| row.asked.n == 1 || row.asked.n == most);
    rows
}

fn add_prices(sweep: &mut Sweep, names: &[String]) -> Result<()> {
    for name in names {
        let price = Price::open(name).map_err(anyhow::Error::msg)?;
        if sweep.all_prices().all(|known| known.label() != price.label()) {
            sweep.prices.push(price);
        }
    }
    Ok(())
}

/// What the manifest knows of each model.
pub(crate) fn known(manifest: &Manifest) -> Known {
    let Identity { sweep, models, .. } = &manifest.identity;
    let facts = |model: &ModelEntry| {
        let facts = ModelFacts::new(models.get(&model.name), model.facts.as_ref());
        (model.name.clone(), facts)
    };
    Known { models: sweep.models.iter().map(facts).collect(), ..Known::default() }
}

fn print(rows: &[Row]) {
    for group in groups(rows) {
        println!("{} on {}", group.model, group.task);
        println!("{}", group.accuracy_for_terminal().terminal());
        println!("{}", group.cost_for_terminal().terminal());
    }
}

/// One picture of accuracy against tokens a task, and one of accuracy against n a task and model.
fn draw(path: &Path, sweep: &Sweep, rows: &[Row]) -> Result<Vec<Figure>> {
    std::fs::create_dir_all(path.join("figures"))?;
    let mut figures = Vec::new();
    let mut add = |name: String, caption: String, svg: String| -> Result<()> {
        let file = format!("figures/{name}.svg");
        write_whole(&path.join(&file), &svg)?;
        figures.push(Figure { file, caption });
        Ok(())
    };
    for task in &sweep.tasks {
        if !rows.iter().any(|row| row.cell.task == task.name) {
            continue;
        }
        let caption = format!("Accuracy against reasoning tokens on {}", task.name);
        add(format!("{}-tokens", task.name), caption, accuracy_by_tokens(rows, &task.name)?)?;
        if let Some(model) = sweep.models.first() {
            let caption = format!("{} on {}: accuracy against n at each budget", model.name, task.name);
            if let Ok(svg) = accuracy_by_n(rows, &task.name, &model.name) {
                add(format!("{}-{}-n", task.name, model.name), caption, svg)?;
            }
        }
    }
    Ok(figures)
}

fn conditions(manifest: &Manifest) -> Vec<(String, String)> {
    let sweep = &manifest.identity.sweep;
    let sampling = &sweep.sampling;
    let mut conditions: Vec<(String, String)> =
        manifest.provenance.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    conditions.push(("seed".into(), sweep.seed.to_string()));
    conditions.push(("temperature".into(), sampling.temperature.to_string()));
    conditions.push(("rows in a batch".into(), sweep.rows.to_string()));
    for price in sweep.all_prices() {
        let text = format!("{} for {} ({}, {})", price.terms(), price.device, price.source, price.date);
        conditions.push((format!("price {}", price.label()), text));
    }
    if let Some(verifier) = &sweep.verifier {
        let (seconds, usd) = (verifier.device_s_per_answer, verifier.usd_per_answer);
        conditions
            .push(("verifier".into(), format!("{seconds} s and ${usd} an answer ({})", verifier.source)));
    }
    for (task, sha256) in &manifest.identity.problems_sha256 {
        conditions.push((format!("problems of {task}"), format!("sha256 {sha256}")));
    }
    for (model, facts) in &manifest.identity.models {
        let hash = facts.pointer("/weights_sha256/0").and_then(|hash| hash.as_str()).unwrap_or("unknown");
        conditions.push((format!("weights of {model}"), format!("sha256 {hash}")));
    }
    conditions
}

fn activity(path: &Path, records: usize) -> Result<Vec<String>> {
    let mut total = Activity::default();
    for note in read_activity(path)? {
        total.add(&note.activity);
    }
    if total.steps == 0 {
        return Ok(vec![format!("{records} trajectories recorded.")]);
    }
    let rate = total.sampled_tokens as f64 / total.wall_s;
    let outside = 100.0 * (1.0 - total.device_s / total.wall_s);
    let halved =
        format!("The device ran out of memory {} times; the batch was halved each time.", total.halvings);
    let mut lines = vec![
        format!("{records} trajectories, {} tokens sampled at {rate:.0} a second.", total.sampled_tokens),
        format!(
            "{} forward passes with {:.1} rows on average (at most {}); {outside:.1} % of the time was spent outside them.",
            total.steps,
            total.row_steps as f64 / total.steps as f64,
            total.most_rows
        ),
    ];
    lines.extend(Some(halved).filter(|_| total.halvings > 0));
    lines.extend(energy::summary(&energy::read_energy(path)?));
    Ok(lines)
}
