//! Attention cut into pieces that fill a GPU.
//!
//! An [`Item`] is some query tokens and a range of positions that lie in the same blocks for all of them. A prompt
//! is cut into tiles of queries. A decoding row has one query, so its context is cut instead, into ranges whose partial results
//! are merged (flash-decoding, Dao et al. 2023). What the rows of one problem share is an item of all of them: it
//! is read once (cascade attention, Ye et al. 2024).

use std::collections::BTreeMap;

use crate::attention::Span;
use crate::cache::BLOCK;

/// Query rows (tokens times heads that share keys) of the small and of the large tile.
const TILES: [usize; 2] = [16, 64];
/// Positions that a kernel reads at a time; ranges are cut at multiples of it.
const STAGE: usize = 64;
/// Rows must share at least so many blocks to be worth a merge.
const LEAST_SHARED: usize = 4;
/// Thread blocks that keep a processor of the GPU busy.
const BLOCKS_PER_PROCESSOR: usize = 2;
/// [`Item::partial`] of an item whose result is final.
pub const DIRECT: u32 = u32::MAX;

/// What one thread block works on, for one key-value head. Laid out as in `attention.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Item {
    /// Where in [`Plan::tokens`] its queries are.
    pub first_token: u32,
    /// How many.
    pub count: u32,
    /// Where in [`Plan::tables`] the block of position `begin` is.
    pub table: u32,
    /// First position; a multiple of the block size.
    pub begin: u32,
    /// Behind the last position.
    pub end: u32,
    /// The partial result of its first query, or [`DIRECT`].
    pub partial: u32,
}

/// What a plan depends on beside the spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Query heads that share keys and values.
    pub group: usize,
    /// Key-value heads.
    pub kv: usize,
    /// A token sees at most so many, itself included.
    pub window: Option<usize>,
    /// The GPU's multiprocessors.
    pub processors: usize,
}

/// A step's attention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Items of the small tile and of the large one.
    pub items: [Vec<Item>; 2],
    /// Numbers of tokens in the batch.
    pub tokens: Vec<u32>,
    /// Numbers of blocks in the pool.
    pub tables: Vec<u32>,
    /// `slots[starts[t]..starts[t + 1]]` are the partial results of token t.
    pub starts: Vec<u32>,
    /// Numbers of partial results; each is here once.
    pub slots: Vec<u32>,
    partials: u32,
}

/// Some tokens and a range that they see a part of, not yet cut.
struct Piece<'a> {
    tokens: Vec<u32>,
    blocks: &'a [u32],
    begin: usize,
    end: usize,
}

impl Plan {
    /// Plans the attention of a step's spans.
    pub fn new(spans: &[Span], layout: &Layout) -> Self {
        let pieces = pieces(spans, layout);
        let positions: usize = pieces.iter().map(|piece| piece.end - piece.begin).sum();
        let thread_blocks = BLOCKS_PER_PROCESSOR * layout.processors;
        let chunk = (positions * layout.kv).div_ceil(thread_blocks).next_multiple_of(STAGE).max(2 * STAGE);
        let tokens = spans.iter().map(|span| span.len).sum();
        let mut items_of = vec![0u32; tokens];
        for piece in &pieces {
            let items = (piece.end - piece.begin).div_ceil(chunk) as u32;
            piece.tokens.iter().for_each(|token| items_of[*token as usize] += items);
        }
        let (mut plan, mut partials) = (Self::default(), vec![Vec::new(); tokens]);
        for piece in &pieces {
            let is_direct = piece.tokens.iter().all(|token| items_of[*token as usize] == 1);
            plan.add(piece, chunk, layout.group, is_direct, &mut partials);
        }
        plan.starts.push(0);
        for slots in partials {
            plan.slots.extend(slots);
            plan.starts.push(plan.slots.len() as u32);
        }
        plan
    }

    fn add(&mut self, piece: &Piece, chunk: usize, group: usize, is_direct: bool, partials: &mut [Vec<u32>]) {
        let first_token = self.tokens.len() as u32;
        self.tokens.extend(&piece.tokens);
        let tile = usize::from(piece.tokens.len() * group > TILES[0]);
        for begin in (piece.begin..piece.end).step_by(chunk) {
            let end = piece.end.min(begin + chunk);
            let partial = if is_direct { DIRECT } else { self.partials };
            let (count, table) = (piece.tokens.len() as u32, self.tables.len() as u32);
            self.items[tile].push(Item {
                first_token,
                count,
                table,
                begin: begin as u32,
                end: end as u32,
                partial,
            });
            self.tables.extend(&piece.blocks[begin / BLOCK..end.div_ceil(BLOCK)]);
            for token in piece.tokens.iter().filter(|_| !is_direct) {
                partials[*token as usize].push(self.partials);
                self.partials += 1;
            }
        }
    }

