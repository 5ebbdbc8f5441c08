//! `import`: completions of other tools become a run, and `report` on such a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use isocost_harness::import::{Format, Names, read};
use isocost_harness::imported::{self, Import, Imported, SCHEMA};
use isocost_harness::imported_report::{Group, csv, groups, markdown};
use isocost_harness::judge::Judge;
use isocost_harness::publication::file_sha256;
use isocost_harness::run_directory::write_whole;
use isocost_harness::task::Task;

use crate::cli::ImportArgs;
use crate::workload;

/// Reads the files, grades what they hold, and writes a run.
pub(crate) fn import(args: &ImportArgs) -> Result<ExitCode> {
    let ImportArgs { files, out, .. } = args;
    let format = Format::from(args.format);
    let names = Names { model: args.model.clone(), task: args.task.clone() };
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let read = read(format, &paths, &names).map_err(|message| anyhow!("{message}"))?;
    let mut completions = read.completions;
    if completions.is_empty() {
        bail!("{} holds no completions: {}", files[0].display(), read.notes.join("; "));
    }
    let judges = judges(&completions, args.task.as_deref())?;
    completions.iter_mut().for_each(|completion| completion.grade(&judges[&completion.task]));
    let import = Import {
        schema: SCHEMA,
        format: format.name().to_owned(),
        files: files.iter().map(|file| hashed(file)).collect::<Result<_>>()?,
        judges,
        provenance: workload::provenance(),
    };
    imported::write(out, &import, &completions)?;
    read.notes.iter().for_each(|note| eprintln!("{note}"));
    let disputed = completions.iter().filter(|completion| completion.is_disputed()).count();
    eprintln!(
        "{} completions, {disputed} graded otherwise than given, into {}",
        completions.len(),
        out.display()
    );
    eprintln!("make tables: isocost report {}", out.display());
    Ok(ExitCode::from(u8::from(read.left_out > 0)))
}

/// The judge of every task: of the task given, else of the built-in task of that name, else the grader's defaults.
fn judges(completions: &[Imported], task: Option<&str>) -> Result<BTreeMap<String, Judge>> {
    let given = task.map(Task::open).transpose()?.map(|task| task.judge);
    let judge = |name: &str| {
        let built_in = || Task::names().find(|known| *known == name).and_then(|name| Task::open(name).ok());
        given.clone().or_else(|| built_in().map(|task| task.judge)).unwrap_or_default()
    };
    Ok(imported::series(completions).iter().map(|(_, task)| ((*task).to_owned(), judge(task))).collect())
}

fn hashed(file: &Path) -> Result<(String, String)> {
    Ok((file.display().to_string(), file_sha256(file)?))
}

/// Writes an imported run's tables, and prints them.
pub(crate) fn report(run: &Path) -> Result<()> {
    let (import, completions) = imported::read(run)?;
    let groups = groups(&completions);
    let mut conditions: Vec<(String, String)> = vec![("format".into(), import.format)];
    conditions.extend(import.files.into_iter().map(|(file, hash)| (file, format!("sha256 {hash}"))));
    conditions.extend(import.provenance);
    write_whole(&run.join("report.md"), &markdown(&groups, &conditions))?;
    write_whole(&run.join("cells.csv"), &csv(&groups))?;
    groups.iter().for_each(print);
    eprintln!("wrote {0}/report.md and cells.csv", run.display());
    Ok(())
}

fn print(group: &Group) {
    print!("{}", group.table().terminal());
    group.facts().iter().for_each(|fact| println!("{}", isocost_harness::escape::visible(fact)));
    println!();
}
