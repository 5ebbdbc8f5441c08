//! A run of any size, written as a real one would be: for measuring how fast conclusions are.
//!
//! Four models on two tasks, seven budgets, texts as long as those of the bundled models (about 1.5 kB a record).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use isocost_harness::cell::Budget;
use isocost_harness::manifest::{Identity, Manifest};
use isocost_harness::outcome::Outcome;
use isocost_harness::sweep::Sweep;
use isocost_harness::trajectory::{Answer, SCHEMA, Thought, Timing, Trajectory};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MODELS: [&str; 4] = ["tiny", "small", "medium", "large"];
const TASKS: [&str; 2] = ["countdown-3", "chain"];
const BUDGETS: [u32; 7] = [0, 32, 64, 128, 192, 256, 512];
const TRAJECTORIES: u32 = 64;

/// Writes a run of about `records` trajectories, whole problems only; returns how many.
pub(crate) fn write(folder: &Path, records: usize) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let per_problem = MODELS.len() * TASKS.len() * TRAJECTORIES as usize;
    let problems = records.div_ceil(per_problem);
    let manifest = Manifest {
        identity: Identity {
            schema: SCHEMA,
            sweep: sweep(),
            problems_sha256: BTreeMap::new(),
            models: MODELS.iter().enumerate().map(|(m, name)| ((*name).to_owned(), facts(m))).collect(),
            shard: None,
        },
        provenance: BTreeMap::new(),
    };
    std::fs::write(folder.join("manifest.json"), serde_json::to_string_pretty(&manifest)?)?;
    let mut file = BufWriter::new(File::create(folder.join("trajectories.jsonl"))?);
    for (m, model) in MODELS.iter().enumerate() {
        for (t, task) in TASKS.iter().enumerate() {
            for problem in 0..problems {
                let mut rng = ChaCha8Rng::seed_from_u64((m * 2 + t) as u64);
                rng.set_stream(problem as u64);
                for trajectory in 0..TRAJECTORIES {
                    let record = record(m, model, task, problem, trajectory, &mut rng);
                    serde_json::to_writer(&mut file, &record)?;
                    file.write_all(b"\n")?;
                }
            }
        }
    }
    file.flush()?;
    Ok(problems * per_problem)
}

fn sweep() -> Sweep {
    let names = |names: &[&str], table: &str, rest: fn(&str) -> String| -> String {
        names.iter().map(|name| format!("[[{table}]]\nname = \"{name}\"\n{}", rest(name))).collect()
    };
    let text = format!(
        "name = \"synthetic\"\nwhy = \"size\"\nseed = 1\nbudgets = {BUDGETS:?}\nn = [1, 2, 4, 8, 16, 32]\n\
         trajectories = {TRAJECTORIES}\nstrategies = [\"first\", \"maj\", \"weighted\", \"verifier\", \"pass\"]\n\
         prices = [\"small-cloud-cpu\", \"reasoning-api-2025\"]\n[sampling]\ntemperature = 0.8\n{}{}",
        names(&MODELS, "models", |name| format!("source = \"synthetic:{name}\"\n")),
        names(&TASKS, "tasks", |_| String::new()),
    );
    Sweep::parse("synthetic", &text).expect("a valid sweep")
}

fn facts(model: usize) -> serde_json::Value {
    serde_json::json!({
        "family": "synthetic",
        "parameters": 100_000u64 << (2 * model),
        "lineage": { "kind": "reasoning" },
        "shape": {
            "layers": 2 + model, "heads": 4, "kv_heads": 2, "head_dim": 32, "width": 128, "vocab": 121, "tied": true
        }
    })
}

fn record(
    m: usize,
    model: &str,
    task: &str,
    problem: usize,
    trajectory: u32,
    rng: &mut ChaCha8Rng,
) -> Trajectory {
    let ease = (problem as f64 * 0.618_034).fract();
    let length = (60.0 * (1.0 - ease) + 20.0 + 700.0 * rng.random::<f64>().powi(4)) as u32;
    let (longest, luck) = (*BUDGETS.last().expect("budgets"), rng.random::<f64>());
    let is_cut = length >= longest;
    let reasoning_tokens = length.min(longest);
    let at = |budget: u32| budget < length && (budget == 0 || is_cut || budget <= reasoning_tokens);
    let mut answers: Vec<Answer> = BUDGETS
        .iter()
        .filter(|budget| at(**budget))
        .map(|&budget| answer(Budget::Tokens(budget), budget, m, ease, luck, rng))
        .collect();
    if !is_cut {
        answers.push(answer(Budget::Max, reasoning_tokens, m, ease, luck * 0.7, rng));
    }
    let seconds =
        |tokens: u32| f64::from(tokens) * 1e-4 * (m + 1) as f64 * (1.0 + f64::from(tokens) / 4096.0);
    let timing = Timing {
        prompt_s: 1e-3,
        chain_s: seconds(reasoning_tokens),
        reasoning_s: answers.iter().map(|answer| seconds(answer.reasoning_tokens)).collect(),
        answer_s: answers.iter().map(|answer| seconds(answer.answer_tokens)).collect(),
    };
    Trajectory {
        schema: SCHEMA,
        model: model.to_owned(),
        task: task.to_owned(),
        problem: format!("p{problem:05}"),
        trajectory,
        waits: 0,
        question: "make 12 from 4 9 5".to_owned(),
        gold: String::new(),
        variant_of: None,
        grader: String::new(),
        prompt_tokens: 10,
        reasoning: "9 - 4 = 5 : 5 5 , ".repeat(reasoning_tokens as usize / 8),
        reasoning_tokens,
        thought: if is_cut { Thought::Cut } else { Thought::Closed },
        answers,
        timing,
    }
}

fn answer(budget: Budget, tokens: u32, m: usize, ease: f64, luck: f64, rng: &mut ChaCha8Rng) -> Answer {
    let chance = (0.1 + 0.2 * m as f64 * ease + 0.12 * f64::from(tokens + 1).ln() * ease).min(0.98);
    let outcome = if luck < chance { Outcome::Correct } else { Outcome::Wrong };
    let class =
        if luck < chance { "(+12-9)*4".to_owned() } else { format!("(+{}-9)*5", rng.random_range(0..6)) };
    Answer {
        budget,
        forced: budget != Budget::Max,
        reasoning_tokens: tokens,
        answer_tokens: 12,
        text: "( 12 - 9 ) * ( 5 * 4 )".to_owned(),
        complete: true,
        logprob_mean: Some(-rng.random::<f64>()),
        outcome,
        extracted: Some("( 12 - 9 ) * ( 5 * 4 )".to_owned()),
        rule: Some("expression".to_owned()),
        class: Some(class),
    }
}
