//! Several devices of one machine as one engine: a worker process on each.
//!
//! Problems are handed out as workers become free, in pieces that shrink towards the end, so that a slow device holds
//! nobody up. Random draws are keyed by problem and trajectory, so who samples what does not matter: the records are
//! those of one device. A worker that dies is no reason to stop. What it had not handed over goes to the others,
//! and the run says that it happened.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};

use isocost_harness::engine::{Activity, Engine, EngineError, Generated, Job, Settings};
use isocost_harness::step::Step;

use crate::worker::{Load, Reply, Request};

/// Pieces that the jobs are dealt out in, for each worker.
const PIECES: usize = 4;

/// Workers that sample one model together.
pub struct Crew {
    workers: Vec<Worker>,
    /// Replies with the worker's number; none once its output ended.
    replies: Receiver<(usize, Option<Reply>)>,
    steps: Option<Sender<Step>>,
}

/// A process with the model on its device.
struct Worker {
    device: String,
    child: Child,
    rows: usize,
    is_alive: bool,
    /// The jobs it was given, each with its number among all, and with the trajectories it has not handed over.
    given: Vec<(usize, BTreeSet<u32>)>,
    is_busy: bool,
}

impl Crew {
    /// Starts a process for each device and loads the model in all of them.
    ///
    /// # Errors
    /// [`EngineError::Device`] if a process cannot be started or cannot load the model.
    pub fn start(
        devices: &[String],
        command: impl Fn(&str) -> Command,
        load: &Load,
    ) -> Result<Self, EngineError> {
        let (sender, replies) = mpsc::channel();
        let start = |(number, device): (usize, &String)| {
            Worker::start(device, command(device), number, sender.clone())
        };
        let workers = devices.iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
        let mut crew = Self { workers, replies, steps: None };
        crew.workers.iter_mut().for_each(|worker| worker.ask(&Request::Load(load.clone())));
        for _ in devices {
            crew.hear_loaded()?;
        }
        Ok(crew)
    }

    /// The workers' devices and process ids.
    pub fn workers(&self) -> impl Iterator<Item = (&str, u32)> {
        self.workers.iter().map(|worker| (worker.device.as_str(), worker.child.id()))
    }

    fn hear_loaded(&mut self) -> Result<(), EngineError> {
        let Ok((number, reply)) = self.replies.recv() else { return Err(nobody_left()) };
        let worker = &mut self.workers[number];
        match reply {
            Some(Reply::Loaded(rows)) => {
                worker.rows = rows;
                Ok(())
            }
            Some(Reply::Failed(message)) => {
                Err(EngineError::Device(format!("worker on {}: {message}", worker.device)))
            }
            _ => Err(EngineError::Device(format!(
                "the worker on {} ended while it was loading",
                worker.device
            ))),
        }
    }

    /// Gives every free worker a piece of what is left.
    fn hand_out(&mut self, queue: &mut VecDeque<(usize, Job)>, settings: &Settings) {
        let alive = self.workers.iter().filter(|worker| worker.is_alive).count();
        for worker in self.workers.iter_mut().filter(|worker| worker.is_alive && !worker.is_busy) {
            let Some((_, first)) = queue.front() else { return };
            // At least what fills its batch.
            let filling = worker.rows.div_ceil(first.trajectories.len().max(1));
            let piece = filling.max(queue.len() / (PIECES * alive)).min(queue.len());
            worker.give(queue.drain(..piece).collect(), settings);
        }
    }

    /// What a dead worker had not handed over is for the others.
    fn bury(&mut self, number: usize, jobs: &[Job], queue: &mut VecDeque<(usize, Job)>) -> String {
        let worker = &mut self.workers[number];
        worker.is_alive = false;
        worker.is_busy = false;
        let left = worker.given.drain(..).filter(|(_, trajectories)| !trajectories.is_empty());
        let left: Vec<(usize, Job)> = left
            .map(|(job, left)| (job, Job { trajectories: left.into_iter().collect(), ..jobs[job].clone() }))
            .collect();
        let others = match left.len() {
            0 => "it had handed everything over".to_owned(),
            lost => format!("its {lost} unfinished problems went to the others"),
        };
        left.into_iter().rev().for_each(|job| queue.push_front(job));
        format!("The worker on {} (process {}) died; {others}.", worker.device, worker.child.id())
    }

