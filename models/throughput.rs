//! How fast a decoder reads prompts and writes tokens on a device: the numbers that llama-bench gives.
//!
//! A test has sequences of a given length in the cache, and either reads a prompt behind one of them in a single step or decodes all of
//! them together, token by token. What stands in the cache is made up: nothing here depends on it but the time it
//! takes to read. Choosing tokens is not part of it. For what a whole sweep costs, scheduler and sampling included, see
//! [`crate::calibrate`].

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Result, Tensor};
use isocost_harness::roofline::Traffic;
use serde::Serialize;

use crate::cache::{BLOCK, Cache, Sequence};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::decoder::{Decoder, Feed};
use crate::gguf::Header;
use crate::load::LoadError;
use crate::memory;
use crate::weights::Weights;

/// A test is not repeated any more once it took so long.
const LONG: Duration = Duration::from_secs(20);

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A prompt of so many tokens is read in one step.
    Prompt(usize),
    /// So many steps, each a token for every row.
    Decode(usize),
}

/// One test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// What is timed.
    pub work: Work,
    /// Rows that are decoded together; prompts are read one at a time.
    pub batch: usize,
    /// Tokens that each row has in the cache before.
    pub context: usize,
    /// Whether these are the same ones, as for rows of one problem, and not each row's own.
    pub is_shared: bool,
}

/// Smallest, middle and largest of some repeats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of both.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// What a test gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Throughput {
    /// Tokens read or written a second, over repeats.
    pub tokens_per_s: Spread,
    /// Bytes of weights, keys and values that are read a second at the middle speed.
    pub bytes_per_s: f64,
    /// How often it was measured.
    pub repeats: usize,
}

impl Test {
    /// `pp512` or `tg64`, as llama-bench names them.
    pub fn name(&self) -> String {
        match self.work {
            Work::Prompt(tokens) => format!("pp{tokens}"),
            Work::Decode(tokens) => format!("tg{tokens}"),
        }
    }

    /// Tokens that the cache must hold.
    fn tokens(&self) -> usize {
        let (Work::Prompt(own) | Work::Decode(own)) = self.work;
        self.batch.saturating_mul((self.context + own).next_multiple_of(BLOCK))
    }

    /// Why it cannot be run, if it cannot: rather than to be told so by the device, which the processor does not do.
    fn check(&self, config: &Config, dtype: DType, free_bytes: Option<u64>) -> Result<()> {
        let (Work::Prompt(own) | Work::Decode(own)) = self.work;
        let (tokens, context) = (self.context.saturating_add(own), config.context);
        if tokens > context {
            candle_core::bail!("{tokens} tokens do not fit the model's context of {context}")
        }
        let of_token = config.kv_bytes_per_token(dtype.size_in_bytes());
        let bytes = self.tokens().saturating_mul(of_token) as u64;
        match free_bytes {
            Some(free) if bytes > free => candle_core::bail!(
                "the keys and values of {} rows of {tokens} tokens take {}, and {} are free: take fewer or shorter ones",
                self.batch,
                memory::bytes(bytes),
                memory::bytes(free)
            ),
            _ => Ok(()),
        }
    }
}

impl Spread {
    /// Of at least one number.
    fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let last = numbers.len() - 1;
        Self {
            median: (numbers[last / 2] + numbers[last.div_ceil(2)]) / 2.0,
            min: numbers[0],
            max: numbers[last],
        }
    }
}

/// The network of a model folder or `.gguf` file, without its tokenizer; of a `config.json` by itself, with random weights.
///
/// # Errors
/// [`LoadError`]: one line with the file and the remedy.
pub fn open(path: &Path, dtype: Option<DType>, device: &Device) -> std::result::Result<Decoder, LoadError> {
    let is = |extension: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
    let (config, weights) = if is("gguf") {
        let header = Header::open(path).map_err(|e| LoadError::malformed(path, &e))?;
        Checkpoint::gguf_network(path, &Arc::new(header), dtype, device)?
    } else if is("json") {
        (Config::read(path)?, Weights::random(dtype.unwrap_or(DType::F32), device))
    } else {
        (Config::read(&path.join("config.json"))?, Weights::open(path, dtype, device)?)
    };
    Decoder::load(config, &weights)
}

/// A decoder under test.
pub struct Bench {
    decoder: Decoder,
    /// How often a test is repeated, unless it takes long.
    repeats: usize,
}

impl Bench {
    /// A bench that repeats each test so often, at least once.
    pub fn new(decoder: Decoder, repeats: usize) -> Self {
        Self { decoder, repeats: repeats.max(1) }
    }

    /// The network.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Runs a test, once without a clock and then repeatedly.
    ///
    /// # Errors
    /// If the test does not fit the model's context, or the device fails.
    pub fn run(&self, test: Test) -> Result<Throughput> {
        let device = self.decoder.device();
        test.check(self.decoder.config(), self.decoder.dtype(), memory::free_bytes(device))?;
        let mut cache = Cache::new(self.decoder.config(), test.tokens(), self.decoder.dtype(), device)?;
        let mut rows = self.rows(test, &mut cache)?;
        self.work(Test { work: shortened(test.work), ..test }, &mut cache, &mut rows)?;
        let (begun, mut rates) = (Instant::now(), Vec::new());
        while rates.len() < self.repeats && (rates.len() < 2 || begun.elapsed() < LONG) {
            rates.push(self.work(test, &mut cache, &mut rows)?);
        }
        let tokens_per_s = Spread::of(rates.clone());
        let bytes_per_s = tokens_per_s.median * self.bytes_per_token(test);
        Ok(Throughput { tokens_per_s, bytes_per_s, repeats: rates.len() })
    }

