//! Calibration: what a step costs on this device, measured through the scheduler itself.
//!
//! A workload is a prompt of a given length and a number of trajectories that all think for the same few steps, are cut
//! together, and answer. So its steps have known loads: a prefill, a step with forks, plain decode steps at full
//! width, one that closes all thoughts, an answer. The words are meaningless and no token ends anything. Since the
//! same code runs a sweep, whatever it costs on the host is in the measurement. Each trajectory has a copy of the prompt's
//! keys and values, since in a sweep contexts are mostly thoughts, which no two rows share.
//!
//! Workloads are visited in rounds over the whole grid, cheapest first, until the numbers are tight or the time is up:
//! a drift of the clock or a noisy neighbour then touches all of them, and not one.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use candle_core::Result;
use isocost_harness::cell::{Budget, Policy};
use isocost_harness::energy::joules_of_all;
use isocost_harness::engine::{Sampling, Settings};
use isocost_harness::step::Step;
use isocost_harness::step_energy::EnergyPoint;
use isocost_harness::surface::Point;

use crate::cache::Cache;
use crate::config::Config;
use crate::decoder::Decoder;
use crate::memory;
use crate::meter::Watch;
use crate::scheduler::{Markers, Prompt, Scheduler, blocks_wanted};

/// Reasoning tokens of a workload's trajectories.
const THINKING: u32 = 5;
/// Tokens that close a thought.
const FORCED: usize = 4;
/// Tokens of an answer.
const ANSWER: u32 = 3;
/// Repeats before a median may be called tight.
const LEAST_REPEATS: usize = 5;
/// A window of energy lasts about so long, at most and at least: counters are updated about ten times a second.
const WINDOW: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));

/// What to measure, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Rows of the decode steps.
    pub rows: Vec<usize>,
    /// Lengths of prompts.
    pub contexts: Vec<usize>,
    /// How tokens are drawn; filters cost time.
    pub sampling: Sampling,
    /// Stop after so long, whatever was reached.
    pub time_limit: Duration,
    /// Stop once half of the medians are known to within this share of themselves (95 %).
    pub tight: f64,
}

#[derive(Clone, Copy)]
struct Workload {
    rows: usize,
    context: usize,
}

impl Grid {
    /// Rows up to `most_rows`, contexts up to `most_context` tokens.
    pub fn up_to(most_rows: usize, most_context: usize, sampling: Sampling, time_limit: Duration) -> Self {
        let steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
        let rows = steps.into_iter().filter(|rows| *rows < most_rows).chain([most_rows]).collect();
        let longest = most_context.saturating_sub(THINKING as usize + FORCED + ANSWER as usize).max(1);
        let powers = std::iter::successors(Some(8), |context| Some(context * 4));
        let contexts = powers.take_while(|context| context * 2 < longest).chain([longest]).collect();
        Self { rows, contexts, sampling, time_limit, tight: 0.02 }
    }

    /// Blocks that a cache must have for every row of every workload to be under way at once.
    fn cache_blocks(&self, config: &Config) -> usize {
        let wanted = |workload: Workload| {
            let Task { prompt, settings, markers } = workload.task(self, config);
            blocks_wanted(&[prompt], &settings, &markers, workload.rows, config)
        };
        self.workloads().into_iter().map(wanted).max().unwrap_or(0)
    }

    /// All workloads, cheapest first: every width at the shortest context, a third of them at the longer ones, since
    /// what a context costs is proportional to the width.
    fn workloads(&self) -> Vec<Workload> {
        let last = self.rows.len().saturating_sub(1);
        let is_sampled = |at: usize| at.is_multiple_of(3) || at == last;
        let mut workloads = Vec::new();
        for (i, &context) in self.contexts.iter().enumerate() {
            let rows = self.rows.iter().enumerate().filter(|(at, _)| i == 0 || is_sampled(*at));
            workloads.extend(rows.map(|(_, &rows)| Workload { rows, context }));
        }
        // Prompt tokens and decoded tokens cost about the same where it matters.
        workloads.sort_by_key(|w| w.context + w.rows * (THINKING + ANSWER) as usize);
        workloads
    }
}

/// A decoder being calibrated.
pub struct Bench<'a> {
    decoder: &'a Decoder,
    cache: &'a mut Cache,
    grid: &'a Grid,
}

/// Each step of each workload, over rounds.
type Samples = Vec<Vec<Vec<Step>>>;

impl<'a> Bench<'a> {
    /// A bench for `decoder`, whose `cache` is empty.
    pub fn new(decoder: &'a Decoder, cache: &'a mut Cache, grid: &'a Grid) -> Self {
        Self { decoder, cache, grid }
    }

