//! Devices that are lost, and memory that runs out.

use std::ops::ControlFlow;
use std::process::Stdio;

use isocost_harness::engine::{Activity, Engine, EngineError, Job, Settings, Sink};
use isocost_harness::manifest::{Manifest, read_manifest};
use isocost_harness::run_directory::RunDirectory;
use isocost_harness::sampling::{TaskInRun, sample_task};
use isocost_harness::source::Library;
use isocost_models::bundled;
use isocost_models::engine::LocalEngine;

use crate::account::{Account, Chance, Effort, Subject, Undisturbed};
use crate::disk::shell;
use crate::program::{signal, stderr, wait_until};

/// One worker of two dies, at a random moment: the other finishes.
pub(crate) fn worker_killed(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("worker killed"), Account::default());
    while account.faults < effort.of(1, 10) {
        let mut subject = Subject::usual();
        subject.on("cpu,cpu");
        let mut child = subject.start(&[]);
        while workers(&subject).len() < 2 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        chance.wait();
        let worker = workers(&subject)[chance.below(2)].clone();
        if signal("-KILL", &worker) && child.try_wait().unwrap().is_none() {
            subject.fault();
        }
        assert!(child.wait().unwrap().success(), "{}", subject.heard());
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("the other finishes, exit code 0; the report says which died")
}

/// Process ids of the workers, as far as they were said.
fn workers(subject: &Subject) -> Vec<String> {
    let heard = subject.heard();
    let whole = heard.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(|line| line.strip_prefix("worker on cpu: process ")).map(str::to_owned).collect()
}

/// An engine whose device fails in the middle of a call, after so many trajectories.
struct Failing<'a> {
    engine: &'a mut LocalEngine,
    after: usize,
    handed: usize,
}

impl Engine for Failing<'_> {
    fn sample(
        &mut self,
        jobs: &[Job],
        settings: &Settings,
        sink: &mut Sink,
    ) -> Result<Activity, EngineError> {
        let (handed, after) = (&mut self.handed, self.after);
        self.engine.sample(jobs, settings, &mut |generated| {
            if *handed == after {
                return ControlFlow::Break(());
            }
            *handed += 1;
            sink(generated)
        })?;
        Err(EngineError::Device("CUDA_ERROR_DEVICE_UNAVAILABLE".into()))
    }

    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError> {
        self.engine.prompt_tokens(job)
    }
}

/// A device that fails during a call: rows under way are lost with it, records are not. In this process, since there is no
/// device here that could be taken out; the engine, the sampling and the run directory are the program's.
pub(crate) fn fails_in_a_call(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("device fails"), Account::default());
    let folder = bundled::folder("bundled:reason-s").unwrap();
    let mut engine = LocalEngine::load_on_cpu(&folder, 8).unwrap();
    for _ in 0..effort.of(1, 8) {
        let mut subject = Subject::usual();
        // The program begins the run; only its manifest is wanted here.
        let mut child = subject.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(&mut child, || subject.file("trajectories.jsonl").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        let manifest = read_manifest(subject.out()).unwrap();
        let after = chance.below(30);
        let error = sampled(&mut engine, after, &manifest, &subject);
        assert!(error.contains("the device failed"), "{error}");
        subject.fault();
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("the run ends with the device's message; the next goes on")
}

/// Samples until the device fails; what is said then.
fn sampled(engine: &mut LocalEngine, after: usize, manifest: &Manifest, subject: &Subject) -> String {
    let sweep = &manifest.identity.sweep;
    let mut run = RunDirectory::open(subject.out(), manifest).unwrap();
    let entry = &sweep.tasks[0];
    let task = entry.task().unwrap();
    let problems = task.subset(entry.problems.unwrap(), sweep.seed, &Library::default()).unwrap();
    let task = TaskInRun { task, problems };
    let mut failing = Failing { engine, after, handed: 0 };
    let done = sample_task(&mut failing, &mut run, sweep, &sweep.models[0], &task, &mut |_| {
        ControlFlow::Continue(())
    });
    done.unwrap_err().to_string()
}

/// Address space that ends: the allocator fails, and the process is stopped as by the kernel's own killer.
pub(crate) fn out_of_memory(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("out of memory"), Account::default());
    let mut tries = 0;
    while account.faults < effort.of(1, 8) && tries < 10 * effort.of(1, 8) {
        tries += 1;
        let mut subject = Subject::usual();
        let limit = 20_000 + chance.below(400_000);
        let output = shell(&mut subject, &format!("ulimit -c 0; ulimit -v {limit}"));
        if output.status.success() {
            continue;
        }
        assert!(!subject.heard().contains(" panicked"), "{}", stderr(&output));
        subject.fault();
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("address space of 20 to 420 MB: the process ends, in loading or sampling; the next goes on. Of a GPU's memory: `models/tests/out_of_memory.rs`")
}
