//! Rows of a sweep that was never run: smooth curves with the shape of real ones.

use std::sync::Arc;

use isocost_harness::cell::{Budget, Cell, Policy, Strategy};
use isocost_harness::report_md::{Figure, Report};
use isocost_harness::row::{Economy, PerProblem, Priced, Row};
use isocost_harness::statistics::Estimate;
use isocost_harness::whole::LeftOut;

const PROBLEMS: usize = 200;
const TRAJECTORIES: usize = 16;
const BUDGETS: [u32; 7] = [0, 16, 32, 64, 128, 256, 512];

struct Model {
    name: &'static str,
    ceiling: f64,
    half_budget: f64,
    natural_tokens: f64,
    s_per_token: f64,
}

const MODELS: [Model; 3] = [
    Model { name: "reason-s", ceiling: 0.42, half_budget: 90.0, natural_tokens: 260.0, s_per_token: 0.4e-4 },
    Model { name: "reason-m", ceiling: 0.68, half_budget: 70.0, natural_tokens: 230.0, s_per_token: 1.1e-4 },
    Model { name: "concise-m", ceiling: 0.61, half_budget: 30.0, natural_tokens: 110.0, s_per_token: 1.1e-4 },
];

/// 3 models x 7 budgets x n of 1, 2, 4, 8, 16 x first, majority, verifier and pass.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for model in &MODELS {
        for budget in BUDGETS {
            rows.push(row(model, budget, 1, Strategy::First));
            for n in [2, 4, 8, 16] {
                for strategy in [Strategy::Maj, Strategy::Verifier, Strategy::Pass] {
                    rows.push(row(model, budget, n, strategy));
                }
            }
        }
    }
    rows
}

/// Rows whose names attack, and whose numbers do not exist.
pub(crate) fn hostile_rows() -> Vec<Row> {
    let names = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\u{1b}[2J\u{1b}]0;owned\u{7}|a|"];
    let mut rows: Vec<Row> = names.iter().map(|name| named(name)).collect();
    rows[1].accuracy = None;
    rows[1].prices[0].usd_per_correct = None;
    rows[1].device_s_mean = f64::NAN;
    rows[2].reliable = false;
    rows
}

/// A report on the rows.
pub(crate) fn report(rows: Vec<Row>) -> Report {
    let economy = MODELS.iter().map(|model| Economy {
        model: model.name.to_string(),
        task: "countdown-4".to_string(),
        grid_tokens: 812_345,
        dearest_cell_tokens: 736_000,
        cell_by_cell_tokens: 9_123_456,
        row_by_row_tokens: 45_617_280,
        grid_device_s: 412.0,
        cell_by_cell_device_s: 4_321.0,
    });
    Report {
        title: "Three small models on countdown".to_string(),
        command: "isocost run sweeps/smoke.toml --out results/smoke\nisocost report results/smoke"
            .to_string(),
        conditions: vec![
            ("device".to_string(), "CPU, 2 cores".to_string()),
            ("price".to_string(), "$0.04 per device-hour".to_string()),
            ("temperature".to_string(), "1.0".to_string()),
        ],
        rows,
        policy: Policy::default(),
        claims: None,
        economy: economy.collect(),
        activity: vec!["resumed once, after 40 of 200 problems".to_string()],
        figures: vec![Figure {
            file: "figures/countdown-4.svg".to_string(),
            caption: "Accuracy by tokens".to_string(),
        }],
        notes: vec!["Bundled models; no network was used.".to_string()],
        sections: vec![],
    }
}

fn named(name: &str) -> Row {
    let mut row = row(&MODELS[1], 64, 1, Strategy::First);
    row.cell = Cell { model: name.to_string(), task: name.to_string(), ..row.cell };
    row
}

fn row(model: &Model, budget: u32, n: u32, strategy: Strategy) -> Row {
    let tokens = model.natural_tokens * (1.0 - (-f64::from(budget) / model.natural_tokens).exp());
    let single = 0.04 + (model.ceiling - 0.04) * tokens / (tokens + model.half_budget);
    let accuracy = chosen(single, n, strategy);
    let seconds = model.s_per_token * (30.0 + f64::from(n) * (tokens + 6.0));
    let usd = seconds * 0.04 / 3600.0 / accuracy;
    Row {
        cell: Cell {
            model: model.name.to_string(),
            task: "countdown-4".to_string(),
            waits: 0,
            budget: Budget::Tokens(budget),
            n,
            strategy,
        },
        accuracy: Some(wilson(accuracy)),
        reliable: n <= 8,
        problems: PROBLEMS,
        ids: Arc::default(),
        left_out: LeftOut::default(),
        trajectories: TRAJECTORIES,
        reasoning_tokens_mean: tokens,
        answer_tokens_mean: 6.0 + 2.0 * single,
        truncated_share: 0.9 * (1.0 - tokens / model.natural_tokens),
        no_answer_share: 0.02 * (1.0 - single),
        device_s_mean: seconds,
        device_s_per_correct: Some(around(seconds / accuracy).into()),
        per_problem: per_problem(accuracy, seconds),
        tokens_per_correct: Some(around(f64::from(n) * (tokens + 6.0) / accuracy).into()),
        flop_mean: None,
        flop_per_correct: None,
        joules_mean: Some(40.0 * seconds),
        joules_per_correct: Some(around(40.0 * seconds / accuracy).into()),
        prices: vec![Priced {
            price: "a test".to_string(),
            usd_mean: usd * accuracy,
            usd_per_correct: Some(around(usd).into()),
        }],
        cost_of_pass_usd: None,
    }
}

/// Problems that differ in difficulty and length by a fixed pattern.
fn per_problem(accuracy: f64, seconds: f64) -> PerProblem {
    let wobble = |at: usize| ((at * 7) % PROBLEMS) as f64 / PROBLEMS as f64 - 0.5;
    let device_s: Vec<f64> = (0..PROBLEMS).map(|at| seconds * (1.0 + 0.2 * wobble(at))).collect();
    PerProblem {
        correct: (0..PROBLEMS).map(|at| (accuracy + 0.4 * wobble(at + 3)).clamp(0.0, 1.0)).collect(),
        usd: device_s.iter().map(|seconds| seconds * 0.04 / 3600.0).collect(),
        tokens: device_s.iter().map(|seconds| seconds * 1e4).collect(),
        joules: device_s.iter().map(|seconds| seconds * 40.0).collect(),
        device_s,
    }
}

fn around(value: f64) -> Estimate {
    Estimate { value, ci_low: value * 0.88, ci_high: value * 1.15, n: PROBLEMS, df: None }
}

fn chosen(single: f64, n: u32, strategy: Strategy) -> f64 {
    let covered = 1.0 - (1.0 - single).powf(f64::from(n).powf(0.62));
    match strategy {
        Strategy::Maj => single + 0.35 * (covered - single),
        Strategy::Verifier => single + 0.92 * (covered - single),
        Strategy::Pass => covered,
        _ => single,
    }
}

fn wilson(p: f64) -> Estimate {
    let (n, z) = (PROBLEMS as f64, 1.96);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Estimate { value: p, ci_low: centre - half, ci_high: centre + half, n: PROBLEMS, df: None }
}
