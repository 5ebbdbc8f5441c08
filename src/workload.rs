//! What a sweep needs to run: its tasks with their problems, its models, its place on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use isocost_harness::run_directory::{Identity, Manifest};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::task::Task;
use isocost_harness::trajectory::SCHEMA;
use isocost_models::engine::{Device, LocalEngine};
use isocost_models::source::Source;
use jiff::Timestamp;

/// The tasks of a sweep with the problems it uses.
pub(crate) fn tasks(sweep: &Sweep) -> Result<Vec<TaskInRun>> {
    let open = |name: &str, limit: Option<usize>| -> Result<TaskInRun> {
        let task = Task::built_in(name)?;
        let problems = task.subset(limit.unwrap_or(usize::MAX), sweep.seed)?;
        Ok(TaskInRun { task, problems })
    };
    sweep.tasks.iter().map(|entry| open(&entry.name, entry.problems)).collect()
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
    let provenance = [
        ("isocost", env!("CARGO_PKG_VERSION").to_owned()),
        ("git_commit", env!("ISOCOST_COMMIT").to_owned()),
        ("git_tree", env!("ISOCOST_TREE").to_owned()),
        ("started", Timestamp::now().strftime("%FT%TZ").to_string()),
        ("host", host()),
        ("device", cpu_description()),
        ("sweep_sha256", sweep.sha256()),
        ("command", std::env::args().skip(1).fold("isocost".to_owned(), |line, word| line + " " + &word)),
    ];
    let provenance = provenance.map(|(key, value)| (key.to_owned(), value)).into();
    Manifest {
        identity: Identity { schema: SCHEMA, sweep: sweep.clone(), problems_sha256, models },
        provenance,
    }
}

/// Where a sweep is run unless `--out` says otherwise.
pub(crate) fn default_directory(sweep: &Sweep) -> PathBuf {
    PathBuf::from("results/runs").join(format!("{}-{}-{}", date(), host(), sweep.name))
}

/// Today in UTC, `YYYY-MM-DD`.
pub(crate) fn date() -> String {
    Timestamp::now().strftime("%F").to_string()
}

/// The processor, with its cores.
pub(crate) fn cpu_description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("cpu, {cores} cores, {}", cpu_name())
}

/// The machine's name, fit for a file's.
pub(crate) fn host() -> String {
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