    /// Measures the grid; `progress` is told the share of the time that is used up.
    ///
    /// # Errors
    /// If the device fails.
    pub fn measure(&mut self, progress: &mut dyn FnMut(f64)) -> Result<Vec<Point>> {
        // With less than it wants, the largest workload's rows take turns.
        memory::enlarge(self.cache, self.grid.cache_blocks(self.decoder.config()), self.decoder)?;
        let (workloads, started) = (self.grid.workloads(), Instant::now());
        let used = || started.elapsed().as_secs_f64() / self.grid.time_limit.as_secs_f64();
        self.warm_up(workloads[0])?;
        let mut samples: Samples = vec![Vec::new(); workloads.len()];
        while used() < 1.0 && !is_tight(&samples, self.grid.tight) {
            for (workload, samples) in workloads.iter().zip(&mut samples) {
                if used() >= 1.0 {
                    break;
                }
                // The first after another workload finds caches and memory as that one left them.
                self.run(*workload)?;
                add(samples, self.run(*workload)?);
                progress(used().min(1.0));
            }
        }
        Ok(points(&samples))
    }

    /// Joules of windows of decoding with few and many rows, at short and long contexts; the meters that can be read
    /// are added up.
    ///
    /// # Errors
    /// If the device fails.
    pub fn measure_energy(&mut self, watch: &mut Watch) -> Result<Vec<EnergyPoint>> {
        if watch.is_empty() {
            return Ok(vec![]);
        }
        let (rows, contexts) = (&self.grid.rows, &self.grid.contexts);
        let ends = |values: &[usize]| [values[0], values[values.len() / 2], values[values.len() - 1]];
        let corners: Vec<Workload> = ends(rows)
            .into_iter()
            .flat_map(|rows| ends(contexts).map(|context| Workload { rows, context }))
            .collect();
        // All together as long as the steps, if that is long enough.
        let length = (self.grid.time_limit / corners.len() as u32).clamp(WINDOW.1, WINDOW.0);
        corners.into_iter().filter_map(|workload| self.window(workload, length, watch).transpose()).collect()
    }

    fn window(
        &mut self,
        workload: Workload,
        length: Duration,
        watch: &mut Watch,
    ) -> Result<Option<EnergyPoint>> {
        watch.cut();
        let (started, mut fed_tokens, mut attended_tokens) = (Instant::now(), 0, 0);
        while started.elapsed() < length {
            for step in self.run(workload)? {
                fed_tokens += u64::from(step.load.fed_tokens);
                attended_tokens += step.load.attended_tokens;
            }
        }
        let windows = watch.cut();
        let seconds = windows.iter().map(|w| w.seconds).fold(0.0, f64::max);
        let joules = joules_of_all(&windows);
        Ok(joules.map(|joules| EnergyPoint { fed_tokens, attended_tokens, seconds, joules }))
    }

    fn warm_up(&mut self, workload: Workload) -> Result<()> {
        let started = Instant::now();
        let enough = Duration::from_millis(300).min(self.grid.time_limit / 10);
        while started.elapsed() < enough {
            self.run(workload)?;
        }
        Ok(())
    }

    /// The steps of one workload.
    fn run(&mut self, workload: Workload) -> Result<Vec<Step>> {
        let Task { prompt, settings, markers } = workload.task(self.grid, self.decoder.config());
        let mut steps = Vec::new();
        let mut observe = |step| steps.push(step);
        let Self { decoder, cache, .. } = self;
        decoder.awake(|| {
            Scheduler::new(*decoder, cache, &markers, &settings, workload.rows)
                .apart()
                .observed(&mut observe)
                .run(&[prompt], &mut |_| ControlFlow::Continue(()))
        })?;
        Ok(steps)
    }
}

/// A workload as the scheduler takes it.
struct Task {
    prompt: Prompt,
    settings: Settings,
    markers: Markers,
}

impl Workload {
    fn task(self, grid: &Grid, config: &Config) -> Task {
        let ids = |count: usize| (0..count).map(|i| (i % config.vocab) as u32).collect::<Vec<u32>>();
        let settings = Settings {
            budgets: vec![Budget::Tokens(THINKING)],
            policy: Policy::ForceAnswer,
            answer_tokens: ANSWER,
            waits: 0,
            sampling: grid.sampling.clone(),
            seed: 0,
        };
        let prompt = Prompt {
            problem: String::new(),
            thinking: ids(self.context),
            direct: vec![],
            trajectories: (0..self.rows as u32).collect(),
        };
        Task { prompt, settings, markers: Markers { forced: ids(FORCED), ..Markers::default() } }
    }
}

fn add(samples: &mut Vec<Vec<Step>>, steps: Vec<Step>) {
    samples.resize(samples.len().max(steps.len()), vec![]);
    for (samples, step) in samples.iter_mut().zip(steps) {
        samples.push(step);
    }
}