    fn is_done(&self, queue: &VecDeque<(usize, Job)>) -> bool {
        queue.is_empty() && self.workers.iter().all(|worker| !worker.is_busy)
    }
}

impl Engine for Crew {
    fn sample(
        &mut self,
        jobs: &[Job],
        settings: &Settings,
        sink: &mut dyn FnMut(Generated) -> ControlFlow<()>,
    ) -> Result<Activity, EngineError> {
        let mut queue: VecDeque<(usize, Job)> = jobs.iter().cloned().enumerate().collect();
        let mut activity = Activity::default();
        self.hand_out(&mut queue, settings);
        while !self.is_done(&queue) {
            if self.workers.iter().all(|worker| !worker.is_alive) {
                return Err(nobody_left());
            }
            let Ok((number, reply)) = self.replies.recv() else { return Err(nobody_left()) };
            match reply {
                Some(Reply::Step(step)) => {
                    // Nobody listening any more is no reason to stop.
                    let _ = self.steps.as_ref().map(|to| to.send(step));
                }
                Some(Reply::Generated(generated)) => {
                    let Some(generated) = self.workers[number].handed_over(generated) else { continue };
                    if sink(generated).is_break() {
                        self.workers.iter_mut().for_each(Worker::end);
                        break;
                    }
                }
                Some(Reply::Done(done)) => {
                    // A worker takes the other workers for strangers.
                    activity.add(&Activity { others_s: None, ..done });
                    self.workers[number].is_busy = false;
                    self.hand_out(&mut queue, settings);
                }
                Some(Reply::Failed(message)) => {
                    let device = &self.workers[number].device;
                    return Err(EngineError::Device(format!("worker on {device}: {message}")));
                }
                Some(Reply::Loaded(_)) | None => {
                    activity.incidents.push(self.bury(number, jobs, &mut queue));
                    self.hand_out(&mut queue, settings);
                }
            }
        }
        Ok(activity)
    }

    fn report_steps(&mut self, to: Sender<Step>) {
        self.steps = Some(to);
    }

    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError> {
        let message = "several workers do not count prompts: ask one device".to_owned();
        Err(EngineError::Prompt { problem: job.problem.clone(), message })
    }
}

impl Worker {
    fn start(
        device: &str,
        mut command: Command,
        number: usize,
        replies: Sender<(usize, Option<Reply>)>,
    ) -> Result<Self, EngineError> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let fail =
            |e: std::io::Error| EngineError::Device(format!("a worker cannot be started on {device}: {e}"));
        let mut child = child.map_err(fail)?;
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || read_replies(number, output, &replies));
        }
        Ok(Self { device: device.to_owned(), child, rows: 1, is_alive: true, given: vec![], is_busy: false })
    }

    /// A worker that cannot be written to is dead, which its output says.
    fn ask(&mut self, request: &Request) {
        let line = serde_json::to_string(request).expect("a request is plain data") + "\n";
        if let Some(input) = &mut self.child.stdin {
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
    }

    fn give(&mut self, jobs: Vec<(usize, Job)>, settings: &Settings) {
        let trajectories = |job: &Job| job.trajectories.iter().copied().collect();
        self.given = jobs.iter().map(|(number, job)| (*number, trajectories(job))).collect();
        self.is_busy = true;
        let jobs = jobs.into_iter().map(|(_, job)| job).collect();
        self.ask(&Request::Sample { jobs, settings: settings.clone() });
    }

    /// The trajectory under the number of its job among all; none if it was not asked for.
    fn handed_over(&mut self, generated: Generated) -> Option<Generated> {
        let (job, left) = self.given.get_mut(generated.job)?;
        left.remove(&generated.trajectory).then_some(Generated { job: *job, ..generated })
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.is_alive = false;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Passes a worker's lines on until they end; one that is no reply ends them too.
fn read_replies(number: usize, output: ChildStdout, replies: &Sender<(usize, Option<Reply>)>) {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    for reply in lines.map_while(|line| serde_json::from_str(&line).ok()) {
        if replies.send((number, Some(reply))).is_err() {
            return;
        }
    }
    let _ = replies.send((number, None));
}

fn nobody_left() -> EngineError {
    EngineError::Device("all workers died: what is recorded is kept; run again, or take fewer devices".into())
}
