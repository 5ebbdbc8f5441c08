//! Continuous batching with budgets by forking.
//!
//! A job's prompt is read once and forked for each of its trajectories. A trajectory's thought is
//! sampled to the largest budget; when it reaches a smaller one its row is forked, the end of the thought
//! is forced onto the fork, a short answer is sampled there with random numbers of its own, and the
//! trajectory goes on as if nothing had happened. So one pass yields the answer at every budget, each
//! equal, token for token, to what a request with that budget alone would have got.
//!
//! Rows have lengths of their own and a finished row's place is taken at once, so every row of every
//! step does useful work. Forked answers go first: they are short and free their blocks soon.

mod admission;
mod advance;
mod chain;
mod ledger;
mod row;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::{Error, Result};
use isocost_harness::engine::{Activity, Settings, Sink};
use isocost_harness::step::Step;

use crate::cache::{BLOCK, Cache, Sequence};
use crate::config::Config;
use crate::decoder::{Feed, Forward};
use crate::memory::is_out_of_memory;
use crate::sampler::{Drawn, Place};
use chain::Chain;
use ledger::Ledger;
use row::{Role, Row};

/// Token ids with a meaning to the scheduler.
#[derive(Clone, Debug, Default)]
pub struct Markers {
    /// Closes a thought.
    pub close: Option<u32>,
    /// Ends a completion.
    pub end: Vec<u32>,
    /// Appended when a budget is reached: closes the thought and cues the answer.
    pub forced: Vec<u32>,
    /// Appended instead of the closing token when the thought must go on.
    pub wait: Vec<u32>,
}

/// A job in tokens.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The problem's id; with the seed it keys the random streams.
    pub problem: String,
    /// Up to the first reasoning token.
    pub thinking: Vec<u32>,
    /// Up to the first answer token of a completion that does not think, for budget 0.
    pub direct: Vec<u32>,
    /// Numbers of the trajectories.
    pub trajectories: Vec<u32>,
}

/// Why a chain that a row works for is there.
const UNFINISHED: &str = "a row's chain is unfinished";

/// A prompt that has been read, and the chains that start from it, each with its first token.
struct Source {
    row: Row,
    waiting: VecDeque<(usize, Drawn)>,
}

/// Blocks with which `rows` trajectories of the longest of `prompts` can be under way at once.
pub fn blocks_wanted(
    prompts: &[Prompt],
    settings: &Settings,
    markers: &Markers,
    rows: usize,
    config: &Config,
) -> usize {
    let limit = config.recalculates_at();
    let chain =
        |p: &Prompt| Chain::new(0, 0, p, settings, config.context).blocks_needed(p, settings, markers, limit);
    let chains = rows * prompts.iter().map(chain).max().unwrap_or(0);
    // What is read once and then shared: both prompts of a problem.
    let prompt = |p: &Prompt| (p.thinking.len() + p.direct.len()) / BLOCK + 4;
    chains + prompts.iter().map(prompt).max().unwrap_or(0)
}

/// One call's worth of work on one decoder.
pub struct Scheduler<'a> {
    decoder: &'a dyn Forward,
    cache: &'a mut Cache,
    markers: &'a Markers,
    settings: &'a Settings,
    most_rows: usize,
    /// Whether chains get copies of their prompt's keys and values.
    is_apart: bool,
    /// Chains by number, in the order they were started; those handed over are gone.
    chains: Vec<Option<Chain>>,
    /// Numbers of chains that became complete in this step.
    complete: Vec<usize>,
    active: Vec<Row>,
    /// Forked answers that wait for a place.
    forks: VecDeque<Row>,
    sources: VecDeque<Source>,
    reserved_blocks: usize,
    /// Set once nothing more is wanted.
    enough: Option<&'a AtomicBool>,
    ledger: Ledger<'a>,
}

