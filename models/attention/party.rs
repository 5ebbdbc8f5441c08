//! Rows that begin with the same blocks, so that these are read once for all of them.
//!
//! Completions of one problem begin with its prompt's blocks, and the tokens of a prompt with each other's. Who shares
//! a party changes nothing about any row: each still visits its own blocks in order.

use std::ops::Range;

use super::Heads;
use crate::cache::BLOCK;

/// What one token sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// Its place among the tokens of the step.
    pub(super) at: usize,
    /// The blocks with its sequence's tokens up to itself.
    blocks: &'a [u32],
    /// Tokens up to itself.
    context: usize,
    /// The first of them that it sees.
    first: usize,
}

/// Rows that are attended for together.
#[derive(Clone, Debug)]
pub(super) struct Party<'a> {
    pub(super) rows: Vec<Row<'a>>,
    /// Blocks that all of them begin with.
    shared: usize,
}

impl<'a> Row<'a> {
    pub(super) fn new(heads: Heads, at: usize, blocks: &'a [u32], context: usize) -> Self {
        Self { at, blocks: &blocks[..context.div_ceil(BLOCK)], context, first: heads.first_seen(context) }
    }

    /// The first block that it sees some of.
    fn base(&self) -> usize {
        self.first / BLOCK
    }

    /// Tokens up to itself.
    pub(super) fn context(&self) -> usize {
        self.context
    }

    /// Tokens of its visible blocks.
    pub(super) fn tokens(&self) -> usize {
        (self.blocks.len() - self.base()) * BLOCK
    }

    /// The tokens that it sees, counted from a block on.
    pub(super) fn seen_from(&self, base: usize) -> Range<usize> {
        self.first - base * BLOCK..self.context - base * BLOCK
    }

    /// The block at a place of its sequence.
    #[inline(always)]
    pub(super) fn block(&self, place: usize) -> usize {
        self.blocks[place] as usize
    }

    fn common(&self, other: &Self) -> usize {
        self.blocks.iter().zip(other.blocks).take_while(|(a, b)| a == b).count()
    }
}

impl<'a> Party<'a> {
    /// Parties of at most `most` rows that have much in common.
    pub(super) fn of(mut rows: Vec<Row<'a>>, most: usize) -> Vec<Self> {
        rows.sort_by_key(|row| (row.blocks[0], row.at));
        let mut parties: Vec<Self> = Vec::new();
        for row in rows {
            match parties.last_mut().and_then(|party| Some((party.common(&row, most)?, party))) {
                Some((shared, party)) => {
                    party.rows.push(row);
                    party.shared = shared;
                }
                None => parties.push(Self { rows: vec![row], shared: row.blocks.len() }),
            }
        }
        parties
    }

    /// What the party shares once a row has joined it; none if that is not worth it.
    fn common(&self, row: &Row, most: usize) -> Option<usize> {
        let common = self.rows[0].common(row).min(self.shared);
        (self.rows.len() < most && common > 0 && 2 * common >= self.shared).then_some(common)
    }

    /// The first block that any row sees some of: scores begin there.
    pub(super) fn base(&self) -> usize {
        self.rows.iter().map(Row::base).min().unwrap_or(0)
    }

    /// Room for each row's scores.
    pub(super) fn tokens(&self) -> usize {
        let blocks = self.rows.iter().map(|row| row.blocks.len()).max().unwrap_or(0);
        (blocks - self.base()) * BLOCK
    }

    /// Places of the blocks that all rows share, from the first that any of them sees.
    pub(super) fn shared(&self) -> Range<usize> {
        self.base().min(self.shared)..self.shared
    }

    /// Places of the blocks that one row sees and the party does not share.
    pub(super) fn own(&self, row: usize) -> Range<usize> {
        let row = &self.rows[row];
        self.shared.max(row.base())..row.blocks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(window: Option<usize>) -> Heads {
        Heads { queries: 2, kv: 1, dim: 4, scale: 1.0, window }
    }

    /// Places and blocks that a row visits.
    fn visited(party: &Party, row: usize) -> Vec<(usize, usize)> {
        let shared = party.shared().filter(|place| *place >= party.rows[row].base());
        let block = |place| (place, party.rows[row].block(place));
        shared.chain(party.own(row)).map(block).collect()
    }

    #[test]
    fn rows_of_one_prompt_meet_and_every_row_visits_its_own_blocks_in_order() {
        let blocks = [vec![7, 8, 1], vec![3, 4], vec![7, 8, 2, 5], vec![7, 9, 6]];
        for window in [None, Some(20)] {
            let rows = blocks
                .iter()
                .enumerate()
                .map(|(at, blocks)| Row::new(heads(window), at, blocks, blocks.len() * BLOCK - 3));
            let parties = Party::of(rows.collect(), 4);
            let at: Vec<Vec<usize>> =
                parties.iter().map(|party| party.rows.iter().map(|row| row.at).collect()).collect();
            assert_eq!(at, [vec![1], vec![0, 2, 3]]);
            for party in &parties {
                for (r, row) in party.rows.iter().enumerate() {
                    let own = (row.base()..row.blocks.len()).map(|place| (place, row.block(place)));
                    assert_eq!(visited(party, r), own.collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn what_is_shared_is_read_once() {
        let blocks = [vec![7, 8, 1], vec![7, 8, 2], vec![7, 8, 3]];
        let rows = blocks.iter().enumerate().map(|(at, blocks)| Row::new(heads(None), at, blocks, 40));
        let [party] = &Party::of(rows.collect(), 8)[..] else { panic!("one prompt is one party") };
        assert_eq!((party.shared(), party.own(0), party.own(2)), (0..2, 2..3, 2..3));
    }

    #[test]
    fn a_party_has_no_more_rows_than_allowed_and_none_that_shares_little() {
        let blocks = [vec![1, 2, 3, 4], vec![1, 2, 3, 5], vec![1, 2, 3, 6], vec![1, 9, 9, 9]];
        let rows = || blocks.iter().enumerate().map(|(at, blocks)| Row::new(heads(None), at, blocks, 60));
        let sizes = |most| -> Vec<usize> {
            Party::of(rows().collect(), most).iter().map(|party| party.rows.len()).collect()
        };
        assert_eq!((sizes(8), sizes(2), sizes(1)), (vec![3, 1], vec![2, 1, 1], vec![1; 4]));
    }
}
