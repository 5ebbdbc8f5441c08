//! What `bench` is told.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use isocost_models::device::DeviceChoice;

use super::Number;
use super::number::{MOST, count};

/// Arguments of `bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// A model folder, a .gguf file, `bundled:NAME` or `hub:OWNER/NAME`; a config.json is filled with random weights. May
    /// be repeated.
    #[arg(short, long = "model", required = true)]
    pub(crate) models: Vec<String>,
    /// Tokens of prompts to read: `512`, `128,512`, `128-512+128`, `64-512*2`; 0 for no such test.
    #[arg(short, long, default_value = "512")]
    pub(crate) prompt: Counts,
    /// Steps to decode, likewise.
    #[arg(short = 'n', long, default_value = "64")]
    pub(crate) decode: Counts,
    /// Rows that are decoded together.
    #[arg(short, long, default_value = "1")]
    pub(crate) batch: Counts,
    /// Tokens of context before what is timed.
    #[arg(short = 'd', long, default_value = "64")]
    pub(crate) context: Counts,
    /// Rows share one context, as those of one problem do; else each has its own.
    #[arg(long)]
    pub(crate) shared: bool,
    /// Types of the numbers [default: as the weights are stored; f32 for random ones].
    #[arg(long, value_delimiter = ',')]
    pub(crate) dtype: Vec<Number>,
    /// Times each test is repeated; one that takes more than 20 seconds is repeated twice.
    #[arg(short, long, default_value_t = 5, value_parser = count)]
    pub(crate) repeats: usize,
    /// Where: `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one.
    #[arg(long, default_value_t)]
    pub(crate) device: DeviceChoice,
    /// What to print on stdout.
    #[arg(short, long, default_value = "md")]
    pub(crate) output: BenchOutput,
}

/// What to print on stdout.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BenchOutput {
    /// A Markdown table.
    Md,
    /// Comma-separated values.
    Csv,
    /// An array of objects.
    Json,
}

/// Counts and ranges of them: `first-last`, `first-last+step`, `first-last*factor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) Vec<usize>);

impl FromStr for Counts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let counts = text.split(',').map(range).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Self(counts))
    }
}

fn range(text: &str) -> Result<Vec<usize>, String> {
    let number = |text: &str| {
        let count = text.trim().parse().ok().filter(|count| *count <= MOST);
        count.ok_or_else(|| format!("`{text}` is not a count up to {MOST}"))
    };
    let Some((first, rest)) = text.split_once('-') else { return Ok(vec![number(text)?]) };
    let (last, step, factor) = match (rest.split_once('+'), rest.split_once('*')) {
        (Some((last, step)), _) => (last, number(step)?, 1),
        (None, Some((last, factor))) => (last, 0, number(factor)?),
        (None, None) => (rest, 1, 1),
    };
    let (first, last): (usize, usize) = (number(first)?, number(last)?);
    let next = |at: &usize| Some(at.checked_mul(factor)?.checked_add(step)?).filter(|next| next > at);
    if first < last && next(&first).is_none() {
        return Err(format!("`{text}` never gets from {first} to {last}"));
    }
    let range: Vec<usize> =
        std::iter::successors(Some(first), next).take_while(|at| *at <= last).take(LONGEST + 1).collect();
    if range.is_empty() || range.len() > LONGEST {
        return Err(format!("`{text}` stands for no count, or for more than {LONGEST}"));
    }
    Ok(range)
}

/// Counts of a range.
const LONGEST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_lists_and_ranges_as_in_llama_bench() {
        let counts = |text: &str| text.parse::<Counts>().unwrap().0;
        assert_eq!(counts("512"), [512]);
        assert_eq!(counts("1,8,16"), [1, 8, 16]);
        assert_eq!(counts("1-3,64-512*2"), [1, 2, 3, 64, 128, 256, 512]);
        assert_eq!(counts("128-512+128"), [128, 256, 384, 512]);
    }

    #[test]
    fn what_is_no_count_or_never_ends_is_refused() {
        for text in [
            "",
            "a",
            "4-",
            "5-4",
            "0-9*2",
            "1-9*1",
            "1-9+0",
            "1-9999999",
            "-1",
            "18446744073709551615",
            "16777217",
        ] {
            assert!(text.parse::<Counts>().is_err(), "{text}");
        }
    }
}
