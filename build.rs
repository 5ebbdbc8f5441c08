//! Writes the git commit into the program, so that every run says which build made it.

use std::process::{Command, Stdio};

/// What the program is made of.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "build.rs", "src", "harness", "models"];

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The hash of what the sources hold beyond the commit, so that two dirty builds are told apart.
fn diff() -> Option<String> {
    let args = ["diff", "--no-ext-diff", "--binary", "HEAD", "--"];
    let mut diff = Command::new("git").args(args).args(SOURCES).stdout(Stdio::piped()).spawn().ok()?;
    let hash =
        Command::new("git").args(["hash-object", "--stdin"]).stdin(diff.stdout.take()?).output().ok()?;
    let is_whole = diff.wait().ok()?.success() && hash.status.success();
    is_whole.then(|| String::from_utf8_lossy(&hash.stdout).trim().to_owned())
}

fn main() {
    let commit = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).map_or("unknown".into(), |status| {
        if status.is_empty() { "clean".to_owned() } else { "dirty".to_owned() }
    });
    println!("cargo:rustc-env=ISOCOST_COMMIT={commit}");
    println!("cargo:rustc-env=ISOCOST_TREE={dirty}");
    if let Some(diff) = diff().filter(|_| dirty == "dirty") {
        println!("cargo:rustc-env=ISOCOST_DIFF={diff}");
    }
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/index");
    // An edit must not pass for the commit before it.
    for sources in SOURCES {
        println!("cargo:rerun-if-changed={sources}");
    }
}
