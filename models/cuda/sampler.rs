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
/// Bytes of a `Part`.
const PART_BYTES: usize = 16;

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

/// What was drawn; laid out as in `sampler.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Answer {
    logprob: f64,
    token: u32,
    unused: u32,
}

// SAFETY: plain numbers, laid out as C does.
unsafe impl DeviceRepr for Draw {}
// SAFETY: as above.
unsafe impl DeviceRepr for Answer {}

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
    let (vocab, logits) = (logits.dim(1)?, Arg::At(address(logits)?));
    let draws: Vec<Draw> = places.iter().map(|place| Draw::new(sampling, place)).collect();
    let draws = stream.clone_htod(&draws).w()?;
    let parts = gpu.device().alloc_zeros::<u8>(count * PARTS * PART_BYTES)?;
    let counts = gpu.device().alloc_zeros::<u32>(count * BINS)?;
    let weights = gpu.device().alloc_zeros::<u64>(count * BINS)?;
    let sums = gpu.device().alloc_zeros::<u64>(count * PARTS)?;
    // SAFETY: it is written before it is read.
    let drawn: CudaSlice<Answer> = unsafe { gpu.device().alloc(count)? };
    fn at<T>(slice: &CudaSlice<T>, gpu: &Gpu) -> Arg {
        Arg::At(slice.device_ptr(&gpu.device().cuda_stream()).0)
    }
    let (draws, parts, drawn_at) = (at(&draws, &gpu), at(&parts, &gpu), at(&drawn, &gpu));
    let histograms = [at(&counts, &gpu), at(&weights, &gpu), at(&sums, &gpu)];
    let vocab = Arg::Number(vocab as u32);
    let shared = Blocks::of([PARTS, count], 256);
    gpu.launch("sample_scan", shared, &[logits, draws, parts, vocab])?;
    let [counts_at, weights_at, sums_at] = histograms;
    gpu.launch("sample_tally", shared, &[logits, draws, parts, counts_at, weights_at, sums_at, vocab])?;
    let args = [logits, draws, parts, counts_at, weights_at, sums_at, drawn_at, vocab];
    gpu.launch("sample_pick", Blocks::of([count, 1], 1024), &args)?;
    let answers = stream.clone_dtoh(&drawn).w()?;
    stream.synchronize().w()?;
    Ok(answers.iter().map(|answer| Drawn { token: answer.token, logprob: answer.logprob }).collect())
}
