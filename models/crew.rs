//! Several devices of one machine as one engine: a worker process on each.
//!
//! Problems are handed out as workers become free, in pieces that shrink towards the end, so that a slow device holds
//! nobody up. Random draws are keyed by problem and trajectory, so who samples what does not matter: the records are
//! those of one device. A worker that dies is no reason to stop. What it had not handed over goes to the others,
//! and the run says that it happened.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use isocost_harness::engine::{Activity, Engine, EngineError, Generated, Job, Settings, Sink};
use isocost_harness::step::Step;

use crate::worker::{Load, Reply, Request};

/// Pieces that the jobs are dealt out in, for each worker.
const PIECES: usize = 4;

/// Workers that sample one model together.
pub struct Crew {
    workers: Vec<Worker>,
    /// Replies with the worker's number; none once its output ended.
    replies: Receiver<(usize, Option<Reply>)>,
    /// Who hears of every step.
    listeners: Vec<Sender<Step>>,
}

/// What a call of [`Engine::sample`] has to do, and did.
struct Work<'a> {
    jobs: &'a [Job],
    settings: &'a Settings,
    /// Jobs that nobody was given yet, with their numbers.
    queue: VecDeque<(usize, Job)>,
    activity: Activity,
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
        let mut crew = Self { workers, replies, listeners: vec![] };
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
            Some(Reply::Failed(message)) => Err(self.failed(number, &message)),
            _ => Err(EngineError::Device(format!(
                "the worker on {} ended while it was loading",
                worker.device
            ))),
        }
    }

    /// Gives every free worker a piece of what is left.
    fn hand_out(&mut self, work: &mut Work) {
        let queue = &mut work.queue;
        let alive = self.workers.iter().filter(|worker| worker.is_alive).count();
        for worker in self.workers.iter_mut().filter(|worker| worker.is_alive && !worker.is_busy) {
            let Some((_, first)) = queue.front() else { return };
            // At least what fills its batch.
            let filling = worker.rows.div_ceil(first.trajectories.len().max(1));
            let piece = filling.max(queue.len() / (PIECES * alive)).min(queue.len());
            worker.give(queue.drain(..piece).collect(), work.settings);
        }
    }

    fn is_done(&self, work: &Work) -> bool {
        work.queue.is_empty() && self.workers.iter().all(|worker| !worker.is_busy)
    }

    /// Waits for a reply, as long as anybody lives to give one.
    fn hear(&self) -> Result<(usize, Option<Reply>), EngineError> {
        if self.workers.iter().all(|worker| !worker.is_alive) {
            return Err(nobody_left());
        }
        self.replies.recv().map_err(|_| nobody_left())
    }

    fn step_was_made(&mut self, step: Step) {
        // Nobody listening any more is no reason to stop.
        self.listeners.retain(|to| to.send(step).is_ok());
    }

    fn is_free(&mut self, number: usize, done: Activity, work: &mut Work) {
        // A worker takes the other workers for strangers.
        work.activity.add(&Activity { others_s: None, ..done });
        self.workers[number].is_busy = false;
        self.hand_out(work);
    }

    /// What a dead worker had not handed over is for the others.
    fn died(&mut self, number: usize, work: &mut Work) {
        let worker = &mut self.workers[number];
        (worker.is_alive, worker.is_busy) = (false, false);
        let left = worker.given.drain(..).filter(|(_, trajectories)| !trajectories.is_empty());
        let again = |(job, left): (usize, BTreeSet<u32>)| {
            (job, Job { trajectories: left.into_iter().collect(), ..work.jobs[job].clone() })
        };
        let left: Vec<(usize, Job)> = left.map(again).collect();
        let others = match left.len() {
            0 => "it had handed everything over".to_owned(),
            lost => format!("its {lost} unfinished problems went to the others"),
        };
        left.into_iter().rev().for_each(|job| work.queue.push_front(job));
        let (device, process) = (&worker.device, worker.child.id());
        work.activity.incidents.push(format!("The worker on {device} (process {process}) died; {others}."));
        self.hand_out(work);
    }

    fn failed(&self, number: usize, message: &str) -> EngineError {
        EngineError::Device(format!("worker on {}: {message}", self.workers[number].device))
    }
}

