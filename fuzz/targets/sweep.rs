//! Sweep files.

#![no_main]

use isocost_harness::sweep::Sweep;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Sweep::parse("fuzz", text) {
        Ok(sweep) => assert!(!sweep.name.is_empty()),
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
});
