//! `report`: tables, report and pictures from a run directory alone.

use std::path::Path;

use anyhow::{Context, Result, bail};
use isocost_harness::activity;
use isocost_harness::cell_tables::groups;
use isocost_harness::cells::{self, Known};
use isocost_harness::cells_csv::{cells_csv, prices_csv};
use isocost_harness::cells_json::cells_json;
use isocost_harness::cells_parquet::cells_parquet;
use isocost_harness::conditions;
use isocost_harness::damage;
use isocost_harness::energy;
use isocost_harness::escape::json as json_escaped;
use isocost_harness::figures::{self, Facts, Topic, figures};
use isocost_harness::imported::is_imported;
use isocost_harness::latency_rows::{LatencyRow, latency_csv, latency_rows, latency_tables};
use isocost_harness::manifest::{Identity, Manifest, read_manifest};
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::observations::Observations;
use isocost_harness::plot;
use isocost_harness::price::Price;
use isocost_harness::replay::Serving;
use isocost_harness::report_html::{CHECKED, Embedded, Page, Waited, report_html};
use isocost_harness::report_md::{Figure, Report, Section, report_md};
use isocost_harness::row::Row;
use isocost_harness::run_directory::{check_unpublished, read_records, write_bytes, write_whole};
use isocost_harness::steps_parquet::write_steps_parquet;
use isocost_harness::surface::Surface;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::table::Table;
use isocost_harness::verification::Verification;
use isocost_harness::verification_report;
use rayon::prelude::*;
use serde_json::json;

use crate::{claims, import, log};

/// Writes the run's tables and pictures, and prints the short table. `prices` are further ones, by name or file.
pub(crate) fn report(path: &Path, prices: &[String]) -> Result<()> {
    if is_imported(path) {
        return import::report(path);
    }
    let measured = measured(path, prices)?;
    print(&measured.rows);
    write_measured(path, measured)?;
    let run = path.display();
    log::event("wrote", json!({ "run": path.to_string_lossy() }), || {
        format!("wrote {run}/report.html, report.md, cells.csv, claims.json and figures/")
    });
    Ok(())
}

/// Writes the run's tables and pictures; returns the cells.
pub(crate) fn write(path: &Path, prices: &[String]) -> Result<Vec<Row>> {
    write_measured(path, measured(path, prices)?)
}

fn write_measured(path: &Path, measured: Measured) -> Result<Vec<Row>> {
    check_unpublished(path)?;
    let Measured { manifest, observations, rows } = measured;
    let sweep = &manifest.identity.sweep;
    let economy = cells::economy(sweep, &observations);
    write_cells(path, &manifest, &rows)?;
    write_steps_parquet(path).with_context(|| unwritten(&path.join("steps.parquet")))?;
    if sweep.all_prices().count() > 0 {
        write_whole(&path.join("prices.csv"), &prices_csv(&rows))?;
    }
    let claims = claims::verdicts(&manifest, &observations);
    claims::write(path, &claims)?;
    let further = Further::read(path, &manifest)?;
    let waiting = further.waiting(&manifest);
    let figures = figures(&Facts {
        rows: &rows,
        claims: Some(&claims),
        economy: &economy,
        latency: &further.latency,
        surfaces: &further.surfaces,
        verification: further.verification.as_ref(),
    });
    draw(path, &figures)?;
    let report = Report {
        title: format!("{}: accuracy and its cost", sweep.name),
        command: manifest.provenance.get("command").cloned().unwrap_or_default(),
        conditions: conditions::all(&manifest),
        policy: sweep.policy,
        activity: [
            activity::sentences(path, sweep, observations.len())?,
            damage::sentences(path, &observations)?,
        ]
        .concat(),
        notes: vec![sweep.why.trim().to_owned()],
        claims: Some(claims),
        economy,
        figures: figures.iter().filter(is_in_markdown).map(linked).collect(),
        sections: further.sections(&waiting),
        rows,
    };
    write_whole(&path.join("report.md"), &report_md(&report))?;
    let page = Page {
        report: &report,
        figures: &figures,
        waiting: &waiting,
        trajectories: &Embedded::read(path, &observations)?,
        manifest: &serde_json::to_string_pretty(&manifest)?,
    };
    write_whole(&path.join("report.html"), &report_html(&page)?)?;
    Ok(report.rows)
}

/// A run's cells and what they rest on.
pub(crate) struct Measured {
    pub(crate) manifest: Manifest,
    pub(crate) observations: Observations,
    pub(crate) rows: Vec<Row>,
}

/// What a run observed; of lines that were left out it is said how many.
pub(crate) fn observations(path: &Path) -> Result<Observations> {
    let observations = Observations::read(path)?;
    say_left_out(path, observations.left_out());
    Ok(observations)
}

/// Says how many lines of a run's records were left out, if any.
pub(crate) fn say_left_out(path: &Path, lines: usize) {
    if let Some(lines) = damage::left_out(lines) {
        log::say(&format!("{}: {lines}", path.display()));
    }
}

