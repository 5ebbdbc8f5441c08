//! Mistakes that people make: each is refused in one line that says what to write instead.

mod program;

use std::path::Path;

use program::{fails, folder_with, ran, small_sweep, stderr, stdout};

#[test]
fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
    let sweep = small_sweep(&["reason-s"]);
    let folder = folder_with("small.toml", &sweep);
    fails(&ran(&["run", "small.toml"], folder.path()), &["write bundled:reason-s"]);
    fails(&ran(&["--data", "/nope", "tasks", "list"], folder.path()), &["/nope: there is no such folder"]);
    std::fs::write(folder.path().join("nope.toml"), sweep.replace("countdown-3", "chess")).unwrap();
    let said = fails(&ran(&["run", "nope.toml"], folder.path()), &["no task `chess`"]);
    assert_eq!(said.matches("no task").count(), 1, "{said}");
}

#[test]
fn nothing_to_do_is_no_success() {
    let here = Path::new(".");
    for (arguments, said) in [
        (&["run", "quickstart", "--limit", "0"][..], "count from 1"),
        (&["plan", "quickstart", "--limit", "0"], "count from 1"),
        (&["economy", "quickstart", "--problems", "0"], "count from 1"),
        (&["replay", "run", "--saturated", "0"], "--saturated"),
        (&["replay", "run", "--saturated", "2", "--itl-limit", "nan"], "above 0"),
        (&["bench", "-m", "bundled:reason-s", "-p", "0", "-n", "0"], "nothing to time"),
        (&["bench", "-m", "bundled:reason-s", "-p", "8", "-b", "0"], "above 0"),
        (&["bench", "-m", "bundled:reason-s", "-p", "1-10*1"], "never gets from 1 to 10"),
    ] {
        let output = ran(arguments, here);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_backtrace_is_in_no_message() {
    let mut bench = program::isocost(
        &["bench", "-m", "bundled:reason-s", "-p", "8", "-n", "2", "-d", "5000"],
        Path::new("."),
    );
    let said = fails(&bench.env("RUST_BACKTRACE", "1").output().unwrap(), &["model's context of 1024"]);
    assert!(said.ends_with("context of 1024"), "{said}");
}

#[test]
fn help_is_wrapped() {
    for command in ["run", "compare", "calibrate", "publish"] {
        let help = stdout(&ran(&[command, "--help"], Path::new(".")));
        let prose = help.split("Example").next().unwrap();
        assert!(prose.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