    /// The rows of a test, each with its context.
    fn rows(&self, test: Test, cache: &mut Cache) -> Result<Vec<Sequence>> {
        if !test.is_shared {
            return (0..test.batch).map(|_| self.filled(cache, test.context)).collect();
        }
        let first = self.filled(cache, test.context)?;
        let mut rows =
            (1..test.batch).map(|_| cache.fork(&first, test.context)).collect::<Result<Vec<_>>>()?;
        rows.push(first);
        Ok(rows)
    }

    /// A sequence of made-up keys and values.
    fn filled(&self, cache: &mut Cache, context: usize) -> Result<Sequence> {
        let (config, mut sequence) = (self.decoder.config(), Sequence::default());
        let slots = cache.extend(&mut sequence, &vec![0; context])?;
        let rows =
            Tensor::randn(0f32, 1.0, (context, config.kv_heads * config.head_dim), self.decoder.device())?;
        for layer in 0..config.layers.len() {
            cache.layer(layer).write(&slots, &rows, &rows)?;
        }
        Ok(sequence)
    }

    /// Tokens a second of one repeat, after which all rows are as long as before.
    fn work(&self, test: Test, cache: &mut Cache, rows: &mut [Sequence]) -> Result<f64> {
        let (rows, steps, tokens) = match test.work {
            Work::Prompt(tokens) => (&mut rows[..1], 1, tokens),
            Work::Decode(steps) => (rows, steps, 1),
        };
        let vocab = self.decoder.config().vocab as u32;
        let ids: Vec<u32> = (0..tokens as u32).map(|id| id * 7 % vocab).collect();
        let started = Instant::now();
        let mut step = || {
            let mut feeds: Vec<Feed> =
                rows.iter_mut().map(|sequence| Feed { sequence, tokens: &ids }).collect();
            self.decoder.step(cache, &mut feeds).map(drop)
        };
        self.decoder.awake(|| (0..steps).try_for_each(|_| step()))?;
        self.decoder.device().synchronize()?;
        let seconds = started.elapsed().as_secs_f64();
        let fed = rows.len() * steps * tokens;
        rows.iter_mut().for_each(|row| cache.take_back(row, test.context));
        Ok(fed as f64 / seconds)
    }

    /// Bytes that a step of the test reads, for each token that it feeds: all weights once, and the keys and values of
    /// every row's context, at the middle of the test; those that rows share once.
    fn bytes_per_token(&self, test: Test) -> f64 {
        let Traffic { weights_bytes, kv_bytes_per_token } = self.decoder.traffic();
        let (weights, kv) = (weights_bytes as f64, kv_bytes_per_token as f64);
        match test.work {
            Work::Prompt(tokens) => (weights + (test.context + tokens) as f64 * kv) / tokens as f64,
            Work::Decode(steps) => {
                let context = test.context as f64 / if test.is_shared { test.batch as f64 } else { 1.0 };
                weights / test.batch as f64 + (context + steps as f64 / 2.0) * kv
            }
        }
    }
}

/// Enough work to warm up with.
fn shortened(work: Work) -> Work {
    match work {
        Work::Prompt(tokens) => Work::Prompt(tokens.min(64)),
        Work::Decode(steps) => Work::Decode(steps.min(3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundled;

    #[test]
    fn a_test_gives_a_rate_and_leaves_the_rows_as_long_as_they_were() {
        let folder = bundled::folder("bundled:reason-s").unwrap();
        let bench = Bench::new(open(&folder, None, &Device::Cpu).unwrap(), 3);
        for work in [Work::Prompt(20), Work::Decode(4)] {
            let is_shared = work == Work::Decode(4);
            let given = bench.run(Test { work, batch: 3, context: 21, is_shared }).unwrap();
            let Spread { median, min, max } = given.tokens_per_s;
            assert!(0.0 < min && min <= median && median <= max && given.bytes_per_s > 0.0);
            assert_eq!(given.repeats, 3);
        }
    }

    #[test]
    fn more_than_the_models_context_is_an_error() {
        let folder = bundled::folder("bundled:reason-s").unwrap();
        let bench = Bench::new(open(&folder, None, &Device::Cpu).unwrap(), 1);
        for context in [1 << 20, usize::MAX] {
            let test = Test { work: Work::Decode(1), batch: 1, context, is_shared: false };
            assert!(bench.run(test).unwrap_err().to_string().contains("do not fit"));
        }
    }

    #[test]
    fn more_rows_than_there_is_memory_for_are_an_error() {
        let folder = bundled::folder("bundled:reason-s").unwrap();
        let bench = Bench::new(open(&folder, None, &Device::Cpu).unwrap(), 1);
        let test = Test { work: Work::Decode(1), batch: usize::MAX, context: 8, is_shared: false };
        let is_known = memory::free_bytes(&Device::Cpu).is_some();
        assert!(!is_known || bench.run(test).unwrap_err().to_string().contains("are free"));
    }

    #[test]
    fn the_middle_of_an_even_number_of_repeats_is_a_mean() {
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).median, 2.0);
    }
}
