//! Whatever a file says, a reader answers with a model or an error: it does not panic, hang, or take memory without end.
//!
//! A mutation fuzzer over the readers of `config.json`, safetensors (with its index) and GGUF. Each input is a valid file with a
//! few random changes, and whatever still loads is run for a step. It prints how many inputs it tried. By default two
//! seconds; longer with `ISOCOST_FUZZ_S=600 cargo test --workspace --test fuzz -- --nocapture`.
//!
//! `models/tests/corpus` keeps inputs for good, a folder for each format: hostile ones made by hand, and every input that ever
//! failed, which the fuzzer writes there. All of them are tried first, and changed like the valid files afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Device;
use isocost_models::cache::{Cache, Sequence};
use isocost_models::checkpoint::Checkpoint;
use isocost_models::config::Config;
use isocost_models::decoder::{Decoder, Feed};
use isocost_models::gguf::Header;
use isocost_models::load::LoadError;
use isocost_models::tokenizer::{GgufVocabulary, Tokenizer};
use isocost_models::weights::Weights;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod reference;
mod tiny_gguf;
use reference::Reference;
use tiny_gguf::TinyGguf;

/// What a format's inputs are made from, and what reads them.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    /// Its part of the corpus.
    kept: Vec<Vec<u8>>,
    /// Changes go to the first so many bytes: headers.
    header: usize,
    read: Reader,
}

type Reader = fn(&Path, &[u8]) -> Result<(), LoadError>;

#[test]
fn readers_survive_whatever_a_file_says() {
    let seconds = std::env::var("ISOCOST_FUZZ_S").ok().and_then(|s| s.parse().ok()).unwrap_or(2.0);
    let folder = tempfile::tempdir().unwrap();
    let targets = targets(folder.path());
    let share = Duration::from_secs_f64(seconds / targets.len() as f64);
    let mut rng = ChaCha8Rng::seed_from_u64(seconds.to_bits());
    for target in &targets {
        target.kept.iter().for_each(|input| _ = tried(target, folder.path(), input));
        let (started, mut inputs, mut accepted) = (Instant::now(), 0u64, 0u64);
        // On a slow disk, too, a few inputs more than luck needs.
        while inputs < 400 || started.elapsed() < share {
            let input = mutated(&mut rng, target);
            let is_accepted = tried(target, folder.path(), &input);
            inputs += 1;
            accepted += u64::from(is_accepted);
        }
        println!(
            "{:12} {inputs:>8} inputs in {:.0} s, {accepted} of them accepted",
            target.name,
            started.elapsed().as_secs_f64()
        );
        assert!(accepted > 0 && accepted < inputs, "{}: {accepted} of {inputs} accepted", target.name);
    }
}

/// Whether the reader accepts an input. One at which it panics, hangs or says much is kept, and fails the test.
fn tried(target: &Target, folder: &Path, input: &[u8]) -> bool {
    let (mut answer, mut slow) = timed(target, folder, input);
    if slow {
        // A machine that was paused meanwhile is not paused at the same input again.
        (answer, slow) = timed(target, folder, input);
    }
    let error = match &answer {
        Ok(Err(error)) => error.to_string(),
        _ => String::new(),
    };
    if answer.is_err() || slow || error.lines().count() > 1 {
        let path = corpus(target.name).join(format!("failed-{:08x}", input.iter().fold(0u32, hashed)));
        std::fs::write(&path, input).unwrap();
        panic!("{}: panic, hang or long error ({error}); the input is in {}", target.name, path.display());
    }
    matches!(answer, Ok(Ok(())))
}

fn hashed(hash: u32, byte: &u8) -> u32 {
    (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// The inputs of a format that are kept.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(corpus(name)).unwrap().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name}: nothing is kept");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// What the reader answers, or its panic, and whether it took too long.
fn timed(target: &Target, folder: &Path, input: &[u8]) -> (std::thread::Result<Result<(), LoadError>>, bool) {
    let begun = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| (target.read)(folder, input)));
    (answer, begun.elapsed() > Duration::from_secs(20))
}

fn targets(folder: &Path) -> Vec<Target> {
    let families = ["qwen2-yarn", "qwen2-sliding", "qwen3", "llama3", "smollm3", "phi4-mini", "gemma3"];
    let configs = families.map(|name| Reference::open(name).config.to_string().into_bytes());
    let saved = families.map(|name| Reference::open(name).config_saved.to_string().into_bytes());
    Reference::open("qwen2").write_checkpoint(folder, 2);
    let shard = std::fs::read(folder.join("model-00001-of-00002.safetensors")).unwrap();
    let index = std::fs::read(folder.join("model.safetensors.index.json")).unwrap();
    let header = 8 + u64::from_le_bytes(shard[..8].try_into().unwrap()) as usize;
    let ggufs = ["llama-q4_0", "qwen3-q4_k_m"].map(|name| TinyGguf::open(name).bytes());
    let everything = usize::MAX;
    let target = |name, seeds, header, read| Target { name, seeds, kept: kept(name), header, read };
    vec![
        target("config", [configs, saved].concat(), everything, read_config as Reader),
        target("safetensors", vec![shard], header, read_shard),
        target("index", vec![index], everything, read_index),
        target("gguf", ggufs.to_vec(), 9000, read_gguf),
    ]
}