    /// Most items of either tile that so many rows, one token each, can be cut into.
    pub fn most_items(rows: usize, layout: &Layout) -> usize {
        2 * rows + (BLOCKS_PER_PROCESSOR * layout.processors).div_ceil(layout.kv)
    }
}

/// Which queries read which positions together.
fn pieces<'a>(spans: &'a [Span], layout: &Layout) -> Vec<Piece<'a>> {
    let mut first = 0;
    let numbered: Vec<(u32, &Span)> = spans
        .iter()
        .map(|span| {
            first += span.len;
            ((first - span.len) as u32, span)
        })
        .collect();
    let mut pieces = Vec::new();
    for family in families(&numbered, layout) {
        let shared = shared_blocks(&family);
        let begin = if family.len() > 1 && shared >= LEAST_SHARED { shared * BLOCK } else { 0 };
        if begin > 0 {
            let tokens = family.iter().flat_map(|(first, span)| *first..first + span.len as u32);
            let tokens: Vec<u32> = tokens.collect();
            let blocks = &family[0].1.blocks[..];
            let tiles = tokens.chunks(tile_tokens(tokens.len(), layout));
            pieces.extend(tiles.map(|t| Piece { tokens: t.to_vec(), blocks, begin: 0, end: begin }));
        }
        family.iter().for_each(|(first, span)| add_own(*first, span, begin, layout, &mut pieces));
    }
    pieces
}

/// Rows whose sequences begin with the same block; a windowed layer does not read beginnings.
fn families<'a>(spans: &[(u32, &'a Span)], layout: &Layout) -> Vec<Vec<(u32, &'a Span)>> {
    if layout.window.is_some() {
        return spans.iter().map(|span| vec![*span]).collect();
    }
    let mut families: BTreeMap<u32, Vec<(u32, &Span)>> = BTreeMap::new();
    for span in spans {
        families.entry(span.1.blocks[0]).or_default().push(*span);
    }
    families.into_values().collect()
}

/// Blocks that all of these begin with and that were full before this step.
fn shared_blocks(family: &[(u32, &Span)]) -> usize {
    let (_, first) = family[0];
    let common = |(_, span): &(u32, &Span)| {
        let same = first.blocks.iter().zip(&span.blocks).take_while(|(a, b)| a == b).count();
        same.min(span.start / BLOCK)
    };
    family.iter().map(common).min().unwrap_or(0)
}

/// What a span reads by itself, from `begin` on.
fn add_own<'a>(first: u32, span: &'a Span, begin: usize, layout: &Layout, pieces: &mut Vec<Piece<'a>>) {
    let step = tile_tokens(span.len, layout);
    for from in (0..span.len).step_by(step) {
        let to = span.len.min(from + step);
        let seen = layout.window.map_or(0, |window| (span.start + from + 1).saturating_sub(window));
        let begin = begin.max(seen / BLOCK * BLOCK);
        let tokens = (first + from as u32..first + to as u32).collect();
        pieces.push(Piece { tokens, blocks: &span.blocks, begin, end: span.start + to });
    }
}

