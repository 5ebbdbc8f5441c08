//! Decode steps captured once and replayed.
//!
//! A graph is a step's kernels with their arguments, started by one call. Its arguments are addresses, so it is
//! captured for a number of rows and an amount of context with some room, in buffers of its own, and each step
//! copies its inputs there. Rows that are not used calculate nonsense that nobody reads.

use std::collections::HashMap;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, sys};
use candle_core::{Result, Tensor};

use super::gpu::address;
use super::inputs::{Inputs, Placed, PlanSizes, Sizes};
use super::network::{Buffers, Network};
use super::plan::Plan;
use crate::cache::Cache;
use crate::memory::is_out_of_memory;

/// Graphs that are kept at most.
const MOST: usize = 64;
/// Entries of block tables that there is always room for.
const LEAST_TABLES: usize = 256;

/// A captured step and its memory.
struct Captured {
    graph: CudaGraph,
    placed: Placed,
    buffers: Buffers,
}

/// A decoder's graphs. They hold addresses of one cache.
#[derive(Default)]
pub(super) struct Graphs {
    captured: HashMap<Sizes, Captured>,
    cache: Vec<u64>,
}

// SAFETY: a graph may be launched from any thread, one at a time; the decoder keeps them behind a lock.
unsafe impl Send for Graphs {}

impl Graphs {
    /// One step in which every sequence gets one token.
    pub(super) fn run(&mut self, network: &Network, cache: &Cache, inputs: &Inputs) -> Result<Tensor> {
        self.forget_other_caches(cache)?;
        let rows = inputs.spans.len();
        let sizes = roomy(network, inputs);
        if let Some(captured) = self.captured.get_mut(&sizes) {
            captured.placed.fill(&network.gpu, inputs)?;
            captured.graph.launch().w()?;
            return captured.buffers.logits.narrow(0, 0, rows);
        }
        let (mut placed, buffers) = self.room(network, sizes)?;
        placed.fill(&network.gpu, inputs)?;
        // The first time is run as it is: it loads what a capture must find loaded.
        network.run(cache, &placed, &buffers)?;
        let logits = buffers.logits.narrow(0, 0, rows)?;
        // A step that cannot be captured is none the worse: it is launched kernel by kernel.
        if let Ok(Some(graph)) = capture(network, cache, &placed, &buffers) {
            if self.captured.len() >= MOST {
                self.captured.clear();
            }
            self.captured.insert(placed.sizes.clone(), Captured { graph, placed, buffers });
        }
        Ok(logits)
    }

    /// Memory for a step of these sizes; if there is none left, that of the other graphs.
    fn room(&mut self, network: &Network, sizes: Sizes) -> Result<(Placed, Buffers)> {
        let take = || Ok((Placed::new(&network.gpu, sizes.clone())?, network.buffers(&sizes)?));
        match take() {
            Err(error) if is_out_of_memory(&error) && !self.captured.is_empty() => {
                self.captured.clear();
                take()
            }
            taken => taken,
        }
    }

    fn forget_other_caches(&mut self, cache: &Cache) -> Result<()> {
        let mut pools = Vec::with_capacity(2 * cache.layers());
        for layer in 0..cache.layers() {
            pools.extend([address(cache.layer(layer).keys())?, address(cache.layer(layer).values())?]);
        }
        if self.cache != pools {
            self.captured.clear();
            self.cache = pools;
        }
        Ok(())
    }
}

fn capture(
    network: &Network,
    cache: &Cache,
    placed: &Placed,
    buffers: &Buffers,
) -> Result<Option<CudaGraph>> {
    let stream = network.gpu.device().cuda_stream();
    stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).w()?;
    let run = network.run(cache, placed, buffers);
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
    run?;
    graph.w()
}

/// Sizes with room, the same for many steps.
fn roomy(network: &Network, inputs: &Inputs) -> Sizes {
    let rows = few_sizes(inputs.spans.len());
    let plans = inputs.plans.iter().zip(network.windows()).map(|(plan, window)| {
        let most = Plan::most_items(rows, &network.layout(*window));
        let room =
            |used: usize, least: usize| if used == 0 { 0 } else { used.max(least).next_power_of_two() };
        PlanSizes {
            items: [&plan.items[0], &plan.items[1]].map(|items| if items.is_empty() { 0 } else { most }),
            tokens: 2 * rows,
            tables: room(plan.tables.len(), LEAST_TABLES),
            slots: room(plan.slots.len(), 4 * rows),
        }
    });
    Sizes { tokens: rows, rows, plans: plans.collect() }
}

/// The number of rows or a little more: powers of two and what lies in the middle between two of them. Few rows are
/// not enlarged, since the kernel for them reads weights once for each number of rows.
fn few_sizes(rows: usize) -> usize {
    let power = rows.next_power_of_two();
    if rows <= power / 4 * 3 { power / 4 * 3 } else { power }
}