/// The cells of a run, from its records; it is an error if there is none. `prices` are further ones, by name or file.
pub(crate) fn measured(path: &Path, prices: &[String]) -> Result<Measured> {
    let mut manifest = read_manifest(path)?;
    add_prices(&mut manifest.identity.sweep, prices)?;
    let observations = observations(path)?;
    // A device second takes the watts that were read while the model worked on the task.
    let joules_per_device_s = energy::mean_watts(&energy::read_energy(path)?);
    let known = Known { joules_per_device_s, ..known(&manifest) };
    let rows = cells::rows(&manifest.identity.sweep, &observations, &known);
    if rows.is_empty() {
        bail!("{}: has no complete problem yet: go on with the run first", path.display());
    }
    Ok(Measured { manifest, observations, rows })
}

/// The cells for other programs, in three forms.
fn write_cells(path: &Path, manifest: &Manifest, rows: &[Row]) -> Result<()> {
    let conditions = conditions::conditions(manifest, rows);
    let name = &manifest.identity.sweep.name;
    write_whole(&path.join("cells.csv"), &cells_csv(rows))?;
    write_whole(&path.join("cells.json"), &json_escaped(&cells_json(name, rows, &conditions)))?;
    Ok(write_bytes(&path.join("cells.parquet"), &cells_parquet(rows, &conditions)?)?)
}

/// Names of the files in a run's directory.
pub(crate) fn data_files(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What `verify` left: the surface it measured, what users would wait on it, and the cells that it ran alone.
struct Further {
    surfaces: Vec<Surface>,
    latency: Vec<LatencyRow>,
    verification: Option<Verification>,
}

impl Further {
    fn read(path: &Path, manifest: &Manifest) -> Result<Self> {
        let (surface, verification) = (path.join("surface.json"), path.join("verify.json"));
        let surfaces = if surface.exists() { Surface::read_all(&surface)? } else { Vec::new() };
        let records = if surfaces.is_empty() { Vec::new() } else { read_records(path)? };
        let latency = latency_rows(manifest, &records, &surfaces, serving(manifest));
        if !surfaces.is_empty() {
            write_whole(&path.join("latency.csv"), &latency_csv(&latency))?;
        }
        let verification = std::fs::read_to_string(&verification).ok().map(|text| {
            serde_json::from_str(&text)
                .with_context(|| format!("{}: verify the run again", verification.display()))
        });
        Ok(Self { surfaces, latency, verification: verification.transpose()? })
    }

    /// A table for each task and model: one completion and the most of each budget; `latency.csv` holds the rest.
    fn waiting(&self, manifest: &Manifest) -> Vec<Waited> {
        let most = self.latency.iter().map(|row| row.asked.n).max().unwrap_or(1);
        let ends = self.latency.iter().filter(|row| row.asked.n == 1 || row.asked.n == most).cloned();
        let ends: Vec<LatencyRow> = ends.collect();
        let groups = ends.chunk_by(|a, b| (&a.asked.task, &a.asked.model) == (&b.asked.task, &b.asked.model));
        let waited = |rows: &[LatencyRow]| {
            let (task, model) = (rows[0].asked.task.clone(), rows[0].asked.model.clone());
            latency_tables(rows, serving(manifest)).into_iter().map(move |table| Waited {
                task: task.clone(),
                model: model.clone(),
                table,
            })
        };
        groups.flat_map(waited).collect()
    }

    fn sections(self, waiting: &[Waited]) -> Vec<Section> {
        let checked = self
            .verification
            .map(|found| Section { title: CHECKED.into(), tables: vec![verification_report::table(&found)] });
        let tables: Vec<Table> = waiting.iter().map(|waited| waited.table.clone()).collect();
        let waiting = Section { title: "Waiting".into(), tables };
        checked.into_iter().chain(Some(waiting).filter(|section| !section.tables.is_empty())).collect()
    }
}

fn serving(manifest: &Manifest) -> Serving {
    Serving::OneUser { rows: manifest.identity.sweep.rows as u32 }
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
        println!("{}", group.accuracy_for_terminal().terminal());
        println!("{}", group.cost_for_terminal().terminal());
    }
}

/// Every picture as SVG and PNG.
fn draw(path: &Path, figures: &[figures::Figure]) -> Result<()> {
    let folder = path.join("figures");
    std::fs::create_dir_all(&folder).with_context(|| unwritten(&folder))?;
    figures.par_iter().try_for_each(|figure| {
        let svg = plot::svg(&figure.picture)?;
        write_whole(&folder.join(format!("{}.svg", figure.name)), &svg)?;
        Ok(write_bytes(&folder.join(format!("{}.png", figure.name)), &plot::png(&svg)?)?)
    })
}

fn unwritten(path: &Path) -> String {
    format!("{}: cannot be written: free some space, or choose a place that can be written", path.display())
}

/// What a page without controls has room for: the pictures of a task, and of the run.
fn is_in_markdown(figure: &&figures::Figure) -> bool {
    figure.model.is_none() && figure.topic != Topic::Economy
}

fn linked(figure: &figures::Figure) -> Figure {
    Figure { file: format!("figures/{}.svg", figure.name), caption: figure.picture.title().to_owned() }
}
