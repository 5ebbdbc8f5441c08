//! A run's records: what is no whole record is set aside, what is one is read, and a second reading finds nothing more to set aside.

#![no_main]

use isocost_harness::run_directory::{read_records, set_torn_aside};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let run = tempfile::tempdir().expect("a folder");
    std::fs::write(run.path().join("trajectories.jsonl"), bytes).expect("room for a file");
    let before = read_records(run.path()).expect("records");
    set_torn_aside(run.path()).expect("room for a file");
    assert_eq!(set_torn_aside(run.path()).expect("records"), 0);
    assert_eq!(read_records(run.path()).expect("records"), before);
});
