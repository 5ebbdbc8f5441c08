//! A run that faults happen to, and the account of what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isocost_harness::run_directory::{Key, key, read_records};
use isocost_harness::trajectory::Trajectory;

use crate::program::{folder_with, isocost, stderr};

/// What all faults happen to: two tasks, 48 trajectories, a second or two.
pub(crate) const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16, 64, 200]
n = [1, 2, 4]
strategies = ["first", "maj"]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "s"
source = "bundled:reason-s"

[[tasks]]
name = "countdown-3"
problems = 8

[[tasks]]
name = "chain"
problems = 4

[price]
device = "a test"
usd_per_device_hour = 1.0
source = "made up"
date = "2026-01-01"
"#;

/// Planted in the environment of everything that is run, and looked for in everything that is written.
pub(crate) const SECRETS: [(&str, &str); 2] =
    [("HF_TOKEN", "hf_plantedABCDEFGHIJ"), ("PLANTED_KEY", "sk-planted-0123456789")];

/// How much is tried: enough to fail when something breaks, or all of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Few,
    Full,
}

impl Effort {
    /// How often.
    pub(crate) fn of(self, few: usize, full: usize) -> usize {
        if self == Self::Few { few } else { full }
    }
}

/// What a fault did.
#[derive(Default)]
pub(crate) struct Account {
    /// Processes started.
    pub(crate) runs: usize,
    /// Times that the fault happened.
    pub(crate) faults: usize,
    /// Records that were whole on the disk after a fault and were not kept, or lack at the end.
    pub(crate) lost: usize,
    /// Records there twice at the end.
    pub(crate) doubled: usize,
    /// Records at the end that are not those of an undisturbed run.
    pub(crate) wrong: usize,
    /// How the program took it.
    pub(crate) seen: String,
    /// Why it was not tried here.
    pub(crate) skipped: Option<String>,
}

impl Account {
    pub(crate) fn skipped(why: &str) -> Self {
        Self { skipped: Some(why.to_owned()), ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.faults += other.faults;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.wrong += other.wrong;
    }

    pub(crate) fn seen(self, seen: impl Into<String>) -> Self {
        Self { seen: seen.into(), ..self }
    }

    /// As a test wants it; one that was skipped says so.
    pub(crate) fn expect_clean(self) {
        match self.skipped {
            Some(why) => println!("skipped: {why}"),
            None => {
                assert!(self.faults > 0 && self.runs > 0, "nothing happened");
                assert_eq!((self.lost, self.doubled, self.wrong), (0, 0, 0), "lost, doubled, wrong");
            }
        }
    }
}

/// The records of a run that nothing happened to, by key and without times, and how long it took to sample them.
pub(crate) struct Undisturbed {
    records: BTreeMap<Key, Trajectory>,
    took: Duration,
}

impl Undisturbed {
    pub(crate) fn of(sweep: &str) -> Self {
        let mut subject = Subject::new(sweep);
        let begun = SystemTime::now();
        let output = subject.run(&[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let last = std::fs::metadata(subject.file("trajectories.jsonl")).unwrap().modified().unwrap();
        Self { took: last.duration_since(begun).unwrap(), records: timeless(&subject.records()) }
    }

    /// Of the sweep that most faults happen to; it is run once.
    pub(crate) fn usual() -> &'static Self {
        static USUAL: OnceLock<Undisturbed> = OnceLock::new();
        USUAL.get_or_init(|| Self::of(SWEEP))
    }
}

/// A run that faults happen to.
pub(crate) struct Subject {
    place: tempfile::TempDir,
    out: PathBuf,
    /// Where it runs: a run goes on where it was begun.
    device: &'static str,
    /// What was whole on the disk after a fault; it must be there, to the last digit, at the end.
    remembered: BTreeMap<Key, Trajectory>,
    runs: usize,
    faults: usize,
}

impl Subject {
    pub(crate) fn new(sweep: &str) -> Self {
        let place = folder_with("small.toml", sweep);
        let out = place.path().join("out");
        Self { place, out, device: "auto", remembered: BTreeMap::new(), runs: 0, faults: 0 }
    }

    pub(crate) fn usual() -> Self {
        Self::new(SWEEP)
    }

    /// Its run directory is somewhere else.
    pub(crate) fn into(self, out: PathBuf) -> Self {
        Self { out, ..self }
    }

    /// It runs on other devices, from the first process on.
    pub(crate) fn on(&mut self, device: &'static str) {
        self.device = device;
    }

