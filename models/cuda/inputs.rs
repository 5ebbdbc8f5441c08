//! What a step tells the kernels, in one piece of memory that is copied once.
//!
//! Sections lie at places that follow from [`Sizes`] alone. A graph is captured for sizes with some room, and finds what
//! the next step copies at the same places.

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};

use super::gpu::Gpu;
use super::plan::{Item, Plan};
use crate::attention::Span;

/// The slot of a token that is not kept.
const NO_SLOT: u32 = u32::MAX;
/// A position with this bit is turned with the second set of frequencies.
const FAR: u32 = 1 << 31;
/// Words of an [`Item`].
const ITEM: usize = size_of::<Item>() / 4;

/// How much there is room for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sizes {
    pub(super) tokens: usize,
    /// Sequences, each with a last token.
    pub(super) rows: usize,
    pub(super) plans: Vec<PlanSizes>,
}

/// How much of a plan there is room for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PlanSizes {
    pub(super) items: [usize; 2],
    pub(super) tokens: usize,
    pub(super) tables: usize,
    pub(super) slots: usize,
}

/// A step in numbers.
pub(super) struct Inputs<'a> {
    pub(super) ids: &'a [u32],
    pub(super) slots: &'a [u32],
    pub(super) spans: &'a [Span],
    pub(super) plans: &'a [Plan],
    /// Sequences longer than this use the second set of frequencies.
    pub(super) far_beyond: usize,
}

/// Where the sections are on the GPU.
pub(super) struct Addresses {
    pub(super) ids: u64,
    pub(super) positions: u64,
    pub(super) slots: u64,
    pub(super) contexts: u64,
    pub(super) ends: u64,
    pub(super) plans: Vec<PlanAddresses>,
}

/// Where the sections of a plan are.
pub(super) struct PlanAddresses {
    /// Of each tile's items: how many, and they themselves.
    pub(super) counts: [u64; 2],
    pub(super) items: [u64; 2],
    pub(super) tokens: u64,
    pub(super) tables: u64,
    pub(super) starts: u64,
    pub(super) slots: u64,
}

impl Sizes {
    /// Just enough.
    pub(super) fn of(inputs: &Inputs) -> Self {
        let plan = |plan: &Plan| PlanSizes {
            items: [plan.items[0].len(), plan.items[1].len()],
            tokens: plan.tokens.len(),
            tables: plan.tables.len(),
            slots: plan.slots.len(),
        };
        let plans = inputs.plans.iter().map(plan).collect();
        Self { tokens: inputs.ids.len(), rows: inputs.spans.len(), plans }
    }

    /// Lengths of all sections, in order.
    fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![self.tokens, self.tokens, self.tokens, self.tokens, self.rows];
        for plan in &self.plans {
            let [small, large] = plan.items;
            lengths.extend([2, small * ITEM, large * ITEM, plan.tokens, plan.tables]);
            lengths.extend([self.tokens + 1, plan.slots]);
        }
        lengths
    }

    fn words(&self) -> usize {
        self.lengths().iter().sum()
    }

    fn addresses(&self, base: u64) -> Addresses {
        let mut at = base;
        let mut sections = self.lengths().into_iter().map(|length| {
            at += 4 * length as u64;
            at - 4 * length as u64
        });
        let mut next = || sections.next().expect("a section for each length");
        let [ids, positions, slots, contexts, ends] = [next(), next(), next(), next(), next()];
        let plans = self.plans.iter().map(|_| {
            let counts = next();
            let (items, tokens, tables) = ([next(), next()], next(), next());
            PlanAddresses {
                counts: [counts, counts + 4],
                items,
                tokens,
                tables,
                starts: next(),
                slots: next(),
            }
        });
        let plans = plans.collect();
        Addresses { ids, positions, slots, contexts, ends, plans }
    }
}

impl Inputs<'_> {
    /// The sections one after another, each filled up with what means nothing.
    pub(super) fn pack(&self, sizes: &Sizes) -> Vec<u32> {
        let mut sections: Vec<(Vec<u32>, u32)> = vec![
            (self.ids.to_vec(), 0),
            (self.positions(), 0),
            (self.slots.to_vec(), NO_SLOT),
            (self.spans.iter().flat_map(|span| (1..=span.len).map(|i| (span.start + i) as u32)).collect(), 0),
            (self.ends(), 0),
        ];
        for plan in self.plans {
            let [small, large] = &plan.items;
            sections.push((vec![small.len() as u32, large.len() as u32], 0));
            sections.extend([small, large].map(|items| (items.iter().flat_map(words).collect(), 0)));
            sections.push((plan.tokens.clone(), 0));
            sections.push((plan.tables.clone(), 0));
            sections.push((plan.starts.clone(), plan.slots.len() as u32));
            sections.push((plan.slots.clone(), 0));
        }
        let mut packed = Vec::with_capacity(sizes.words());
        for ((mut section, filling), length) in sections.into_iter().zip(sizes.lengths()) {
            section.resize(length, filling);
            packed.append(&mut section);
        }
        packed
    }

    fn positions(&self) -> Vec<u32> {
        let positions = self.spans.iter().flat_map(|span| {
            let end = span.start + span.len;
            let far = if end > self.far_beyond { FAR } else { 0 };
            (span.start..end).map(move |position| position as u32 | far)
        });
        positions.collect()
    }

    /// The last token of each sequence.
    fn ends(&self) -> Vec<u32> {
        let ends = self.spans.iter().scan(0, |end, span| {
            *end += span.len as u32;
            Some(*end - 1)
        });
        ends.collect()
    }
}

fn words(item: &Item) -> [u32; ITEM] {
    [item.first_token, item.count, item.table, item.begin, item.end, item.partial]
}

/// Inputs on the GPU.
pub(super) struct Placed {
    pub(super) sizes: Sizes,
    memory: CudaSlice<u32>,
    pub(super) addresses: Addresses,
}

impl Placed {
    /// Room of these sizes.
    pub(super) fn new(gpu: &Gpu, sizes: Sizes) -> Result<Self> {
        let memory = gpu.device().alloc_zeros::<u32>(sizes.words())?;
        let base = memory.device_ptr(&gpu.device().cuda_stream()).0;
        let addresses = sizes.addresses(base);
        Ok(Self { sizes, memory, addresses })
    }

    /// Copies a step's numbers there.
    pub(super) fn fill(&mut self, gpu: &Gpu, inputs: &Inputs) -> Result<()> {
        gpu.device().cuda_stream().memcpy_htod(&inputs.pack(&self.sizes), &mut self.memory).w()
    }
}
