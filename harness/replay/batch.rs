//! The batch being played.

use std::collections::VecDeque;

use super::{Cost, Course, Replayed, Request};
use crate::step::Load;

/// Steps taken at once at most, so that gaps between tokens keep their spread over the context.
const STRETCH: u32 = 64;

/// A row of the batch.
struct Row {
    request: usize,
    /// Tokens in the cache before the coming step.
    context: u64,
    stage: Stage,
    /// Equal steps left in this stage.
    left: u32,
    course: Course,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Prompt,
    Thinking,
    Closing,
    Answering,
}

/// A request whose prompt was read and whose completions did not all start.
struct Source {
    request: usize,
    next: usize,
}

/// A request under way.
#[derive(Clone, Copy, Default)]
struct Progress {
    started_s: f64,
    finished: usize,
}

/// Requests on a device.
pub(super) struct Batch<'a> {
    requests: &'a [Request],
    rows: u32,
    cost: &'a dyn Cost,
    now_s: f64,
    next: usize,
    progress: Vec<Progress>,
    sources: VecDeque<Source>,
    active: Vec<Row>,
    /// What was forked and sampled since the step before.
    host: Load,
}

impl<'a> Batch<'a> {
    pub(super) fn new(requests: &'a [Request], rows: u32, cost: &'a dyn Cost) -> Self {
        Self {
            requests,
            rows: rows.max(1),
            cost,
            now_s: 0.0,
            next: 0,
            progress: vec![Progress::default(); requests.len()],
            sources: VecDeque::new(),
            active: Vec::new(),
            host: Load::default(),
        }
    }

    /// Plays until nothing is left.
    pub(super) fn play(mut self, replayed: &mut Replayed) {
        loop {
            self.admit(replayed);
            if self.active.is_empty() {
                break;
            }
            self.stretch(replayed);
        }
        replayed.device_s += self.now_s;
    }

    /// Fills free places as the scheduler does: completions of prompts that were read, then prompts.
    fn admit(&mut self, replayed: &mut Replayed) {
        while self.active.len() < self.rows as usize {
            if let Some(source) = self.sources.front_mut() {
                let (request, completion) = (source.request, source.next);
                source.next += 1;
                if source.next == self.requests[request].completions.len() {
                    self.sources.pop_front();
                }
                self.start_completion(request, completion, replayed);
            } else if self.next < self.requests.len() {
                self.start_request();
            } else {
                break;
            }
        }
    }

    fn start_request(&mut self) {
        let request = self.next;
        self.next += 1;
        self.progress[request].started_s = self.now_s;
        let Some(&course) = self.requests[request].completions.first() else { return };
        self.active.push(Row { request, context: 0, stage: Stage::Prompt, left: 1, course });
    }

    fn start_completion(&mut self, request: usize, completion: usize, replayed: &mut Replayed) {
        let course = self.requests[request].completions[completion];
        self.host.forks += 1;
        self.host.sampled_tokens += 1;
        let context = u64::from(course.prompt_tokens);
        let row = Row { request, context, stage: Stage::Prompt, left: 0, course };
        // Without a thought the first token is the answer's.
        if course.thinking_steps == 0 && course.closing_tokens.is_none() && course.answers {
            replayed.ttfa_s.push(self.now_s - self.progress[request].started_s);
        }
        self.turn(row, replayed);
    }

    /// Moves a row whose stage is over to the next one that has steps, or ends it.
    fn turn(&mut self, mut row: Row, replayed: &mut Replayed) {
        while row.left == 0 {
            (row.stage, row.left) = match row.stage {
                Stage::Prompt => (Stage::Thinking, row.course.thinking_steps),
                Stage::Thinking => (Stage::Closing, u32::from(row.course.closing_tokens.is_some())),
                Stage::Closing => (Stage::Answering, row.course.answer_steps),
                Stage::Answering => return self.finish(row.request, replayed),
            };
        }
        self.active.push(row);
    }

    fn finish(&mut self, request: usize, replayed: &mut Replayed) {
        let progress = &mut self.progress[request];
        progress.finished += 1;
        if progress.finished == self.requests[request].completions.len() {
            replayed.e2e_s.push(self.now_s - progress.started_s);
        }
    }

    /// Takes as many steps as are alike.
    fn stretch(&mut self, replayed: &mut Replayed) {
        let fresh = self.host != Load::default();
        let turning = self.active.iter().any(|row| matches!(row.stage, Stage::Prompt | Stage::Closing));
        let left = self.active.iter().map(|row| row.left).min().unwrap_or(1);
        let steps = if fresh || turning { 1 } else { left.min(STRETCH) };
        let step_s = self.spend(steps, replayed);
        let samplers = self.active.iter().filter(|row| row.stage != Stage::Prompt).count();
        replayed.itl_s.push(step_s, u64::from(steps) * samplers as u64);
        for row in std::mem::take(&mut self.active) {
            self.advance(row, steps, replayed);
        }
    }

    /// Books `steps` equal steps; returns the mean seconds of one.
    fn spend(&mut self, steps: u32, replayed: &mut Replayed) -> f64 {
        let mut load = std::mem::take(&mut self.host);
        for row in &self.active {
            load.add_row(row.context, row.feeds());
            load.sampled_tokens += u32::from(row.stage != Stage::Prompt);
        }
        let last = load.grown(u64::from(steps - 1));
        // The cost is straight in the context: the mean of the first and the last step is that of all.
        let step_s = (self.cost.seconds(&load) + self.cost.seconds(&last)) / 2.0;
        let joules = |load: &Load| self.cost.joules(load, step_s);
        let step_j = joules(&load).zip(joules(&last)).map(|(first, last)| (first + last) / 2.0);
        self.now_s += f64::from(steps) * step_s;
        replayed.joules = step_j.map(|j| replayed.joules.unwrap_or(0.0) + f64::from(steps) * j);
        replayed.steps += u64::from(steps);
        replayed.extrapolated_steps += if self.cost.covers(&last) { 0 } else { u64::from(steps) };
        step_s
    }

    fn advance(&mut self, mut row: Row, steps: u32, replayed: &mut Replayed) {
        let since = self.now_s - self.progress[row.request].started_s;
        if row.stage == Stage::Prompt {
            replayed.ttft_s.push(since);
            self.sources.push_back(Source { request: row.request, next: 0 });
            return;
        }
        row.context += u64::from(row.feeds()) * u64::from(steps);
        row.left -= steps;
        if row.stage == Stage::Closing && row.course.answers {
            replayed.ttfa_s.push(since);
        }
        self.turn(row, replayed);
    }
}

impl Row {
    fn feeds(&self) -> u32 {
        match self.stage {
            Stage::Prompt => self.course.prompt_tokens,
            Stage::Closing => self.course.closing_tokens.unwrap_or(1),
            Stage::Thinking | Stage::Answering => 1,
        }
    }
}
