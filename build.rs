//! Writes the git commit into the program, so that every run says which build made it.

use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn main() {
    let commit = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).map_or("unknown".into(), |status| {
        if status.is_empty() { "clean".to_owned() } else { "dirty".to_owned() }
    });
    println!("cargo:rustc-env=ISOCOST_COMMIT={commit}");
    println!("cargo:rustc-env=ISOCOST_TREE={dirty}");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/index");
    // An edit must not pass for the commit before it.
    for sources in ["Cargo.lock", "src", "harness", "models"] {
        println!("cargo:rerun-if-changed={sources}");
    }
}