impl<'a> Scheduler<'a> {
    /// A scheduler with at most `most_rows` rows in a step.
    pub fn new(
        decoder: &'a dyn Forward,
        cache: &'a mut Cache,
        markers: &'a Markers,
        settings: &'a Settings,
        most_rows: usize,
    ) -> Self {
        Self {
            decoder,
            cache,
            markers,
            settings,
            most_rows,
            is_apart: false,
            chains: Vec::new(),
            complete: Vec::new(),
            active: Vec::new(),
            forks: VecDeque::new(),
            sources: VecDeque::new(),
            reserved_blocks: 0,
            enough: None,
            ledger: Ledger::new(None),
        }
    }

    /// Gives each chain a copy of its prompt's keys and values, as if every one had a prompt of its own: what rows cost
    /// whose contexts are theirs alone, as those of thoughts are.
    pub fn apart(mut self) -> Self {
        self.is_apart = true;
        self
    }

    /// Tells `observer` of every step.
    pub fn observed(mut self, observer: &'a mut dyn FnMut(Step)) -> Self {
        self.ledger = Ledger::new(Some(observer));
        self
    }

    /// Stops after the step that runs once `enough` is set.
    pub fn until(self, enough: &'a AtomicBool) -> Self {
        Self { enough: Some(enough), ..self }
    }

