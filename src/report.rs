//! `report`: tables, report and pictures from a run directory alone.

use std::path::Path;

use anyhow::Result;
use isocost_harness::cell_tables::groups;
use isocost_harness::cells;
use isocost_harness::cells_csv::cells_csv;
use isocost_harness::engine::Activity;
use isocost_harness::imported::is_imported;
use isocost_harness::plot::{accuracy_by_n, accuracy_by_tokens};
use isocost_harness::report_md::{Figure, Report, report_md};
use isocost_harness::row::Row;
use isocost_harness::run_directory::{Manifest, read_activity, read_manifest, read_records, write_whole};
use isocost_harness::sweep::Sweep;

use crate::import;

/// Writes the run's tables and pictures, and prints the short table.
pub(crate) fn report(path: &Path) -> Result<()> {
    if is_imported(path) {
        return import::report(path);
    }
    let manifest = read_manifest(path)?;
    let sweep = &manifest.identity.sweep;
    let records = read_records(path)?;
    let rows = cells::rows(sweep, &records);
    let economy = cells::economy(sweep, &records);
    write_whole(&path.join("cells.csv"), &cells_csv(&rows))?;
    let figures = draw(path, sweep, &rows)?;
    let report = Report {
        title: format!("{}: accuracy and its cost", sweep.name),
        command: manifest.provenance.get("command").cloned().unwrap_or_default(),
        conditions: conditions(&manifest),
        activity: activity(path, records.len())?,
        notes: vec![sweep.why.trim().to_owned()],
        rows,
        economy,
        figures,
    };
    write_whole(&path.join("report.md"), &report_md(&report))?;
    print(&report.rows);
    eprintln!("wrote {0}/report.md, cells.csv and figures/", path.display());
    Ok(())
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
    if let Some(price) = &sweep.price {
        let text = format!(
            "${} an hour for {} ({}, {})",
            price.usd_per_device_hour, price.device, price.source, price.date
        );
        conditions.push(("price".into(), text));
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
    Ok(vec![
        format!("{records} trajectories, {} tokens sampled at {rate:.0} a second.", total.sampled_tokens),
        format!(
            "{} forward passes with {:.1} rows on average (at most {}); {outside:.1} % of the time was spent outside them.",
            total.steps,
            total.row_steps as f64 / total.steps as f64,
            total.most_rows
        ),
    ])
}
