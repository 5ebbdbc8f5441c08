//! `doctor`: what this machine and this build have, and what to do about what is missing.
//!
//! Each check finds something, misses something that can be done without, or finds broken what a run needs; only
//! the last makes the exit code 2. The token is never shown, only where it is from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use isocost_harness::escape::json;
use isocost_harness::source::Library;
use isocost_models::bundled;
use isocost_models::checkpoint::Checkpoint;
use isocost_models::device::{self, DeviceChoice};
use isocost_models::engine::Device;
use isocost_models::instructions::Instructions;
use isocost_models::memory::{bytes, free_bytes};
use isocost_models::meter::{Absent, Kind, Why, meters};
use isocost_models::source::Source;
use serde::Serialize;

use crate::cli::DoctorOutput;
use crate::log;

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// There.
    Ok,
    /// Missing, and can be done without.
    Missing,
    /// Missing or wrong, and a run needs it.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    state: State,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// All of them, with the build.
#[derive(Debug, Serialize)]
struct Examination {
    isocost: &'static str,
    git_commit: &'static str,
    git_tree: &'static str,
    target: String,
    checks: Vec<Check>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), remedy: None }
    }

    fn missing(check: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self { check, state: State::Missing, found: found.into(), remedy: Some(remedy.to_owned()) }
    }

    fn broken(check: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self { state: State::Broken, ..Self::missing(check, found, remedy) }
    }
}

/// Looks at everything and prints it.
pub(crate) fn doctor(output: DoctorOutput, library: &Library) -> Result<ExitCode> {
    let examination = Examination {
        isocost: env!("CARGO_PKG_VERSION"),
        git_commit: env!("ISOCOST_COMMIT"),
        git_tree: env!("ISOCOST_TREE"),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        checks: checks(library),
    };
    match output {
        DoctorOutput::Text => print!("{}", in_words(&examination)),
        DoctorOutput::Json => println!("{}", json(&serde_json::to_string_pretty(&examination)?)),
    }
    let is_broken = examination.checks.iter().any(|check| check.state == State::Broken);
    Ok(if is_broken { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn checks(library: &Library) -> Vec<Check> {
    let mut checks = vec![device(), instructions(), memory()];
    checks.extend([gpu("cuda", cfg!(feature = "cuda"), DeviceChoice::Cuda(0))]);
    checks.extend([gpu("metal", cfg!(feature = "metal"), DeviceChoice::Metal)]);
    checks.extend(energy());
    checks.push(bundled_models());
    checks.extend(hub());
    checks.extend([own_cache(), data(library), runs()]);
    checks
}

fn device() -> Check {
    let opened = DeviceChoice::Auto.open().unwrap_or(Device::Cpu);
    Check::ok("device", format!("--device auto takes {}", device::describe(&opened)))
}

/// Those that the engine is written for and uses.
fn instructions() -> Check {
    let used = match Instructions::used() {
        Instructions::Avx512Bf16 => "AVX-512 with VNNI and BF16",
        Instructions::Avx512Vnni => "AVX-512 with VNNI",
        Instructions::Avx512 => "AVX-512",
        Instructions::AvxVnni => "AVX2, FMA and AVX-VNNI",
        Instructions::Avx2 => "AVX2 and FMA",
        Instructions::Baseline if cfg!(target_arch = "aarch64") => "NEON",
        Instructions::Baseline => {
            let remedy = "models on the CPU will be slow: take another machine or a GPU";
            return Check::missing("instructions", "none that the engine is written for", remedy);
        }
    };
    Check::ok("instructions", used)
}

fn memory() -> Check {
    let remedy = "give models a batch that surely fits (rows in the sweep): 4 GiB are assumed";
    free_bytes(&Device::Cpu).map_or_else(
        || Check::missing("memory", "the system does not say how much is free", remedy),
        |free| Check::ok("memory", format!("{} are free for the CPU", bytes(free))),
    )
}

/// A kind of GPU: built in or not, and whether one opens.
fn gpu(name: &'static str, is_built: bool, choice: DeviceChoice) -> Check {
    match choice.open() {
        Ok(device) => {
            let free = free_bytes(&device).map_or(String::new(), |free| format!(", {} free", bytes(free)));
            Check::ok(name, format!("{}{free}", device::describe(&device)))
        }
        Err(_) if !is_built => {
            let remedy = format!("only for such a GPU: cargo build --release --features {name}");
            Check::missing(name, "not in this build", &remedy)
        }
        Err(error) => Check::missing(name, error.to_string(), "runs take the CPU meanwhile"),
    }
}

/// The meters, and those that are absent.
fn energy() -> Vec<Check> {
    let (there, absent) = meters();
    let there = there.iter().map(|meter| Check::ok("energy", meter.name()));
    let absent = absent.into_iter().filter(|absent| absent.why != Why::OtherSystem);
    let absent = absent.map(|absent| {
        Check::missing("energy", format!("{}: {}", absent.meter, absent.reason), unmetered(&absent))
    });
    there.chain(absent).collect()
}

/// What to do about a meter that is absent.
fn unmetered(absent: &Absent) -> &'static str {
    match (absent.meter, absent.why) {
        (Kind::Rapl, Why::Forbidden) => {
            "let this user read it: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        }
        (Kind::Rapl, _) => "none on this machine (virtual machines have none): joules of the CPU stay absent",
        (Kind::Nvidia, _) => "only for NVIDIA GPUs: install the driver, and nvidia-smi shows them",
        (Kind::Apple, _) => "joules stay absent",
    }
}

fn bundled_models() -> Check {
    let open = |name: &String| -> Result<PathBuf, String> {
        let folder = bundled::folder(&format!("bundled:{name}")).map_err(|e| e.to_string())?;
        Checkpoint::open(&Source::at(&folder), None, &Device::Cpu).map_err(|e| e.to_string())?;
        Ok(folder)
    };
    let names = bundled::names();
    match names.iter().map(open).collect::<Result<Vec<_>, _>>() {
        Ok(folders) => {
            let place = folders.first().and_then(|folder| folder.parent()).unwrap_or(Path::new(""));
            Check::ok("bundled", format!("{} models open, in {}", names.len(), place.display()))
        }
        Err(message) => Check::broken(
            "bundled",
            message,
            "make room, or set XDG_CACHE_HOME to a folder that can be written",
        ),
    }
}

#[cfg(not(feature = "hub"))]
fn hub() -> Vec<Check> {
    vec![Check::missing(
        "hub",
        "not in this build",
        "to fetch models and data sets: cargo build --release --features hub",
    )]
}

#[cfg(feature = "hub")]
fn hub() -> Vec<Check> {
    use isocost_models::hub::{Environment, Hub};
    let environment = match Environment::read() {
        Ok(environment) => environment,
        Err(error) => {
            return vec![Check::missing("hub", error.to_string(), "without it only local models run")];
        }
    };
    let reach =
        if environment.offline { "HF_HUB_OFFLINE is set: the cache only" } else { &environment.endpoint };
    let models = Hub::new(environment.clone()).cached_models();
    let whole = models.iter().filter(|model| model.lacks.is_none()).count();
    let place = environment.cache.display();
    let cache = if environment.cache.is_dir() {
        let size = bytes(size_of(&environment.cache));
        Check::ok(
            "hub cache",
            format!("{place}: {size}, {whole} complete models, {} free", room(&environment.cache)),
        )
    } else {
        let remedy = "it is made by: isocost models fetch hub:OWNER/NAME";
        Check::missing("hub cache", format!("{place} is not there"), remedy)
    };
    let token = match (&environment.token, std::env::var_os("HF_TOKEN")) {
        (Some(_), Some(_)) => Check::ok("hub token", "there, from HF_TOKEN"),
        (Some(_), None) => Check::ok("hub token", "there, from the file that `hf auth login` wrote"),
        (None, _) => {
            Check::missing("hub token", "none", "only for gated models: set HF_TOKEN, or hf auth login")
        }
    };
    vec![Check::ok("hub", reach), cache, token]
}

/// What this program keeps: bundled models as files, and problem sets from other addresses.
fn own_cache() -> Check {
    match bundled::cache() {
        Some(cache) => Check::ok("cache", format!("{}: {}", cache.display(), bytes(size_of(&cache)))),
        None => {
            Check::missing("cache", "there is no home folder", "set XDG_CACHE_HOME to keep what is fetched")
        }
    }
}

fn data(library: &Library) -> Check {
    match &library.folder {
        Some(folder) if folder.is_dir() => {
            Check::ok("data", format!("{}: {}", folder.display(), bytes(size_of(folder))))
        }
        Some(folder) => {
            let found = format!("{} is not a folder", folder.display());
            Check::missing("data", found, "mend --data or ISOCOST_DATA; problem sets are fetched meanwhile")
        }
        None => Check::missing(
            "data",
            "no folder of one's own",
            "only to work offline: --data DIR, or ISOCOST_DATA",
        ),
    }
}

/// Where runs go by default: whether they can be written, and the room for them.
fn runs() -> Check {
    let runs = Path::new("results/runs");
    let count = std::fs::read_dir(runs).map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().join("manifest.json").exists()).count()
    });
    let place = runs.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
    let found = format!("results/runs here: {count} runs, {}, {} free", bytes(size_of(runs)), room(place));
    match tempfile::tempfile_in(place) {
        Ok(_) => Check::ok("runs", found),
        Err(error) => Check::broken(
            "runs",
            format!("results/runs here: {error}"),
            "go to a folder that can be written, or give --out",
        ),
    }
}