fn seconds(steps: &[Step]) -> Vec<f64> {
    steps.iter().map(|step| step.seconds).collect()
}

fn is_tight(samples: &Samples, tight: f64) -> bool {
    let steps: Vec<&Vec<Step>> = samples.iter().flatten().collect();
    if samples.iter().any(Vec::is_empty) || steps.iter().any(|s| s.len() < LEAST_REPEATS) {
        return false;
    }
    let within = steps.iter().filter(|steps| half_width(&seconds(steps)) <= tight).count();
    within * 2 >= steps.len()
}

fn points(samples: &Samples) -> Vec<Point> {
    let numbered = samples.iter().enumerate();
    numbered.flat_map(|(workload, steps)| steps.iter().map(move |s| point(workload as u32, s))).collect()
}

fn point(workload: u32, steps: &[Step]) -> Point {
    let seconds = seconds(steps);
    let forward: Vec<f64> = steps.iter().map(|step| step.forward_s).collect();
    let step = Step { seconds: middle(&seconds), forward_s: middle(&forward), ..steps[0] };
    Point { workload, step, repeats: steps.len() as u32, half_width: half_width(&seconds) }
}

/// Half of the 95 % interval of the median, relative to it: 1.57 interquartile ranges over the root of the count
/// (McGill, Tukey and Larsen 1978).
fn half_width(seconds: &[f64]) -> f64 {
    let range = quantile(seconds, 0.75) - quantile(seconds, 0.25);
    1.57 * range / (seconds.len() as f64).sqrt() / quantile(seconds, 0.5).max(f64::MIN_POSITIVE)
}

/// The mean without the lowest and highest tenth, one of each at least: a request adds up many steps, so what every
/// tenth step suffers belongs in its cost, and what one in a hundred does would only make the measurement noisy.
fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = (sorted.len() / 10).max(1).min((sorted.len() - 1) / 2);
    let kept = &sorted[cut..sorted.len() - cut];
    kept.iter().sum::<f64>() / kept.len() as f64
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * (sorted.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cache::BLOCK;
    use crate::weights::Weights;

    #[test]
    fn one_stall_in_a_few_repeats_does_not_move_the_middle() {
        assert_eq!(middle(&[2.0]), 2.0);
        assert_eq!(middle(&[1.0, 3.0]), 2.0);
        assert_eq!(middle(&[1.0, 2.0, 3.0, 2.0, 500.0]), 7.0 / 3.0);
    }

    #[test]
    fn the_interval_narrows_with_the_root_of_the_repeats() {
        let repeats = |count: usize| (0..count).map(|i| 1.0 + (i % 5) as f64 * 0.1).collect::<Vec<_>>();
        assert!((half_width(&repeats(100)) / half_width(&repeats(400)) - 2.0).abs() < 0.05);
    }

    #[test]
    fn a_shape_is_measured_with_one_row_and_with_many_whatever_cache_it_came_with() {
        let folder = crate::bundled::folder("bundled:reason-s").unwrap();
        let decoder = |context| {
            let config = Config { context, ..Config::read(&folder.join("config.json")).unwrap() };
            Decoder::load(config, &Weights::random(DType::F32, &Device::Cpu)).unwrap()
        };
        let sampling = Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None };
        for (rows, context) in [(1, 16), (1, 200), (5, 65), (9, 300)] {
            let (decoder, limit) = (decoder(context), Duration::from_millis(1));
            let mut cache = Cache::new(decoder.config(), BLOCK, DType::F32, &Device::Cpu).unwrap();
            let grid = Grid::up_to(rows, context, sampling.clone(), limit);
            let widest = Workload { rows, context: grid.contexts[grid.contexts.len() - 1] };
            let mut bench = Bench::new(&decoder, &mut cache, &grid);
            bench.measure(&mut |_| ()).unwrap();
            let steps = bench.run(widest).unwrap();
            assert!(steps.iter().any(|step| step.load.rows as usize == rows), "{rows} rows of {context}");
        }
    }

    #[test]
    fn the_grid_has_every_width_once_and_few_of_them_at_long_contexts() {
        let sampling = Sampling { temperature: 0.0, top_k: None, top_p: None, min_p: None };
        let grid = Grid::up_to(64, 600, sampling, Duration::from_secs(1));
        assert_eq!(grid.contexts, [8, 32, 128, 588]);
        let workloads = grid.workloads();
        assert_eq!(workloads.iter().filter(|w| w.context == 8).count(), grid.rows.len());
        let long: Vec<usize> = workloads.iter().filter(|w| w.context == 588).map(|w| w.rows).collect();
        assert_eq!(long, [1, 4, 12, 32, 64]);
    }
}