fn read_config(_: &Path, input: &[u8]) -> Result<(), LoadError> {
    Config::parse(&String::from_utf8_lossy(input), Path::new("config.json")).map(|_| ())
}

fn read_shard(folder: &Path, input: &[u8]) -> Result<(), LoadError> {
    replacing(folder.join("model-00001-of-00002.safetensors"), input, || read_folder(folder))
}

fn read_index(folder: &Path, input: &[u8]) -> Result<(), LoadError> {
    replacing(folder.join("model.safetensors.index.json"), input, || read_folder(folder))
}

fn replacing<T>(path: PathBuf, input: &[u8], read: impl FnOnce() -> T) -> T {
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, input).unwrap();
    let answer = read();
    std::fs::write(&path, whole).unwrap();
    answer
}

fn read_folder(folder: &Path) -> Result<(), LoadError> {
    let config = Config::read(&folder.join("config.json"))?;
    run(config, &Weights::open(folder, None, &Device::Cpu)?)
}

fn read_gguf(folder: &Path, input: &[u8]) -> Result<(), LoadError> {
    let path = folder.join("input.gguf");
    std::fs::write(&path, input).unwrap();
    let header = Header::open(&path).map_err(|e| LoadError::malformed(&path, &e))?;
    let tokenizer = Tokenizer::from_gguf(&GgufVocabulary::from_header(&header));
    tokenizer.map_err(|e| LoadError::malformed(&path, &e))?;
    let (config, weights) = Checkpoint::gguf_network(&path, &Arc::new(header), None, &Device::Cpu)?;
    run(config, &weights)
}

/// Loads the network and runs it for a step.
fn run(config: Config, weights: &Weights) -> Result<(), LoadError> {
    let decoder = Decoder::load(config, weights)?;
    let cache = Cache::new(decoder.config(), 16, decoder.dtype(), &Device::Cpu);
    let mut cache = cache.map_err(|e| LoadError::other(&e))?;
    let mut feeds = [Feed { sequence: &mut Sequence::default(), tokens: &[1, 2, 3] }];
    decoder
        .step(&mut cache, &mut feeds)
        .map(|_| ())
        .map_err(|e| LoadError::other(&e.to_string().lines().next().unwrap_or_default()))
}

/// A seed with one to four changes.
fn mutated(rng: &mut ChaCha8Rng, target: &Target) -> Vec<u8> {
    // Most changes of what is refused are refused for the same reason.
    let seeds = if rng.random_bool(0.1) { &target.kept } else { &target.seeds };
    let mut input = seeds.choose(rng).unwrap().clone();
    for _ in 0..rng.random_range(1..=4) {
        change(rng, &mut input, target.header);
    }
    input
}

fn change(rng: &mut ChaCha8Rng, input: &mut Vec<u8>, header: usize) {
    let end = input.len().min(header).max(1);
    let at = rng.random_range(0..end).min(input.len().saturating_sub(1));
    if input.is_empty() {
        return;
    }
    match rng.random_range(0..8) {
        0 => input[at] ^= 1 << rng.random_range(0..8),
        1 => input[at] = *[0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'-', b'"'].choose(rng).unwrap(),
        2 => drop(input.drain(at..(at + rng.random_range(1..9)).min(input.len()))),
        3 => drop(
            input.splice(at..at, (0..rng.random_range(1..9)).map(|_| rng.random::<u8>()).collect::<Vec<_>>()),
        ),
        4 => overwrite(
            input,
            at,
            &[0, 1, 31, 33, 1 << 20, 1 << 31, u64::MAX].choose(rng).unwrap().to_le_bytes(),
        ),
        5 => number(rng, input, at),
        6 => {
            let from = rng.random_range(0..end).min(input.len() - 1);
            let piece = input[from..(from + 16).min(input.len())].to_vec();
            overwrite(input, at, &piece);
        }
        _ => input.truncate(if rng.random_bool(0.1) { at } else { input.len() }),
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    let end = (at + bytes.len()).min(input.len());
    input[at..end].copy_from_slice(&bytes[..end - at]);
}

/// Replaces the next number of a text.
fn number(rng: &mut ChaCha8Rng, input: &mut Vec<u8>, at: usize) {
    let Some(start) = (at..input.len()).find(|i| input[*i].is_ascii_digit()) else { return };
    let end = (start..input.len()).find(|i| !input[*i].is_ascii_digit()).unwrap_or(input.len());
    let values = [
        "0",
        "-1",
        "1",
        "3",
        "1e400",
        "1e18",
        "18446744073709551615",
        "4294967297",
        "0.0001",
        "null",
        "[]",
        "true",
    ];
    input.splice(start..end, values.choose(rng).unwrap().bytes());
}
