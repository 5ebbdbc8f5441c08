//! Who gets a free place: prompts are read once, and trajectories are forked off them when their blocks can be promised.

use std::time::Instant;

use candle_core::Result;
use isocost_harness::cell::Budget;

use super::chain::Chain;
use super::row::{Answer, Role, Row};
use super::{Prompt, Scheduler, Source, chain_of};
use crate::cache::{BLOCK, Sequence};
use crate::sampler::Drawn;

impl Scheduler<'_> {
    /// Fills free places: forked answers first, then trajectories of prompts that were read, then the
    /// next prompt.
    pub(super) fn admit(&mut self, prompts: &[Prompt], next_prompt: &mut usize) -> Result<()> {
        while self.active.len() < self.most_rows {
            if let Some(fork) = self.forks.pop_front() {
                self.active.push(fork);
            } else if !self.sources.is_empty() {
                if !self.start_chain(prompts)? {
                    break;
                }
            } else if *next_prompt < prompts.len() && self.start_prompt(&prompts[*next_prompt], *next_prompt)
            {
                *next_prompt += 1;
            } else {
                break;
            }
        }
        if self.active.is_empty() && (!self.sources.is_empty() || *next_prompt < prompts.len()) {
            candle_core::bail!(
                "one trajectory does not fit the {} cached tokens",
                self.cache.total_blocks() * BLOCK
            )
        }
        Ok(())
    }

    /// Whether `blocks` more can be promised. Whatever was promised can be finished, so the scheduler
    /// never waits for blocks in the middle of a trajectory.
    fn reserve(&mut self, blocks: usize) -> bool {
        let fits = self.reserved_blocks + blocks <= self.cache.total_blocks();
        self.reserved_blocks += if fits { blocks } else { 0 };
        fits
    }

    fn start_prompt(&mut self, prompt: &Prompt, job: usize) -> bool {
        let (thinking, direct) = (prompt.thinking.len() / BLOCK + 1, prompt.direct.len() / BLOCK + 2);
        if !self.reserve(thinking + direct) {
            return false;
        }
        let (first, context) = (self.chains.len(), self.context());
        let new = |number: &u32| Some(Chain::new(job, *number, prompt, self.settings, context));
        self.chains.extend(prompt.trajectories.iter().map(new));
        let chains: Vec<usize> = (first..self.chains.len()).collect();
        let thinks = self.settings.budgets.iter().any(|budget| *budget != Budget::Tokens(0));
        let (role, tokens) = if thinks {
            (Role::ThinkingPrompt { job, chains }, &prompt.thinking)
        } else {
            (Role::DirectPrompt { chains }, &prompt.direct)
        };
        let mut row = Row::new(role, Default::default(), tokens.clone());
        row.reserved_blocks = thinking + direct;
        self.active.push(row);
        true
    }

    /// Forks the first source whose next chain has its blocks, or can have them; the fork takes
    /// its first token. Returns whether there was one.
    fn start_chain(&mut self, prompts: &[Prompt]) -> Result<bool> {
        for at in 0..self.sources.len() {
            let Some(&(index, drawn)) = self.sources[at].waiting.front() else { continue };
            let chain = chain_of(&self.chains, index);
            let limit = self.decoder.config().recalculates_at();
            let needed = chain.blocks_needed(&prompts[chain.job], self.settings, self.markers, limit);
            if chain.reserved_blocks == 0 && !self.reserve(needed) {
                continue;
            }
            self.chain(index).reserved_blocks = needed;
            self.fork_source(at, index, drawn, prompts)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn fork_source(&mut self, at: usize, chain: usize, drawn: Drawn, prompts: &[Prompt]) -> Result<()> {
        let Some(mut source) = self.sources.remove(at) else { return Ok(()) };
        source.waiting.pop_front();
        let forked = self.fork(&source.row.sequence, source.row.sequence.len());
        let role = match source.row.role {
            Role::ThinkingPrompt { .. } => Role::Chain { chain, answer: None },
            _ => Role::Answer { chain, answer: Answer::forced(Budget::Tokens(0), 0, 0.0) },
        };
        if source.waiting.is_empty() {
            self.release(source.row);
        } else {
            self.sources.insert(at, source);
        }
        let sequence = if self.is_apart { self.take_apart(forked?)? } else { forked? };
        self.advance(Row::new(role, sequence, vec![]), &[drawn], prompts)
    }

    /// Gives a sequence blocks of its own. The time that takes is no part of any step.
    fn take_apart(&mut self, sequence: Sequence) -> Result<Sequence> {
        let started = Instant::now();
        let copy = self.cache.copy(&sequence);
        self.cache.release(sequence);
        // A GPU has only been given the work.
        self.cache.layer(0).keys().device().synchronize()?;
        self.ledger.left_out(started.elapsed().as_secs_f64());
        copy
    }

    pub(super) fn prompt_was_read(&mut self, row: Row, drawn: &[Drawn]) {
        let waiting = row.role.chains().iter().copied().zip(drawn.iter().copied()).collect();
        self.sources.push_back(Source { row, waiting });
    }

    /// Starts reading the prompt of budget 0, from where it differs from the thinking one.
    pub(super) fn start_direct(&mut self, row: &mut Row, prompt: &Prompt) -> Result<()> {
        if self.settings.budgets.first() != Some(&Budget::Tokens(0)) {
            return Ok(());
        }
        let common = prompt.direct.iter().zip(&prompt.thinking).take_while(|(a, b)| a == b).count();
        // At least one token must be fed: its logits are what the answers start from.
        let common = common.min(prompt.direct.len() - 1);
        let sequence = self.fork(&row.sequence, common)?;
        let role = Role::DirectPrompt { chains: row.role.chains().to_vec() };
        let mut direct = Row::new(role, sequence, prompt.direct[common..].to_vec());
        direct.reserved_blocks = prompt.direct.len() / BLOCK + 2;
        row.reserved_blocks -= direct.reserved_blocks;
        self.forks.push_front(direct);
        Ok(())
    }
}
