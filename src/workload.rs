//! What a sweep needs to run: its tasks with their problems, its models, its place on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use isocost_harness::run_directory::{Identity, Manifest};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::task::Task;
use isocost_harness::trajectory::SCHEMA;
use isocost_models::engine::LocalEngine;

use crate::claims::REGISTERED;

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
    let folder = isocost_models::bundled::folder(&model.source)?;
    LocalEngine::load_on_cpu(&folder, sweep.rows).with_context(|| format!("model {}", model.name))
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
    let provenance = [
        ("isocost", env!("CARGO_PKG_VERSION").to_owned()),
        ("git_commit", env!("ISOCOST_COMMIT").to_owned()),
        ("git_tree", env!("ISOCOST_TREE").to_owned()),
        ("started", date() + "T" + &time_of_day() + "Z"),
        ("host", host()),
        ("device", format!("cpu, {cores} cores, {}", cpu_name())),
        ("sweep_sha256", sweep.sha256()),
        (REGISTERED, isocost_harness::claims::registry::sha256()),
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

fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn time_of_day() -> String {
    let s = seconds_since_epoch() % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// Today in UTC, `YYYY-MM-DD` (Hinnant's days-to-civil algorithm).
fn date() -> String {
    let days = (seconds_since_epoch() / 86_400) as i64 + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
