//! What a sweep needs to run: its tasks with their problems, its models, its place on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use isocost_harness::run_directory::{Identity, Manifest};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep, TaskEntry};
use isocost_harness::trajectory::SCHEMA;
use isocost_models::engine::{Device, LocalEngine};
use isocost_models::source::Source;
use jiff::Timestamp;

use crate::tasks::subset;

/// The sweep of that name, with at most `limit` problems of each task.
pub(crate) fn sweep(name: &str, limit: Option<usize>) -> Result<Sweep> {
    let mut sweep = Sweep::open(name)?;
    for entry in &mut sweep.tasks {
        entry.problems = [entry.problems, limit].into_iter().flatten().min();
    }
    Ok(sweep)
}

/// The tasks of a sweep with the problems it uses.
pub(crate) fn tasks(sweep: &Sweep, library: &Library) -> Result<Vec<TaskInRun>> {
    let open = |entry: &TaskEntry| -> Result<TaskInRun> {
        let task = entry.task()?;
        let problems = subset(&task, entry.problems, sweep.seed, library)?;
        Ok(TaskInRun { task, problems })
    };
    sweep.tasks.iter().map(open).collect()
}

/// Loads one of a sweep's models onto the CPU.
pub(crate) fn load(sweep: &Sweep, model: &ModelEntry) -> Result<LocalEngine> {
    let source = Source::resolve(&model.source)?;
    LocalEngine::load(&source, &Device::Cpu, None, sweep.rows)
        .with_context(|| format!("model {}", model.name))
}

/// What a run of this sweep is and where it came from.
pub(crate) fn manifest(
    sweep: &Sweep,
    tasks: &[TaskInRun],
    models: BTreeMap<String, serde_json::Value>,
) -> Manifest {
    let problems_sha256 =
        tasks.iter().map(|t| (t.task.name.clone(), t.problems.sha256().to_owned())).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let mut provenance = provenance();
    provenance.insert("device".into(), format!("cpu, {cores} cores, {}", cpu_name()));
    provenance.insert("sweep_sha256".into(), sweep.sha256());
    Manifest {
        identity: Identity { schema: SCHEMA, sweep: sweep.clone(), problems_sha256, models },
        provenance,
    }
}

/// When, where, by which build and with what words.
pub(crate) fn provenance() -> BTreeMap<String, String> {
    let facts = [
        ("isocost", env!("CARGO_PKG_VERSION").to_owned()),
        ("git_commit", env!("ISOCOST_COMMIT").to_owned()),
        ("git_tree", env!("ISOCOST_TREE").to_owned()),
        ("started", Timestamp::now().strftime("%FT%TZ").to_string()),
        ("host", host()),
        ("command", std::env::args().skip(1).fold("isocost".to_owned(), |line, word| line + " " + &word)),
    ];
    facts.map(|(key, value)| (key.to_owned(), value)).into()
}

/// Where a sweep is run unless `--out` says otherwise.
pub(crate) fn default_directory(sweep: &Sweep) -> PathBuf {
    let date = Timestamp::now().strftime("%F");
    PathBuf::from("results/runs").join(format!("{date}-{}-{}", host(), sweep.name))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let kept: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if kept.is_empty() { "host".into() } else { kept }
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, n)| n.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}
