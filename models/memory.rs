//! Memory, planned before it is taken.
//!
//! A model takes memory three times: for its weights, once; for the keys and values of every token of every row; and for
//! what a step computes on the way to its logits. The first two are known exactly before anything is loaded, the
//! third is estimated. So the largest batch that fits is known beforehand, too. Where the estimate was too low, or somebody else
//! took memory meanwhile, a GPU says so and the scheduler halves its batch; a processor cannot say so, it
//! just stops the program, which is why a part of what is free is left alone.

use std::fmt;

use candle_core::{DType, Device};

use crate::cache::{BLOCK, Cache};
use crate::config::Config;
use crate::decoder::Decoder;

/// Share of the free memory that a model may take.
const USABLE: f64 = 0.9;
/// Assumed to be free where the system does not say.
const UNKNOWN_FREE: u64 = 4 << 30;

/// What a model takes of a device's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPlan {
    /// Weights in the type they are used in.
    pub weights_bytes: u64,
    /// Keys and values of a token in all layers.
    pub kv_bytes_per_token: u64,
    /// Estimated room for a row's share of a step.
    pub step_bytes_per_row: u64,
    /// Free on the device; absent where the system does not say.
    pub free_bytes: Option<u64>,
    /// Rows that are wanted.
    pub rows: usize,
    /// Most tokens that a row keeps.
    pub row_tokens: usize,
}

impl MemoryPlan {
    /// Plans `rows` rows of at most `row_tokens` tokens; types are those of the cache and of activations.
    pub fn new(
        config: &Config,
        weights_bytes: u64,
        (cache, activations): (DType, DType),
        free_bytes: Option<u64>,
        (rows, row_tokens): (usize, usize),
    ) -> Self {
        Self {
            weights_bytes,
            kv_bytes_per_token: config.kv_bytes_per_token(cache.size_in_bytes()) as u64,
            step_bytes_per_row: step_bytes(config, row_tokens, activations),
            free_bytes,
            rows,
            row_tokens,
        }
    }

    /// Bytes that may be taken.
    fn usable(&self) -> u64 {
        usable(self.free_bytes)
    }

    /// Bytes that a row takes, beside the weights.
    pub fn row_bytes(&self) -> u64 {
        self.kv_bytes_per_token.saturating_mul(self.row_tokens as u64).saturating_add(self.step_bytes_per_row)
    }

    /// The largest batch for which there is room beside the weights.
    pub fn most_rows(&self) -> usize {
        (self.usable().saturating_sub(self.weights_bytes) / self.row_bytes().max(1)) as usize
    }

    /// Rows of the batch: as many as are wanted, as far as they fit.
    pub fn batch(&self) -> usize {
        self.rows.min(self.most_rows())
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let free =
            self.free_bytes.map_or("an unknown amount is".into(), |free| format!("{} are", bytes(free)));
        write!(
            f,
            "weights {}, keys and values {} a token; {} rows of {} tokens take {}; {free} free, room for {}",
            bytes(self.weights_bytes),
            bytes(self.kv_bytes_per_token),
            self.rows,
            self.row_tokens,
            bytes(self.row_bytes().saturating_mul(self.rows as u64)),
            match self.most_rows() {
                0 => "none".into(),
                most if most < self.rows => format!("{most}: the batch will have {most}"),
                most => format!("{most}"),
            }
        )
    }
}

/// A step's room for one row: its logits here and on the device, and the widest activations of its prompt.
fn step_bytes(config: &Config, row_tokens: usize, activations: DType) -> u64 {
    let attention = (config.heads + 2 * config.kv_heads) * config.head_dim;
    let widest = 4 * config.width + 2 * config.feed_forward + attention;
    // Tokens are fed one by one but for the prompt, of which at most so many are assumed.
    let fed = row_tokens.min(512);
    (2 * 4 * config.vocab + fed * widest * activations.size_in_bytes()) as u64
}

/// What may be taken of the memory that is free.
pub(crate) fn usable(free_bytes: Option<u64>) -> u64 {
    (free_bytes.unwrap_or(UNKNOWN_FREE) as f64 * USABLE) as u64
}

/// Memory that is free on a device; `None` where the system does not say.
pub fn free_bytes(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu => free_on_host(),
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => crate::cuda::free_bytes(cuda).ok(),
        #[cfg(feature = "metal")]
        Device::Metal(metal) => {
            let (most, taken) = (
                metal.metal_device().recommended_max_working_set_size(),
                metal.metal_device().current_allocated_size(),
            );
            Some(most.saturating_sub(taken) as u64)
        }
        #[cfg(not(all(feature = "cuda", feature = "metal")))]
        _ => None,
    }
}

/// Linux: what the kernel could give without swapping, within the limit of the control group.
fn free_on_host() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let available: u64 = line.split_whitespace().next()?.parse::<u64>().ok()? * 1024;
    let number = |file: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse().ok()
    };
    let group = number("memory.max").zip(number("memory.current"));
    Some(group.map_or(available, |(most, taken)| available.min(most.saturating_sub(taken))))
}