    pub(crate) fn folder(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn out(&self) -> &Path {
        &self.out
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The program, asked for anything.
    pub(crate) fn asked(&self, args: &[&str]) -> Command {
        let mut command = isocost(args, self.folder());
        command.envs(SECRETS).env("NO_PROXY", "127.0.0.1");
        command
    }

    /// The program, asked to run the sweep.
    pub(crate) fn command(&mut self, args: &[&str]) -> Command {
        self.runs += 1;
        let mut command =
            self.asked(&[&["run", "small.toml", "--device", self.device], args, &["--out"]].concat());
        command.arg(&self.out);
        command
    }

    /// Runs the sweep to whatever end.
    pub(crate) fn run(&mut self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        self.hear(&output);
        output
    }

    /// A command that runs the sweep, run in its folder and environment.
    pub(crate) fn ran_by(&mut self, command: &mut Command) -> Output {
        self.runs += 1;
        command.envs(SECRETS);
        let output = command.current_dir(self.folder()).stdin(Stdio::null()).output().unwrap();
        self.hear(&output);
        output
    }

    /// Starts to run the sweep; what it says goes to a file, since nobody reads while it is under way.
    pub(crate) fn start(&mut self, args: &[&str]) -> Child {
        let said = self.said();
        self.command(args).stdout(Stdio::null()).stderr(said).spawn().unwrap()
    }

    /// What was said so far by processes that were started.
    pub(crate) fn heard(&self) -> String {
        std::fs::read_to_string(self.folder().join("said")).unwrap_or_default()
    }

    /// Keeps what was said, to look for secrets in it; a process never panics, whatever happened to it.
    pub(crate) fn hear(&self, output: &Output) {
        let text = stderr(output);
        assert!(!text.contains("panicked") && output.status.code() != Some(101), "{text}");
        self.said().write_all(&[&output.stdout[..], &output.stderr].concat()).unwrap();
    }

    fn said(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.folder().join("said")).unwrap()
    }

    /// The records that are whole now.
    pub(crate) fn records(&self) -> BTreeMap<Key, Trajectory> {
        if !self.file("trajectories.jsonl").exists() {
            return BTreeMap::new();
        }
        read_records(&self.out).unwrap().into_iter().map(|record| (key(&record), record)).collect()
    }

    /// A fault has happened: whatever is whole now must stay.
    pub(crate) fn fault(&mut self) {
        self.faults += 1;
        self.remembered.extend(self.records());
    }

    /// A fault that takes records away on purpose.
    pub(crate) fn forgetful_fault(&mut self) {
        self.remembered.clear();
        self.fault();
    }

    /// Faults so far.
    pub(crate) fn faults(&self) -> usize {
        self.faults
    }

    /// Runs the sweep to its end, and counts.
    pub(crate) fn finish(mut self, undisturbed: &Undisturbed) -> Account {
        self.again(undisturbed)
    }

    /// As [`Subject::finish`]; more faults may follow, which are counted anew.
    pub(crate) fn again(&mut self, undisturbed: &Undisturbed) -> Account {
        let output = self.run(&[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let account = self.count(undisturbed);
        (self.runs, self.faults) = (0, 0);
        account
    }

    fn count(&self, undisturbed: &Undisturbed) -> Account {
        self.check_secrets();
        let found = self.records();
        let changed = self.remembered.iter().filter(|(key, record)| found.get(*key) != Some(*record)).count();
        let lacking = undisturbed.records.keys().filter(|key| !found.contains_key(*key)).count();
        let same = timeless(&found);
        let wrong =
            same.iter().filter(|(key, record)| undisturbed.records.get(*key) != Some(*record)).count();
        let text = std::fs::read_to_string(self.file("trajectories.jsonl")).unwrap();
        Account {
            runs: self.runs,
            faults: self.faults,
            lost: changed + lacking,
            doubled: text.lines().count() - found.len(),
            wrong,
            ..Account::default()
        }
    }

    /// The planted secrets are in no file, and so in nothing that was said.
    pub(crate) fn check_secrets(&self) {
        let mut pending: BTreeSet<PathBuf> = [self.folder().to_owned(), self.out.clone()].into();
        while let Some(path) = pending.pop_first() {
            if path.is_dir() {
                pending.extend(std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()));
            } else if let Ok(bytes) = std::fs::read(&path) {
                let text = String::from_utf8_lossy(&bytes);
                SECRETS.iter().for_each(|(name, value)| assert!(!text.contains(value), "{name}: {path:?}"));
            }
        }
    }
}

fn timeless(records: &BTreeMap<Key, Trajectory>) -> BTreeMap<Key, Trajectory> {
    records.iter().map(|(key, record)| (key.clone(), record.without_timing())).collect()
}

/// Moments at random; the seed is printed, so that they can be had again with `ISOCOST_FAULT_SEED`.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(of: &str) -> Self {
        let given = std::env::var("ISOCOST_FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| now.map_or(1, |now| now.subsec_nanos().into()));
        println!("{of}: ISOCOST_FAULT_SEED={seed}");
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A whole number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Waits until some moment of an undisturbed run's sampling, or of the report soon after it.
    pub(crate) fn wait(&mut self) {
        let micros = Undisturbed::usual().took.as_micros() as usize;
        std::thread::sleep(Duration::from_micros(self.below(micros * 5 / 4) as u64));
    }
}
