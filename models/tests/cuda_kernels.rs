//! The CUDA kernels, compiled for this processor and checked against slow calculations (see `cuda/checks.cu`).
//!
//! Needs a C++ compiler; without one the test says so and passes. On a machine with a GPU, scripts/gpu.sh runs the
//! same comparisons there.

use std::path::Path;
use std::process::Command;

fn compiler() -> Option<String> {
    let named = std::env::var("CXX").ok();
    let mut candidates = named.into_iter().chain(["g++", "c++", "clang++"].map(String::from));
    candidates.find(|name| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()))
}

#[cfg(target_os = "linux")]
#[test]
fn every_kernel_agrees_with_a_slow_calculation() {
    let Some(compiler) = compiler() else {
        eprintln!("skipped: no C++ compiler (set CXX)");
        return;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda");
    let built = tempfile::tempdir().unwrap();
    let program = built.path().join("checks");
    let options = ["-std=c++17", "-O1", "-w", "-DEMULATED", "-I.", "-x", "c++", "checks.cu", "-o"];
    let status = Command::new(&compiler).args(options).arg(&program).current_dir(&folder).status().unwrap();
    assert!(status.success(), "{compiler} cannot compile the kernels");
    // A seed of its own each day would find more, and not be the same test twice.
    let output = Command::new(&program).args(["1", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}
