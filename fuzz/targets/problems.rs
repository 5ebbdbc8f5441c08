//! A task with its problems: its TOML, an empty line with a dash, and the file that its source names, whatever its format.

#![no_main]

use isocost_harness::source::{Library, Place};
use isocost_harness::task::Task;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((task, problems)) = text.split_once("\n-\n") else { return };
    let Ok(task) = Task::parse("fuzz", task) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let library = Library { folder: Some(folder.path().to_owned()), fetch: None };
    for source in &task.sources {
        match &source.from {
            // Anything else would be made here, or looked for outside of the folder.
            Place::Path(path) if path.components().count() == 1 => {
                let _ = std::fs::write(folder.path().join(path), problems);
            }
            _ => return,
        }
    }
    match task.problems(&library) {
        Ok(set) => set.problems().iter().for_each(|problem| {
            task.job(problem, vec![0]);
            task.judge.judge_completion(&problem.gold, &problem.gold);
        }),
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
});
