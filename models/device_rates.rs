//! What a device can do at best: its rate of copying and of multiplying, measured.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Result, Tensor};
use isocost_harness::roofline::Rates;
use rayon::prelude::*;

use crate::decoder::Decoder;
use crate::matrix::noise;
use crate::memory;
use crate::slab::Slab;

/// Bytes that are copied on a CPU; far more than any cache holds.
const COPIED: usize = 256 << 20;
/// Bytes that are copied on other devices, at most: so many that a start of the work and the end of the wait for it do not count.
const COPIED_AT_MOST: u64 = 4 << 30;
/// Rows and columns of the product on a CPU and on other devices.
const SIDE: (usize, usize) = (1024, 8192);

/// Measures both rates in about a second; products are with a matrix that is stored as those of `decoder` are.
///
/// # Errors
/// If the device fails or has too little memory.
pub fn measure(decoder: &Decoder) -> Result<Rates> {
    let device = decoder.device();
    let copied = if device.is_cpu() { copy_on_host() } else { copy_on(device)? };
    Ok(Rates { copy_bytes_per_s: copied, matrix_flop_per_s: multiply(decoder)? })
}

/// The shortest of several runs: everything that disturbs only makes it longer.
fn shortest(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (begun, mut best) = (Instant::now(), f64::INFINITY);
    while begun.elapsed() < Duration::from_millis(400) {
        let started = Instant::now();
        work()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Bytes read and written a second by all cores together.
fn copy_on_host() -> f64 {
    let (mut from, mut to) = (Slab::zeros(COPIED / 2), Slab::zeros(COPIED / 2));
    from.fill(1u8);
    let chunk = from.len() / rayon::current_num_threads();
    let copied = shortest(|| {
        to.par_chunks_mut(chunk).zip(from.par_chunks(chunk)).for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&to);
        Ok(())
    });
    COPIED as f64 / copied.unwrap_or(f64::INFINITY)
}

/// Bytes that the device can read from its memory in a second; where it only copies, those it reads and writes.
///
/// # Errors
/// If the device fails or has too little memory.
pub fn read_bytes_per_s(device: &Device) -> Result<f64> {
    if !device.is_cpu() {
        return copy_on(device);
    }
    let mut from = Slab::zeros(COPIED / 8);
    from.fill(1u64);
    let chunk = from.len().div_ceil(rayon::current_num_threads());
    let seconds = shortest(|| {
        let sum = |part: &[u64]| part.iter().fold(0u64, |sum, word| sum ^ word);
        std::hint::black_box(from.par_chunks(chunk).map(sum).reduce(|| 0, |a, b| a ^ b));
        Ok(())
    })?;
    Ok(COPIED as f64 / seconds)
}

fn copy_on(device: &Device) -> Result<f64> {
    let copied =
        COPIED_AT_MOST.min(memory::free_bytes(device).map_or(COPIED as u64, |free| free / 4)) as usize;
    let from = Tensor::zeros(copied / 2, DType::U8, device)?;
    device.synchronize()?;
    let seconds = shortest(|| from.copy().and_then(|_| device.synchronize()))?;
    Ok(copied as f64 / seconds)
}

fn multiply(decoder: &Decoder) -> Result<f64> {
    let device = decoder.device();
    let side = if device.is_cpu() { SIDE.0 } else { SIDE.1 };
    let weights = decoder.a_matrix().square_like(side)?;
    let x = noise(side, decoder.activations(), device)?;
    device.synchronize()?;
    let seconds = shortest(|| weights.product(&x).and_then(|_| device.synchronize()))?;
    Ok(2.0 * (side as f64).powi(3) / seconds)
}
