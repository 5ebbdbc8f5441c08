//! Files of problems, in the format that the first byte chooses.

#![no_main]

use isocost_harness::data_file::rows;
use libfuzzer_sys::fuzz_target;

const FORMATS: [&str; 6] = ["json", "jsonl", "csv", "tsv", "txt", "parquet"];

fuzz_target!(|bytes: &[u8]| {
    let Some((format, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("problems").with_extension(FORMATS[usize::from(*format) % FORMATS.len()]);
    std::fs::write(&path, bytes).expect("room for a file");
    if let Err(message) = rows(&path) {
        assert_eq!(message.lines().count(), 1, "{message}");
    }
});
