//! Sweeps of several models: all are checked before the first is loaded, and one is loaded at a time.

mod program;

use std::path::Path;
use std::process::Output;

use isocost_models::bundled;
use program::{folder_with, isocost, small_sweep};

fn refused(folder: &Path) -> String {
    let Output { status, stderr, .. } =
        isocost(&["run", "small.toml", "--out", "out"], folder).output().unwrap();
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(!folder.join("out").exists(), "something was recorded: {text}");
    text.lines().last().unwrap_or_default().to_owned()
}

/// Most memory that the run of a sweep had in use, in bytes.
#[cfg(target_os = "linux")]
fn peak_bytes(sources: &[&str]) -> u64 {
    let folder = folder_with("small.toml", &small_sweep(sources));
    let said = folder.path().join("stderr");
    let mut child = isocost(&["run", "small.toml", "--out", "out"], folder.path())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}: {}", std::fs::read_to_string(said).unwrap());
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn a_sweep_takes_the_memory_of_one_model_however_many_it_has() {
    let weights = bundled::folder("bundled:reason-l").unwrap().join("model.safetensors");
    let weights = std::fs::metadata(weights).unwrap().len();
    let (one, eight) = (peak_bytes(&["bundled:reason-l"]), peak_bytes(&["bundled:reason-l"; 8]));
    assert!(one > weights, "{one} bytes: the peak was missed");
    // Eight at once would take seven more.
    assert!(eight < one + 3 * weights, "{one} bytes with one model, {eight} with eight of {weights}");
}

#[test]
fn a_model_that_cannot_run_is_an_error_before_the_first_token_of_any() {
    let damaged = tempfile::tempdir().unwrap();
    let bundled = bundled::folder("bundled:reason-s").unwrap();
    for file in std::fs::read_dir(bundled).unwrap().flatten() {
        std::fs::copy(file.path(), damaged.path().join(file.file_name())).unwrap();
    }
    let change = |file: &str, from: &str, to: &str| {
        let path = damaged.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    };
    let sweep = small_sweep(&["bundled:reason-s", damaged.path().to_str().unwrap()]);
    let workplace = folder_with("small.toml", &sweep);
    let config = damaged.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let width = text.split("\"intermediate_size\":").nth(1).unwrap().split(',').next().unwrap();
    change("config.json", &format!("\"intermediate_size\":{width}"), "\"intermediate_size\": 64");
    let message = refused(workplace.path());
    assert!(message.contains("model m1") && message.contains("asks for"), "{message}");

    std::fs::write(&config, text).unwrap();
    let context = "\"max_position_embeddings\":";
    change("config.json", context, "\"max_position_embeddings\": 24, \"as_it_was\":");
    let message = refused(workplace.path());
    assert!(message.contains("model m1") && message.contains("24"), "{message}");
}