/// The sums over devices that worked side by side for `wall_s` seconds. Their own seconds are those of the mean device, so
/// that they are a share of these.
fn side_by_side(sums: Activity, devices: usize, wall_s: f64) -> Activity {
    let mean = |seconds: f64| seconds / devices.max(1) as f64;
    let (device_s, handing_over_s) = (mean(sums.device_s), mean(sums.handing_over_s));
    Activity { wall_s, device_s, handing_over_s, ..sums }
}

impl Engine for Crew {
    fn sample(
        &mut self,
        jobs: &[Job],
        settings: &Settings,
        sink: &mut Sink,
    ) -> Result<Activity, EngineError> {
        let started = Instant::now();
        let queue = jobs.iter().cloned().enumerate().collect();
        let mut work = Work { jobs, settings, queue, activity: Activity::default() };
        self.hand_out(&mut work);
        while !self.is_done(&work) {
            let (number, reply) = self.hear()?;
            match reply {
                Some(Reply::Step(step)) => self.step_was_made(step),
                Some(Reply::Generated(generated)) => {
                    let generated = self.workers[number].handed_over(generated);
                    if generated.is_some_and(|generated| sink(generated).is_break()) {
                        self.workers.iter_mut().for_each(Worker::end);
                        break;
                    }
                }
                Some(Reply::Done(done)) => self.is_free(number, done, &mut work),
                Some(Reply::Failed(message)) => return Err(self.failed(number, &message)),
                Some(Reply::Loaded(_)) | None => self.died(number, &mut work),
            }
        }
        Ok(side_by_side(work.activity, self.workers.len(), started.elapsed().as_secs_f64()))
    }

    fn report_steps(&mut self, to: Sender<Step>) {
        self.listeners.push(to);
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ops::ControlFlow;
    use std::path::Path;

    use isocost_harness::cell::Policy;
    use isocost_harness::engine::Sampling;

    use crate::source::Source;

    /// Workers that are shell commands.
    fn crew(scripts: &[&str]) -> Crew {
        let names: Vec<String> = scripts.iter().map(|script| (*script).to_owned()).collect();
        let command = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let load = Load { source: Source::at(Path::new("model")), rows: 1, row_tokens: 16 };
        Crew::start(&names, command, &load).unwrap()
    }

    fn said(reply: &Reply) -> String {
        format!("echo '{}'", serde_json::to_string(reply).unwrap())
    }

    fn jobs() -> Vec<Job> {
        let (instructions, question) = (String::new(), String::new());
        let job = Job { problem: "p".into(), instructions, question, trajectories: vec![0] };
        vec![job.clone(), job]
    }

    fn settings() -> Settings {
        let sampling = Sampling { temperature: 0.0, top_k: None, top_p: None, min_p: None };
        let policy = Policy::Truncate;
        Settings { budgets: vec![], policy, answer_tokens: 1, waits: 0, sampling, seed: 1 }
    }

    /// Makes a step and is done with all it is asked, after what it says were ten seconds of work.
    fn worker() -> String {
        let done = Activity { wall_s: 10.0, device_s: 8.0, sampled_tokens: 5, ..Activity::default() };
        let (loaded, step, done) = (Reply::Loaded(1), Reply::Step(Step::default()), Reply::Done(done));
        let asked = format!("while read asked; do {}; {}; done", said(&step), said(&done));
        format!("read load; {}; {asked}", said(&loaded))
    }

    #[test]
    fn devices_side_by_side_take_the_seconds_of_a_clock_and_not_their_sum() {
        let (begun, script) = (Instant::now(), worker());
        let mut crew = crew(&[&script, &script]);
        let activity = crew.sample(&jobs(), &settings(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((activity.sampled_tokens, activity.device_s), (10, 8.0));
        assert!(activity.wall_s > 0.0 && activity.wall_s <= begun.elapsed().as_secs_f64(), "{activity:?}");
    }

    #[test]
    fn everybody_who_asked_hears_of_every_step() {
        let script = worker();
        let mut crew = crew(&[&script, &script]);
        let heard: Vec<_> = (0..2)
            .map(|_| {
                let (to, steps) = mpsc::channel();
                crew.report_steps(to);
                steps
            })
            .collect();
        crew.sample(&jobs(), &settings(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(heard.iter().map(|steps| steps.try_iter().count()).collect::<Vec<_>>(), [2, 2]);
    }
}
