//! A model's `config.json`.

#![no_main]

use std::path::Path;

use isocost_models::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text, Path::new("config.json")) {
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
});