/// Free room where a folder is.
fn room(folder: &Path) -> String {
    fs4::available_space(folder).map_or("an unknown amount".into(), bytes)
}

/// Bytes of the files in a folder and below; links are not followed.
fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    };
    entries.map(size).sum()
}

fn in_words(examination: &Examination) -> String {
    let Examination { isocost, git_commit, git_tree, target, checks } = examination;
    let commit = git_commit.get(..12).unwrap_or(git_commit);
    let mut text = format!("isocost {isocost} ({commit}, {git_tree}) for {target}\n\n");
    for Check { check, state, found, remedy } in checks {
        let state = match state {
            State::Ok => "ok",
            State::Missing => "–",
            State::Broken => "BROKEN",
        };
        text += &log::for_reader(&format!("{state:7} {check:13} {found}"), 22);
        if let Some(remedy) = remedy {
            text += &log::for_reader(&format!("{:7} {:13} → {remedy}", "", ""), 24);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_for_a_meter_follows_from_why_it_is_absent_and_not_from_words() {
        let of = |why| unmetered(&Absent { meter: Kind::Rapl, why, reason: "in another language".into() });
        assert!(of(Why::Forbidden).contains("chmod") && !of(Why::Missing).contains("chmod"));
    }

    #[test]
    fn what_is_missing_has_a_remedy_and_nothing_needed_is_broken_where_tests_run() {
        for check in checks(&Library { folder: None, fetch: None }) {
            assert_eq!(check.remedy.is_some(), check.state != State::Ok, "{check:?}");
            assert_ne!(check.state, State::Broken, "{check:?}");
        }
    }
}
