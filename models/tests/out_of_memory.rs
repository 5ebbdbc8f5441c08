//! What happens when a device has no memory left in the middle of a run.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use candle_core::{DType, Device, Result};
use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Activity, Generated, Sampling, Settings};
use isocost_models::bundled;
use isocost_models::cache::{BLOCK, Cache, Sequence};
use isocost_models::config::Config;
use isocost_models::decoder::{Decoder, Feed, Forward};
use isocost_models::sampler::{Drawn, Place};
use isocost_models::scheduler::{Markers, Prompt, Scheduler, blocks_wanted};
use isocost_models::weights::Weights;

/// A decoder on a device that fails steps of more than so many rows, after all of their work.
struct Tight<'a> {
    decoder: &'a Decoder,
    most_rows: usize,
    failures: Cell<u64>,
    message: &'static str,
}

const NO_MEMORY: &str = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";

impl Forward for Tight<'_> {
    fn config(&self) -> &Config {
        self.decoder.config()
    }

    fn draw(
        &self,
        cache: &mut Cache,
        feeds: &mut [Feed],
        places: &[Place],
        sampling: &Sampling,
    ) -> Result<Vec<Drawn>> {
        let rows = feeds.len();
        let drawn = self.decoder.draw(cache, feeds, places, sampling)?;
        if rows > self.most_rows {
            self.failures.set(self.failures.get() + 1);
            candle_core::bail!("{}", self.message)
        }
        Ok(drawn)
    }
}

/// A decoder that takes all that is free of the cache after a step, as a device does that fails to fork.
struct Thief<'a> {
    decoder: &'a Decoder,
    steps: Cell<usize>,
    taken: RefCell<Sequence>,
}

impl Forward for Thief<'_> {
    fn config(&self) -> &Config {
        self.decoder.config()
    }

    fn draw(
        &self,
        cache: &mut Cache,
        feeds: &mut [Feed],
        places: &[Place],
        sampling: &Sampling,
    ) -> Result<Vec<Drawn>> {
        let drawn = self.decoder.draw(cache, feeds, places, sampling)?;
        self.steps.set(self.steps.get().saturating_sub(1));
        if self.steps.get() == 0 {
            let taken = &mut *self.taken.borrow_mut();
            let rest = taken.len().next_multiple_of(BLOCK) - taken.len();
            cache.extend(taken, &vec![0; cache.free_blocks() * BLOCK + rest])?;
        }
        Ok(drawn)
    }
}

fn decoder() -> Decoder {
    let folder = bundled::folder("bundled:reason-s").unwrap();
    let config = Config::read(&folder.join("config.json")).unwrap();
    let weights = Weights::open(&folder, Some(DType::F32), &Device::Cpu).unwrap();
    Decoder::load(config, &weights).unwrap()
}

fn settings() -> Settings {
    Settings {
        budgets: [0, 7, 20, 40].map(Budget::Tokens).to_vec(),
        policy: Policy::ForceAnswer,
        answer_tokens: 8,
        waits: 0,
        sampling: Sampling { temperature: 1.0, top_k: None, top_p: None, min_p: None },
        seed: 1,
    }
}

fn prompts() -> Vec<Prompt> {
    let prompt = |number: u32| Prompt {
        problem: number.to_string(),
        thinking: (1..20 + number).collect(),
        direct: (1..25 + number).collect(),
        trajectories: (0..6).collect(),
    };
    (0..4).map(prompt).collect()
}

/// All results without seconds, in order; and the free blocks afterwards.
fn sample(decoder: &dyn Forward, rows: usize) -> (Result<Activity>, Vec<Generated>, bool) {
    let markers = Markers { close: Some(3), end: vec![1], forced: vec![3], wait: vec![] };
    let (settings, prompts) = (settings(), prompts());
    let blocks = blocks_wanted(&prompts, &settings, &markers, rows, decoder.config());
    let mut cache = Cache::new(decoder.config(), blocks * 16, DType::F32, &Device::Cpu).unwrap();
    let mut all = Vec::new();
    let activity =
        Scheduler::new(decoder, &mut cache, &markers, &settings, rows).run(&prompts, &mut |mut g| {
            (g.prompt_s, g.chain_s) = (0.0, 0.0);
            g.answers.iter_mut().for_each(|answer| (answer.reasoning_s, answer.answer_s) = (0.0, 0.0));
            all.push(g);
            ControlFlow::Continue(())
        });
    all.sort_by_key(|g| (g.job, g.trajectory));
    (activity, all, cache.free_blocks() == cache.total_blocks())
}

#[test]
fn out_of_memory_halves_the_batch_and_changes_no_token() {
    let decoder = decoder();
    let (roomy, expected, _) = sample(&decoder, 16);
    assert_eq!((roomy.unwrap().most_rows, expected.len()), (16, 24));
    for most_rows in [9, 5, 1] {
        let tight = Tight { decoder: &decoder, most_rows, failures: Cell::new(0), message: NO_MEMORY };
        let (activity, found, all_free) = sample(&tight, 16);
        let activity = activity.unwrap();
        assert!(found == expected, "with at most {most_rows} rows the tokens differ");
        assert!(activity.halvings > 0 && activity.halvings == tight.failures.get());
        assert!(activity.most_rows <= most_rows as u64 && all_free);
    }
}

#[test]
fn a_single_row_without_memory_and_any_other_failure_end_the_call_and_free_the_cache() {
    let decoder = decoder();
    for (most_rows, message) in [(0, NO_MEMORY), (4, "an illegal address")] {
        let tight = Tight { decoder: &decoder, most_rows, failures: Cell::new(0), message };
        let (activity, found, all_free) = sample(&tight, 16);
        assert!(activity.unwrap_err().to_string().contains(message));
        assert!(found.len() < 24 && all_free);
    }
}

#[test]
fn the_room_that_is_planned_holds_the_whole_batch() {
    let decoder = decoder();
    for rows in [1, 3, 16] {
        let (activity, found, _) = sample(&decoder, rows);
        assert_eq!((activity.unwrap().most_rows, found.len()), (rows as u64, 24));
    }
}

#[test]
fn a_fork_that_fails_ends_the_call_and_frees_the_cache() {
    let decoder = decoder();
    let markers = Markers { close: Some(3), end: vec![1], forced: vec![3], wait: vec![] };
    let (settings, prompts) = (settings(), prompts());
    let blocks = blocks_wanted(&prompts, &settings, &markers, 16, decoder.config());
    for steps in 1..24 {
        for apart in [false, true] {
            let thief = Thief { decoder: &decoder, steps: Cell::new(steps), taken: RefCell::default() };
            let mut cache = Cache::new(decoder.config(), blocks * BLOCK, DType::F32, &Device::Cpu).unwrap();
            let scheduler = Scheduler::new(&thief, &mut cache, &markers, &settings, 16);
            let scheduler = if apart { scheduler.apart() } else { scheduler };
            assert!(scheduler.run(&prompts, &mut |_| ControlFlow::Continue(())).is_err());
            cache.release(thief.taken.into_inner());
            assert_eq!(cache.free_blocks(), cache.total_blocks(), "stolen after {steps} steps, {apart}");
        }
    }
}
