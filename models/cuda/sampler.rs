//! Drawing on the GPU: an id and a log-probability for each row come back, and no logits.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr};
use candle_core::{Result, Tensor};
use isocost_harness::engine::Sampling;

use super::gpu::{Arg, Blocks, Gpu, address};
use crate::sampler::{Drawn, Place};

/// Blocks that share a row, and bins of its histogram, as in `sampler.cu`.
const PARTS: usize = 32;
const BINS: usize = 2048;
/// Words of 64 bits of a `Drawn` and of a `Part`.
const ANSWER: usize = 2;
const PART: usize = 2;
/// How one token is drawn; laid out as in `sampler.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Draw {
    u: f64,
    temperature: f64,
    top_p: f64,
    min_p: f64,
    top_k: u32,
    row: u32,
}

// SAFETY: plain numbers, laid out as C does.
unsafe impl DeviceRepr for Draw {}

impl Draw {
    fn new(sampling: &Sampling, place: &Place) -> Self {
        Self {
            u: place.u,
            temperature: sampling.temperature,
            top_p: sampling.top_p.unwrap_or(-1.0),
            min_p: sampling.min_p.unwrap_or(-1.0),
            // A filter keeps at least one.
            top_k: sampling.top_k.map_or(0, |k| k.clamp(1, u32::MAX as usize) as u32),
            row: place.row as u32,
        }
    }
}

/// Draws a token at each of `places` of `[rows, vocab]` logits in `f32`.
///
/// # Errors
/// If the GPU fails, now or in what it was given before.
pub(crate) fn draw_rows(logits: &Tensor, places: &[Place], sampling: &Sampling) -> Result<Vec<Drawn>> {
    if places.is_empty() {
        return Ok(vec![]);
    }
    let gpu = Gpu::new(logits.device())?;
    let (stream, count) = (gpu.device().cuda_stream(), places.len());
    let draws: Vec<Draw> = places.iter().map(|place| Draw::new(sampling, place)).collect();
    let draws = stream.clone_htod(&draws).w()?;
    let (scratch, sections) = scratch(&gpu, count)?;
    let [drawn, parts, sums, weights, counts] = sections.map(Arg::At);
    let (draws, logits_at) = (Arg::At(draws.device_ptr(&stream).0), Arg::At(address(logits)?));
    let vocab = Arg::Number(logits.dim(1)? as u32);
    let shared = Blocks::of([PARTS, count], 256);
    gpu.launch("sample_scan", shared, &[logits_at, draws, parts, counts, weights, vocab])?;
    gpu.follow("sample_tally", shared, &[logits_at, draws, parts, counts, weights, sums, vocab])?;
    let args = [logits_at, draws, parts, counts, weights, sums, drawn, vocab];
    gpu.follow("sample_pick", Blocks::of([count, 1], 1024), &args)?;
    let answers = stream.clone_dtoh(&scratch.slice(..ANSWER * count)).w()?;
    stream.synchronize().w()?;
    Ok(answers.chunks(ANSWER).map(drawn_from).collect())
}

/// Memory of the kernels, and where in it the answers, parts, sums, weights and counts of so many rows are.
fn scratch(gpu: &Gpu, count: usize) -> Result<(CudaSlice<u64>, [u64; 5])> {
    let lengths = [ANSWER, PART * PARTS, PARTS, BINS, BINS / 2].map(|words| words * count);
    // SAFETY: it is written before it is read.
    let memory: CudaSlice<u64> = unsafe { gpu.device().alloc(lengths.iter().sum())? };
    let mut at = memory.device_ptr(&gpu.device().cuda_stream()).0;
    let sections = lengths.map(|length| {
        at += 8 * length as u64;
        at - 8 * length as u64
    });
    Ok((memory, sections))
}

/// A `Drawn` of `sampler.cu`.
fn drawn_from(words: &[u64]) -> Drawn {
    Drawn { logprob: f64::from_bits(words[0]), token: words[1] as u32 }
}
