//! Disks that fill, cannot be written, or lose the run directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::account::{Account, Chance, Effort, Subject, Undisturbed};
use crate::program::{bytes, fails, stderr, wait_until};

/// A small disk in memory, for as long as it is held.
struct Disk(PathBuf);

impl Disk {
    /// `None` where the system does not let the test mount one.
    fn new(at: &Path, kilobytes: usize) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"], at);
        mounted.then(|| Self(at.to_owned()))
    }

    fn change(&self, how: &str) {
        assert!(mount(&["-o", &format!("remount,{how}")], &self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(args).arg(at).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Room for a part of the records, or of the report after them.
pub(crate) fn full(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("full disk"), Account::default());
    while account.faults < effort.of(1, 10) {
        let subject = Subject::usual();
        let at = subject.folder().join("disk");
        let Some(disk) = Disk::new(&at, 40 + chance.below(700)) else { return limited(effort) };
        let mut subject = subject.into(at.join("out"));
        let output = subject.run(&[]);
        if !output.status.success() {
            fails(&output, &["No space left", "free some space"]);
            subject.fault();
        }
        disk.change("size=64m");
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("a tmpfs of 40 to 740 KiB: one line, exit code 2; goes on once there is room")
}

/// Where nothing can be mounted: files that may not grow, of which writes fail in the middle of a line.
fn limited(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("full disk"), Account::default());
    while account.faults < effort.of(1, 10) {
        let mut subject = Subject::usual();
        let limit = 10 + chance.below(80);
        let output = shell(&mut subject, &format!("trap '' XFSZ; ulimit -f {limit}"));
        if !output.status.success() {
            fails(&output, &["free some space"]);
            subject.fault();
        }
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen(
        "a limit of file sizes, since nothing can be mounted here: one line, exit code 2; goes on without it",
    )
}

/// Runs the sweep from a shell that has done something first.
pub(crate) fn shell(subject: &mut Subject, first: &str) -> Output {
    let line = format!("{first}; exec {} run small.toml --out out", env!("CARGO_BIN_EXE_isocost"));
    subject.ran_by(Command::new("sh").args(["-c", &line]))
}

/// A run directory, half done, that can only be read: root, too, cannot write there.
pub(crate) fn read_only(effort: Effort) -> Account {
    let mut account = Account::default();
    for _ in 0..effort.of(1, 3) {
        let subject = Subject::usual();
        let at = subject.folder().join("disk");
        let Some(disk) = Disk::new(&at, 65_536) else {
            return Account::skipped("no disk can be mounted here");
        };
        let mut subject = subject.into(at.join("out"));
        half_done(&mut subject);
        disk.change("ro");
        let out = subject.out().to_str().unwrap().to_owned();
        fails(&subject.run(&[]), &["ead-only", "choose a place that can be written"]);
        prints_first(&subject.asked(&["report", &out]).output().unwrap());
        prints_first(&subject.asked(&["claims", &out]).output().unwrap());
        // What only reads still can.
        let table = subject.asked(&["table", &out, "-o", "csv"]).output().unwrap();
        assert!(
            table.status.success() || stderr(&table).contains("no complete problem"),
            "{}",
            stderr(&table)
        );
        subject.fault();
        disk.change("rw");
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("one line, exit code 2; what only reads works")
}

/// What was computed is said before what could not be written.
fn prints_first(output: &Output) {
    if stderr(output).contains("no complete problem") {
        return;
    }
    fails(output, &["ead-only", "choose a place that can be written"]);
    assert!(!output.stdout.is_empty());
}

/// Runs until some records are there, and is killed.
pub(crate) fn half_done(subject: &mut Subject) {
    let mut child = subject.start(&[]);
    wait_until(&mut child, || bytes(&subject.file("trajectories.jsonl")) > 20_000);
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be one that was being written.
    if std::fs::read(subject.file("trajectories.jsonl")).unwrap().last() != Some(&b'\n') {
        assert!(subject.run(&[]).status.success());
    }
}

/// The directory gets another name while it is written, and its own again.
pub(crate) fn moved(effort: Effort) -> Account {
    let mut account = Account::default();
    for _ in 0..effort.of(1, 5) {
        let mut subject = Subject::usual();
        let (out, elsewhere) = (subject.out().to_owned(), subject.folder().join("elsewhere"));
        let mut child = subject.start(&[]);
        wait_until(&mut child, || bytes(&subject.file("trajectories.jsonl")) > 0);
        std::fs::rename(&out, &elsewhere).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(2), "{}", subject.heard());
        assert!(subject.heard().contains("was it moved or removed?"), "{}", subject.heard());
        std::fs::rename(&elsewhere, &out).unwrap();
        subject.fault();
        account.add(subject.finish(Undisturbed::usual()));
    }
    account
        .seen("one line, exit code 2; records go with the directory, and are gone on with where it is then")
}

/// The directory is removed while it is written: no run pretends to be done.
pub(crate) fn removed(effort: Effort) -> Account {
    let mut account = Account::default();
    for _ in 0..effort.of(1, 5) {
        let mut subject = Subject::usual();
        let mut child = subject.start(&[]);
        wait_until(&mut child, || bytes(&subject.file("trajectories.jsonl")) > 0);
        while std::fs::remove_dir_all(subject.out()).is_err() {}
        assert_eq!(child.wait().unwrap().code(), Some(2), "{}", subject.heard());
        assert!(subject.heard().contains("was it moved or removed?"), "{}", subject.heard());
        subject.forgetful_fault();
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("one line, exit code 2, at the next record; a new run begins anew")
}
