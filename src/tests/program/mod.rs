//! The program as a person runs it: a process in a folder, and what came of it.

// Each test crate uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use isocost_harness::run_directory::read_records;
use isocost_harness::trajectory::Trajectory;

/// A new folder that holds one file.
pub(crate) fn folder_with(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    folder
}

/// A small sweep over models of these sources, named by their numbers.
pub(crate) fn small_sweep(sources: &[&str]) -> String {
    let model = |(number, source)| format!("\n[[models]]\nname = \"m{number}\"\nsource = \"{source}\"\n");
    let models: String = sources.iter().enumerate().map(model).collect();
    let before = r#"
name = "small"
why = "a test"
seed = 5
budgets = [16]
n = [1]
strategies = ["first"]
rows = 2
sampling = { temperature = 0.8 }
tasks = [{ name = "countdown-3", problems = 2 }]
"#;
    before.to_owned() + &models
}

/// The program in a folder, not started yet; nothing is typed, and what it says is kept.
pub(crate) fn isocost(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isocost"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What became of it.
pub(crate) fn ran(args: &[&str], folder: &Path) -> Output {
    isocost(args, folder).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for something that a process does.
pub(crate) fn wait_until(child: &mut Child, happened: impl Fn() -> bool) {
    loop {
        let ended = child.try_wait().unwrap();
        if happened() {
            return;
        }
        assert!(ended.is_none(), "it ended before that happened: {ended:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal to a process, or to a group by its negative number; false if there is none.
pub(crate) fn signal(signal: &str, process: &str) -> bool {
    Command::new("kill").args([signal, "--", process]).stderr(Stdio::null()).status().unwrap().success()
}

/// What happens while a process stands still: however fast or slow the machine is, it is in the middle of its work.
pub(crate) fn while_stopped<T>(child: &mut Child, meanwhile: impl FnOnce() -> T) -> T {
    let id = child.id().to_string();
    assert!(signal("-STOP", &id));
    assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
    let done = meanwhile();
    assert!(signal("-CONT", &id));
    done
}

/// Bytes of a file, 0 if there is none.
pub(crate) fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// A run's records in a fixed order, without what differs from run to run.
pub(crate) fn records(run: &Path) -> Vec<Trajectory> {
    let mut records: Vec<_> = read_records(run).unwrap().iter().map(Trajectory::without_timing).collect();
    records.sort_by_key(|r| (r.model.clone(), r.task.clone(), r.waits, r.problem.clone(), r.trajectory));
    records
}

/// Lines of records as another tool would have written them, without checksums: they may be changed.
pub(crate) fn unsealed(lines: &str) -> String {
    let line = |line: &str| {
        line.rsplit_once(",\"crc32\":").map_or(line.to_owned(), |(record, _)| record.to_owned() + "}")
    };
    lines.lines().map(|text| line(text) + "\n").collect()
}

pub(crate) fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// A failed call says why in one line, its last, which has all these parts; the exit code is 2.
pub(crate) fn fails(output: &Output, expected: &[&str]) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("isocost: ")).count(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    let message = text.trim().lines().last().unwrap_or_default().to_owned();
    assert!(message.starts_with("isocost: "), "{text}");
    expected.iter().for_each(|part| assert!(message.contains(part), "{message} does not say {part}"));
    message
}