    /// Samples all trajectories of `prompts` (numbered from 0 in [`Generated::job`]); texts are left empty.
    ///
    /// # Errors
    /// If the device fails, or a single trajectory does not fit the cache.
    pub fn run(mut self, prompts: &[Prompt], sink: &mut Sink) -> Result<Activity> {
        self.ledger.start();
        let mut next_prompt = 0;
        let result = loop {
            if let Err(error) = self.admit(prompts, &mut next_prompt) {
                break Err(error);
            }
            if self.active.is_empty() {
                // Chains that ended with their first token never were in a step.
                let _ = self.hand_over(sink);
                break Ok(());
            }
            match self.step(prompts, sink) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.release_all();
        result.map(|()| self.ledger.close())
    }

    fn context(&self) -> usize {
        self.decoder.config().context
    }

    fn fork(&mut self, sequence: &Sequence, len: usize) -> Result<Sequence> {
        self.ledger.forked();
        self.cache.fork(sequence, len)
    }

    fn release(&mut self, row: Row) {
        self.reserved_blocks -= row.reserved_blocks;
        self.cache.release(row.sequence);
    }

    fn step(&mut self, prompts: &[Prompt], sink: &mut Sink) -> Result<ControlFlow<()>> {
        let started = Instant::now();
        let mut rows = std::mem::take(&mut self.active);
        let fed: usize = rows.iter().map(|row| row.pending.len()).sum();
        let before: Vec<_> = rows.iter().map(|r| (r.sequence.len(), r.sequence.longest())).collect();
        let places = self.places(&mut rows);
        let mut feeds: Vec<Feed> =
            rows.iter_mut().map(|row| Feed { sequence: &mut row.sequence, tokens: &row.pending }).collect();
        let drawn = match self.decoder.draw(self.cache, &mut feeds, &places, &self.settings.sampling) {
            Ok(drawn) => drawn,
            Err(error) => return self.retry_half(rows, &before, error),
        };
        let seconds = started.elapsed().as_secs_f64();
        self.ledger.forward(&rows, seconds);
        let (mut drawn, mut rows) = (drawn.as_slice(), rows.into_iter());
        while let Some(mut row) = rows.next() {
            let own = drawn.split_off(..row.role.draws()).unwrap_or_default();
            let share = seconds * row.pending.len() as f64 / fed as f64;
            self.charge(&mut row, share);
            if let Err(error) = self.advance(row, own, prompts) {
                // Those behind it are given back with all others.
                self.active.extend(rows);
                return Err(error);
            }
        }
        let flow = self.hand_over(sink);
        self.ledger.close_step();
        Ok(flow)
    }

    /// Where the next token of every row is drawn, and of a prompt's row the first one of every chain that starts from it, one
    /// after another: [`Role::draws`] of each row.
    fn places(&self, rows: &mut [Row]) -> Vec<Place> {
        let mut places = Vec::with_capacity(rows.len());
        for (at, Row { role, sampled, numbers, .. }) in rows.iter_mut().enumerate() {
            let budget = role.forced_at();
            let first = |chain: &usize| chain_of(&self.chains, *chain).streams.branch(budget);
            match role {
                Role::ThinkingPrompt { chains, .. } | Role::DirectPrompt { chains } => {
                    let numbers = chains.iter().map(|chain| first(chain).uniform(0));
                    places.extend(numbers.map(|u| Place { row: at, u }));
                }
                Role::Chain { chain, .. } | Role::Answer { chain, .. } => {
                    let u = numbers.get_or_insert_with(|| Box::new(first(chain))).uniform(*sampled);
                    places.push(Place { row: at, u });
                }
            }
        }
        places
    }

    /// After a step that found no memory: half of the rows try again, the others wait for a place. Any other failure
    /// is passed on.
    fn retry_half(
        &mut self,
        mut rows: Vec<Row>,
        before: &[(usize, usize)],
        error: Error,
    ) -> Result<ControlFlow<()>> {
        let limit = self.decoder.config().recalculates_at();
        for (row, (len, longest)) in rows.iter_mut().zip(before) {
            let is_beyond = |tokens: usize| limit.is_some_and(|limit| tokens > limit);
            // A sequence that was being calculated anew has lost its old keys and values.
            if *len > 0 && is_beyond(*longest) != is_beyond(row.sequence.len()) {
                row.pending.splice(..0, row.sequence.tokens()[..*len].iter().copied());
                self.cache.take_back(&mut row.sequence, 0);
            } else {
                self.cache.take_back(&mut row.sequence, *len);
            }
        }
        let half = rows.len() / 2;
        let failed = half == 0 || !is_out_of_memory(&error);
        if !failed {
            rows.split_off(half).into_iter().rev().for_each(|row| self.forks.push_front(row));
            self.most_rows = half;
            self.ledger.halved();
        }
        self.active = rows;
        if failed { Err(error) } else { Ok(ControlFlow::Continue(())) }
    }

    /// Books a row's share of a step's seconds.
    fn charge(&mut self, row: &mut Row, seconds: f64) {
        match &mut row.role {
            Role::ThinkingPrompt { chains, .. } | Role::DirectPrompt { chains, .. } => {
                for chain in chains.iter() {
                    self.chain(*chain).prompt_s += seconds;
                }
            }
            Role::Answer { answer, .. } => answer.seconds += seconds,
            Role::Chain { chain, answer } => {
                answer.iter_mut().for_each(|answer| answer.seconds += seconds);
                let chain = *chain;
                self.chain(chain).chain_s += seconds;
            }
        }
    }

    fn chain(&mut self, number: usize) -> &mut Chain {
        self.chains[number].as_mut().expect(UNFINISHED)
    }

    /// Hands complete chains to the sink and frees what they had reserved.
    fn hand_over(&mut self, sink: &mut Sink) -> ControlFlow<()> {
        let started = Instant::now();
        let mut flow = ControlFlow::Continue(());
        for index in std::mem::take(&mut self.complete) {
            if let Some(chain) = self.chains[index].take() {
                self.reserved_blocks -= chain.reserved_blocks;
                flow = sink(chain.into_generated());
            }
            if flow.is_break() {
                break;
            }
        }
        self.ledger.left_out(started.elapsed().as_secs_f64());
        let is_enough = self.enough.is_some_and(|enough| enough.load(Ordering::Relaxed));
        if is_enough { ControlFlow::Break(()) } else { flow }
    }

    fn release_all(&mut self) {
        let rows = self.active.drain(..).chain(self.forks.drain(..));
        for row in rows.chain(self.sources.drain(..).map(|source| source.row)) {
            self.cache.release(row.sequence);
        }
    }
}

fn chain_of(chains: &[Option<Chain>], number: usize) -> &Chain {
    chains[number].as_ref().expect(UNFINISHED)
}