/// Whether an error means that the device has no memory left.
pub fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let message = error.to_string();
    ["OUT_OF_MEMORY", "out of memory", "ALLOC_FAILED", "Failed to create metal resource"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// Enlarges a decoder's cache to `wanted` blocks, or as far as memory allows; what it holds is lost then. Returns how often the
/// wish had to be halved.
///
/// # Errors
/// If the device fails, or refuses what it gave before.
pub(crate) fn enlarge(cache: &mut Cache, wanted: usize, decoder: &Decoder) -> candle_core::Result<u64> {
    let (config, dtype, device) = (decoder.config(), decoder.dtype(), decoder.device());
    let have = cache.total_blocks();
    let block_bytes = (BLOCK * config.kv_bytes_per_token(dtype.size_in_bytes())) as u64;
    let free = usable(free_bytes(device)) / block_bytes.max(1);
    let blocks = wanted.min(have.saturating_add(free as usize));
    if blocks <= have {
        return Ok(0);
    }
    let allocate = |blocks: usize| Cache::new(config, blocks * BLOCK, dtype, device);
    // The old cache goes first: both may not fit together.
    *cache = allocate(1)?;
    let (enlarged, halvings) = as_large_as_fits(blocks, have, allocate)?;
    *cache = enlarged;
    Ok(halvings)
}

/// Allocates `wanted` of something, or half of it as often as the device has no memory for so much, but never less than the
/// `least` that it had room for before. Also returns how often that was.
fn as_large_as_fits<T>(
    wanted: usize,
    least: usize,
    allocate: impl Fn(usize) -> candle_core::Result<T>,
) -> candle_core::Result<(T, u64)> {
    let (mut size, mut halvings) = (wanted, 0);
    loop {
        match allocate(size) {
            Err(error) if size > least && is_out_of_memory(&error) => {
                (size, halvings) = (least.max(size / 2), halvings + 1);
            }
            result => return result.map(|allocated| (allocated, halvings)),
        }
    }
}

/// Bytes in the largest unit that leaves a number of at least 1.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let step = (0..units.len() - 1).find(|step| count < 1 << (10 * (step + 1))).unwrap_or(units.len() - 1);
    if step == 0 {
        format!("{count} B")
    } else {
        format!("{:.1} {}", count as f64 / f64::from(1 << 10).powi(step as i32), units[step])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundled;

    fn plan(free: Option<u64>, rows: usize, row_tokens: usize) -> MemoryPlan {
        let folder = bundled::folder("bundled:reason-s").unwrap();
        let config = Config::read(&folder.join("config.json")).unwrap();
        MemoryPlan::new(&config, 1 << 20, (DType::F32, DType::F32), free, (rows, row_tokens))
    }

    #[test]
    fn the_batch_is_what_was_wanted_until_memory_is_short_and_then_what_fits() {
        let row = plan(None, 1, 700).row_bytes();
        assert!(row > 700 * plan(None, 1, 700).kv_bytes_per_token);
        let free = |rows: u64| Some(((row * rows + (1 << 20)) as f64 / USABLE).ceil() as u64);
        assert_eq!(plan(free(64), 64, 700).batch(), 64);
        assert_eq!(plan(free(63), 64, 700).batch(), 63);
        assert_eq!(plan(free(500), 64, 700).batch(), 64);
        assert_eq!(plan(Some(1 << 20), 64, 700).batch(), 0, "the weights alone do not fit");
    }

    #[test]
    fn a_plan_says_in_one_line_what_is_taken_and_what_fits() {
        let text = plan(Some(100 << 20), 64, 700).to_string();
        assert!(text.starts_with("weights 1.0 MiB, keys and values ") && text.lines().count() == 1, "{text}");
        assert!(text.contains("100.0 MiB are free") && text.contains("the batch will have "), "{text}");
    }

    #[test]
    fn a_batch_beyond_any_memory_is_planned_like_any_other() {
        let plan = plan(Some(100 << 20), usize::MAX, 700);
        assert!(
            plan.batch() == plan.most_rows() && plan.to_string().contains("the batch will have "),
            "{plan}"
        );
    }

    #[test]
    fn bytes_are_written_in_the_largest_fitting_unit() {
        let written = [0, 1023, 1024, 1536 << 20, 5 << 40].map(bytes);
        assert_eq!(written, ["0 B", "1023 B", "1.0 KiB", "1.5 GiB", "5.0 TiB"]);
    }

    #[test]
    fn what_is_refused_is_halved_but_never_below_what_there_was_room_for_before() {
        let device = |room: usize| {
            move |size: usize| {
                if size > room { Err(candle_core::Error::Msg("out of memory".into())) } else { Ok(size) }
            }
        };
        assert_eq!(as_large_as_fits(100, 60, device(100)).unwrap(), (100, 0));
        assert_eq!(as_large_as_fits(100, 30, device(55)).unwrap(), (50, 1));
        assert_eq!(as_large_as_fits(100, 60, device(60)).unwrap(), (60, 1), "half would be less than before");
        assert_eq!(as_large_as_fits(1000, 60, device(99)).unwrap(), (62, 4));
        assert!(as_large_as_fits(100, 60, device(59)).is_err());
        let broken = |_| Err::<usize, _>(candle_core::Error::Msg("an illegal address".into()));
        assert!(as_large_as_fits(100, 60, broken).is_err(), "other failures are no reason to try again");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_some_memory_free() {
        assert!(free_bytes(&Device::Cpu).is_some_and(|free| free > 1 << 20));
    }
}
