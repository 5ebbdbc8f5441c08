//! Samples a few trajectories.
use isocost_harness::{cell::Budget, chain, countdown, engine::*};
use rand_chacha::rand_core::SeedableRng;
fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let level = std::env::args().nth(2).unwrap();
    let count: usize = std::env::args().nth(3).unwrap().parse().unwrap();
    let mut engine = isocost_models::engine::LocalEngine::load(
        folder.as_ref(),
        &candle_core::Device::Cpu,
        candle_core::DType::F32,
        64,
    )
    .unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    let questions: Vec<String> = match level.as_str() {
        "chain" => chain::draw(2..=20, count, true, &mut rng).iter().map(|c| c.to_string()).collect(),
        n => {
            countdown::draw(n.parse().unwrap(), count, true, &mut rng).iter().map(|c| c.to_string()).collect()
        }
    };
    let jobs: Vec<Job> = questions
        .iter()
        .enumerate()
        .map(|(i, q)| Job {
            problem: i.to_string(),
            instructions: String::new(),
            question: q.clone(),
            trajectories: (0..8).collect(),
        })
        .collect();
    let budgets = [0, 16, 32, 64, 128, 256, 512].map(Budget::Tokens).to_vec();
    let settings = Settings {
        budgets: budgets.clone(),
        answer_tokens: 16,
        waits: 0,
        sampling: Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None },
        seed: 1,
    };
    let mut right = vec![0.0; budgets.len()];
    let mut total = 0.0;
    let mut tokens = 0.0;
    let activity = engine
        .sample(&jobs, &settings, &mut |g| {
            if total < 3.0 {
                println!(
                    "{} | {} | {:?} {:?}",
                    questions[g.job],
                    g.reasoning,
                    g.thought,
                    g.answers.iter().map(|a| (a.budget, a.text.clone())).collect::<Vec<_>>()
                );
            }
            total += 1.0;
            tokens += g.reasoning_ids.len() as f64;
            for (i, b) in budgets.iter().enumerate() {
                let Budget::Tokens(cap) = b else { continue };
                let natural = *cap > 0
                    && g.thought != isocost_harness::trajectory::Thought::Cut
                    && (g.reasoning_ids.len() as u32) < *cap;
                let a =
                    g.answers.iter().find(|a| a.budget == if natural { Budget::Max } else { *b }).unwrap();
                let ok = match level.as_str() {
                    "chain" => {
                        questions[g.job]
                            .parse::<chain::Chain>()
                            .unwrap()
                            .values()
                            .unwrap()
                            .last()
                            .unwrap()
                            .to_string()
                            == a.text.trim()
                    }
                    _ => questions[g.job].parse::<countdown::Puzzle>().unwrap().check(&a.text).is_ok(),
                };
                if ok {
                    right[i] += 1.0;
                }
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    for (b, r) in budgets.iter().zip(&right) {
        println!("{b}: {:.3}", r / total);
    }
    println!(
        "mean reasoning {:.1}; {:?}; tok/s {:.0}",
        tokens / total,
        activity,
        activity.sampled_tokens as f64 / activity.wall_s
    );
}
