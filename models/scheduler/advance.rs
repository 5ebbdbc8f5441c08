//! What a row does next: it thinks on, forks at a budget, answers, or is done.

use candle_core::Result;
use isocost_harness::cell::Budget;

use super::row::{Answer, Progress, Role, Row};
use super::{Prompt, Scheduler};
use crate::cache::Sequence;
use crate::sampler::Drawn;

impl Scheduler<'_> {
    /// Decides what a row does next, given the tokens drawn after its last one. If that fails, the row is still somewhere: whoever
    /// ends the call gives its blocks back.
    pub(super) fn advance(&mut self, row: Row, drawn: &[Drawn], prompts: &[Prompt]) -> Result<()> {
        match row.role {
            Role::ThinkingPrompt { job, .. } => {
                let mut row = row;
                let started = self.start_direct(&mut row, &prompts[job]);
                self.prompt_was_read(row, drawn);
                started
            }
            Role::DirectPrompt { .. } => {
                self.prompt_was_read(row, drawn);
                Ok(())
            }
            Role::Chain { answer: None, .. } => self.think(row, drawn[0]),
            Role::Chain { .. } | Role::Answer { .. } => self.answer(row, drawn[0]),
        }
    }

    fn think(&mut self, mut row: Row, drawn: Drawn) -> Result<()> {
        let (settings, markers) = (self.settings, self.markers);
        let index = row.role.chain();
        row.pending.clear();
        let progress = self.chain(index).think(drawn, markers, settings, &mut row.pending);
        row.sampled += 1;
        self.ledger.sampled();
        match progress {
            Progress::Feed => self.active.push(row),
            Progress::Fork { budget } => {
                let forked = self.fork(&row.sequence, row.sequence.len());
                let fork = forked.map(|sequence| self.forced_answer(index, budget, sequence, &row.pending));
                self.active.push(row);
                self.forks.push_back(fork?);
                self.chain(index).open += 1;
            }
            Progress::Cut { budget } => {
                let row = self.forced_answer(index, budget, row.sequence, &row.pending);
                self.active.push(row);
            }
            Progress::Closed => {
                let chain = self.chain(index);
                let answer = Answer::natural(chain.reasoning.len(), chain.chain_s);
                row.role = Role::Chain { chain: index, answer: Some(answer) };
                self.active.push(row);
            }
            Progress::Ended(answer) => self.finish(row, answer),
        }
        Ok(())
    }

    /// A row that feeds what is left of the thought, closes it, and answers.
    fn forced_answer(&mut self, chain: usize, budget: Budget, sequence: Sequence, left: &[u32]) -> Row {
        let state = self.chain(chain);
        let answer = Answer::forced(budget, state.reasoning.len(), state.chain_s);
        let pending = [left, &self.markers.forced[..]].concat();
        Row::new(Role::Answer { chain, answer }, sequence, pending)
    }

    fn answer(&mut self, mut row: Row, drawn: Drawn) -> Result<()> {
        let (settings, markers) = (self.settings, self.markers);
        row.sampled += 1;
        self.ledger.sampled();
        let Some(answer) = row.role.answer() else { return Ok(()) };
        if answer.take(drawn, &markers.end, settings.answer_tokens) {
            row.pending.clear();
            row.pending.push(drawn.token);
            self.active.push(row);
        } else {
            let answer = answer.clone();
            self.finish(row, Some(answer));
        }
        Ok(())
    }

    /// A row is done; its chain is complete when it was the last.
    fn finish(&mut self, row: Row, answer: Option<Answer>) {
        let index = row.role.chain();
        let chain = self.chain(index);
        chain.answers.extend(answer);
        chain.open -= 1;
        if chain.open == 0 {
            self.complete.push(index);
        }
        self.release(row);
    }
}