/// How many of so many tokens go into one tile.
fn tile_tokens(tokens: usize, layout: &Layout) -> usize {
    let tile = if tokens * layout.group <= TILES[0] { TILES[0] } else { TILES[1] };
    (tile / layout.group).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rows of some problems, forked off prompts of random lengths, and some prompts that are being read.
    fn spans(rng: &mut ChaCha8Rng) -> Vec<Span> {
        let (mut spans, mut fresh) = (Vec::new(), 0..);
        for _ in 0..rng.random_range(1..4) {
            let prompt: Vec<u32> = fresh.by_ref().take(rng.random_range(0..20)).collect();
            for _ in 0..rng.random_range(1..6) {
                let start = prompt.len() * BLOCK + rng.random_range(0..2000);
                let len = if rng.random_bool(0.3) { rng.random_range(1..200) } else { 1 };
                let own = (start + len).div_ceil(BLOCK) - prompt.len();
                let blocks = prompt.iter().copied().chain(fresh.by_ref().take(own)).collect();
                spans.push(Span { blocks, start, len });
            }
        }
        spans
    }

    /// What each token reads by a plan: block and place in it.
    fn read(plan: &Plan, tokens: usize) -> Vec<Vec<(usize, u32)>> {
        let mut read = vec![Vec::new(); tokens];
        for item in plan.items.iter().flatten() {
            for token in &plan.tokens[item.first_token as usize..][..item.count as usize] {
                read[*token as usize].extend((item.begin..item.end).map(|position| {
                    let block = (position - item.begin) as usize / BLOCK;
                    (position as usize, plan.tables[item.table as usize + block])
                }));
            }
        }
        read
    }

    fn layout(rng: &mut ChaCha8Rng) -> Layout {
        let window = rng.random_bool(0.5).then(|| rng.random_range(1..3000));
        Layout { group: rng.random_range(1..17), kv: rng.random_range(1..9), window, processors: 132 }
    }

    #[test]
    fn every_token_reads_every_position_that_it_sees_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let (spans, layout) = (spans(&mut rng), layout(&mut rng));
            let plan = Plan::new(&spans, &layout);
            let tokens = spans.iter().flat_map(|span| (1..=span.len).map(move |i| (span, span.start + i)));
            let tokens: Vec<(&Span, usize)> = tokens.collect();
            for (mut read, (span, context)) in read(&plan, tokens.len()).into_iter().zip(tokens) {
                let first = layout.window.map_or(0, |window| context.saturating_sub(window));
                // A kernel masks what lies outside.
                read.retain(|(position, _)| (first..context).contains(position));
                read.sort_unstable();
                let seen = (first..context).map(|p| (p, span.blocks[p / BLOCK]));
                assert!(read.into_iter().eq(seen), "{layout:?}");
            }
        }
    }

    #[test]
    fn every_partial_result_belongs_to_one_token_and_is_merged_into_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..300 {
            let (spans, layout) = (spans(&mut rng), layout(&mut rng));
            let plan = Plan::new(&spans, &layout);
            let mut owners = vec![None; plan.slots.len()];
            let mut is_direct = vec![false; plan.starts.len() - 1];
            for item in plan.items.iter().flatten() {
                for i in 0..item.count {
                    let token = plan.tokens[(item.first_token + i) as usize];
                    if item.partial == DIRECT {
                        assert!(!std::mem::replace(&mut is_direct[token as usize], true));
                    } else {
                        assert_eq!(owners[(item.partial + i) as usize].replace(token), None);
                    }
                }
            }
            for (token, range) in plan.starts.windows(2).enumerate() {
                assert_eq!(is_direct[token], range[0] == range[1]);
                for slot in &plan.slots[range[0] as usize..range[1] as usize] {
                    assert_eq!(owners[*slot as usize], Some(token as u32));
                }
            }
        }
    }

    #[test]
    fn tiles_are_never_overfull_and_ranges_begin_with_a_block() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..300 {
            let (spans, layout) = (spans(&mut rng), layout(&mut rng));
            let plan = Plan::new(&spans, &layout);
            for (items, rows) in plan.items.iter().zip(TILES) {
                for item in items {
                    assert!(item.count as usize * layout.group <= rows && item.begin < item.end);
                    assert!((item.begin as usize).is_multiple_of(BLOCK));
                }
                if spans.iter().all(|span| span.len == 1) {
                    assert!(items.len() <= Plan::most_items(spans.len(), &layout), "{layout:?}");
                    assert!(plan.tokens.len() <= 2 * spans.len());
                }
            }
        }
    }

    #[test]
    fn rows_of_one_problem_read_its_prompt_once_and_one_row_alone_fills_the_gpu() {
        let layout = Layout { group: 2, kv: 8, window: None, processors: 132 };
        let row = |own: u32| Span { blocks: (0..64).chain([own]).collect(), start: 1025, len: 1 };
        let rows: Vec<Span> = (100..116).map(row).collect();
        let reads = |plan: &Plan| plan.items.iter().flatten().map(|item| item.end - item.begin).sum::<u32>();
        assert_eq!(reads(&Plan::new(&rows, &layout)), 1024 + 16 * 2);
        let alone = Plan::new(&[Span { blocks: (0..512).collect(), start: 8191, len: 1 }], &layout);
        assert!(alone.items[0].len() * layout.kv > 132, "{}", alone.items[0].len());
    }
}
