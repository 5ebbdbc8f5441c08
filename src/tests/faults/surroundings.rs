//! A clock that steps, readers that have gone away, names and places that are unusual.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use isocost_harness::step_log::read_steps;

use crate::account::{Account, Effort, Subject, Undisturbed};
use crate::program::{fails, stderr, stdout};

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The wall clock steps to and fro by days while the run is under way; the monotonic clock does not.
pub(crate) fn clock_steps(effort: Effort) -> Account {
    if !Path::new(FAKETIME).exists() {
        return Account::skipped("libfaketime is not here (Debian's package faketime)");
    }
    let mut account = Account::default();
    for _ in 0..effort.of(1, 4) {
        let mut subject = Subject::usual();
        let now = subject.folder().join("now");
        std::fs::write(&now, "+0d").unwrap();
        let clock = [
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", now.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        let begun = Instant::now();
        let mut child = subject.command(&[]).envs(clock).stdout(Stdio::null()).spawn().unwrap();
        for step in ["-1d", "+30d", "-400d", "+1d"].iter().cycle() {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::fs::write(&now, step).unwrap();
            std::thread::sleep(Duration::from_millis(40));
        }
        assert!(child.wait().unwrap().success());
        let wall_s = begun.elapsed().as_secs_f64();
        subject.fault();
        let steps = read_steps(subject.out()).unwrap();
        assert!(steps.iter().all(|logged| logged.step.seconds >= 0.0));
        let device_s: f64 = steps.iter().map(|logged| logged.step.seconds).sum();
        assert!(device_s > 0.0 && device_s < wall_s, "{device_s} s of steps in {wall_s} s");
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("no time is negative, and all of them together are less than what passed")
}

/// stdout and stderr whose reader has gone away before the first line.
pub(crate) fn nobody_reads(_: Effort) -> Account {
    let mut account = Account::default();
    for closed in ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| true", "2>&1 | true", "> /dev/full"] {
        let mut subject = Subject::usual();
        let program = env!("CARGO_BIN_EXE_isocost");
        let line = format!("{program} run small.toml --out out {closed}");
        let mut bash = Command::new("bash");
        subject.ran_by(bash.args(["-o", "pipefail", "-c", &line]));
        subject.fault();
        account.add(subject.finish(Undisturbed::usual()));
    }
    let mut subject = Subject::usual();
    assert!(subject.run(&[]).status.success());
    for asked in [
        "table out",
        "table out -o csv",
        "report out",
        "claims out",
        "score out",
        "tasks list",
        "tasks show chain",
        "models list",
    ] {
        let line = format!("{} {asked} | head -1", env!("CARGO_BIN_EXE_isocost"));
        let output = Command::new("bash").args(["-c", &line]).current_dir(subject.folder()).output().unwrap();
        subject.hear(&output);
        assert!(
            output.status.success() && stdout(&output).lines().count() <= 1,
            "{asked}: {}",
            stderr(&output)
        );
    }
    let full = format!("{} table out > /dev/full", env!("CARGO_BIN_EXE_isocost"));
    fails(
        &Command::new("bash").args(["-c", &full]).current_dir(subject.folder()).output().unwrap(),
        &["stdout"],
    );
    account.seen("closed, full, or a pipe that nobody reads: no panic, and all records are there")
}

/// No home, no locale, and hardly an environment.
pub(crate) fn no_home(_: Effort) -> Account {
    let mut subject = Subject::usual();
    let output = subject.command(&[]).env_clear().output().unwrap();
    subject.hear(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    subject.fault();
    subject.finish(Undisturbed::usual()).seen("an empty environment is enough")
}

/// A run directory whose name is no Unicode, has a line's end and an escape sequence in it, or is a link.
pub(crate) fn unusual_names(_: Effort) -> Account {
    let mut account = Account::default();
    for name in [&b"caf\xe9 \xff"[..], b"two\nlines", b"\x1b[2Jgone", b"-rf", b"it's; $(true)"] {
        let subject = Subject::usual();
        let out = subject.folder().join(OsStr::from_bytes(name));
        let mut subject = subject.into(out);
        let output = subject.run(&[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stderr(&output).contains('\u{1b}') && !stdout(&output).contains('\u{1b}'));
        subject.fault();
        account.add(subject.finish(Undisturbed::usual()));
    }
    let subject = Subject::usual();
    let (real, link) = (subject.folder().join("real"), subject.folder().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut subject = subject.into(link);
    subject.fault();
    account.add(subject.finish(Undisturbed::usual()));
    account.seen("the run is where it was asked for; what is said of it is escaped")
}
