//! Task files.

#![no_main]

use isocost_harness::task::Task;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Task::parse("fuzz", text) {
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
});
