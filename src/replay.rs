//! `replay`: what users would wait, on any device that has a surface.

use std::path::Path;

use anyhow::{Result, bail};
use isocost_harness::latency_rows::{
    all_asked, dialect, latency_csv, latency_rows, latency_tables, models_in, requests, surface_of,
};
use isocost_harness::manifest::{Manifest, read_manifest};
use isocost_harness::replay::{Request, Serving, largest_batch_within};
use isocost_harness::run_directory::{check_unpublished, read_records_and_left_out, write_whole};
use isocost_harness::surface::Surface;
use isocost_harness::trajectory::Trajectory;

use crate::cli::ReplayArgs;
use crate::report;

/// Replays a run, prints the waits and writes `latency.csv`, unless that has more models.
pub(crate) fn replay(args: &ReplayArgs) -> Result<()> {
    let manifest = read_manifest(&args.run)?;
    let (records, left_out) = read_records_and_left_out(&args.run)?;
    if records.is_empty() {
        bail!("{}: has no whole trajectory yet: go on with the run first", args.run.display());
    }
    report::say_left_out(&args.run, left_out);
    let surfaces = args.surface.clone().unwrap_or_else(|| args.run.join("surface.json"));
    let surfaces = Surface::read_all(&surfaces)?;
    let serving = match args.saturated {
        None => Serving::OneUser { rows: manifest.identity.sweep.rows as u32 },
        Some(rows) => Serving::Saturated { rows },
    };
    let serving = match args.itl_limit {
        None => serving,
        Some(limit) => within(&manifest, &records, &surfaces, args.saturated.unwrap_or(1), limit)?,
    };
    let rows = latency_rows(&manifest, &records, &surfaces, serving);
    if rows.is_empty() {
        bail!("no surface of that file has the shape and type of a model of this run");
    }
    for table in latency_tables(&rows, serving) {
        println!("{}", table.terminal());
    }
    for surface in &surfaces {
        eprintln!("surface of {} on {}, {}", surface.name.model, surface.name.device, surface.name.date);
    }
    say_left_out(&manifest, &surfaces);
    check_unpublished(&args.run)?;
    write(&args.run.join("latency.csv"), &latency_csv(&rows))
}

/// Models of the run that no surface is of.
fn say_left_out(manifest: &Manifest, surfaces: &[Surface]) {
    let models = manifest.identity.sweep.models.iter().map(|model| model.name.as_str());
    let left_out: Vec<&str> =
        models.filter(|model| surface_of(manifest, surfaces, model).is_none()).collect();
    if !left_out.is_empty() {
        eprintln!("left out, since no surface has their shape and type: {}", left_out.join(", "));
    }
}

/// A file that holds more models than these stays.
fn write(path: &Path, text: &str) -> Result<()> {
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if !models_in(&there).is_subset(&models_in(text)) {
        eprintln!("{}: holds more models, and stays as it is", path.display());
        return Ok(());
    }
    write_whole(path, text)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// The largest batch that keeps the limit for every model, at its largest budget and n.
fn within(
    manifest: &Manifest,
    records: &[Trajectory],
    surfaces: &[Surface],
    most_rows: u32,
    itl_limit_s: f64,
) -> Result<Serving> {
    let mut rows = most_rows;
    for model in &manifest.identity.sweep.models {
        let Some(surface) = surface_of(manifest, surfaces, &model.name) else { continue };
        let largest = all_asked(manifest).into_iter().rfind(|asked| asked.model == model.name);
        let requests: Vec<Request> =
            largest.map_or(vec![], |asked| requests(&asked, records, dialect(manifest, &model.name)));
        match largest_batch_within(&requests, rows, itl_limit_s, surface) {
            Some(fast) => rows = fast,
            None => bail!("{}: even one row takes longer than {itl_limit_s} s a token", model.name),
        }
    }
    Ok(Serving::Saturated { rows })
}
