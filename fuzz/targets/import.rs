//! Completions that other tools sampled, in the format that the first byte chooses: read and graded.

#![no_main]

use isocost_harness::import::{Format, Names, read};
use isocost_harness::judge::Judge;
use libfuzzer_sys::fuzz_target;

const FORMATS: [(Format, &str); 4] = [
    (Format::LmEval, "samples_t_2026-01-01T00-00-00.jsonl"),
    (Format::Lighteval, "details_t_2026-01-01T00-00-00.parquet"),
    (Format::Inspect, "log.json"),
    (Format::Jsonl, "completions.jsonl"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((format, bytes)) = bytes.split_first() else { return };
    let (format, name) = FORMATS[usize::from(*format) % FORMATS.len()];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("room for a file");
    match read(format, &[&path], &Names::default()) {
        Ok(mut found) => {
            found.completions.iter_mut().for_each(|completion| completion.grade(&Judge::default()))
        }
        Err(message) => assert_eq!(message.lines().count(), 1, "{message}"),
    }
});
