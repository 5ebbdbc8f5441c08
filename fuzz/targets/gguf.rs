//! Headers of GGUF files.

#![no_main]

use isocost_models::gguf::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::read(bytes);
});
