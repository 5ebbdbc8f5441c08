//! Do the 95 % intervals cover the truth 95 % of the time?
//!
//! A population of problems with known difficulty is drawn from again and again; each time every interval is
//! computed as a report would compute it, and it is counted how often it contains the known truth. Beside it stands
//! the wrong interval that treats trajectories as if they were problems ("pooled"): the same function, given P * K
//! rows. Writes `harness/statistics/COVERAGE.md`.
//!
//! ```text
//! cargo run --release -p isocost-harness --example coverage -- [repetitions] [output]
//! ```
//!
//! The population: the chance p of a problem follows a Beta distribution, tabulated at 65,536 quantiles so that truths
//! are finite sums. A chain has a log-normal length around a problem-specific median (harder problems think longer); at
//! budget b it has cost min(length, b) and is correct when it would be correct and has ended by itself. All
//! budgets are cut from the same chain.

use isocost_harness::statistics::*;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use statrs::distribution::{Beta, ContinuousCDF, Normal};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Mutex;

const BUDGETS: [f64; 5] = [256.0, 512.0, 1024.0, 2048.0, 4096.0];
const N: usize = 8;
const WRONG_ANSWERS: [f64; 3] = [0.5, 0.3, 0.2];
/// Repetitions for the alternatives that resample.
const ALTERNATIVES: usize = 1000;
const SPREAD_OF_A_CHAIN: f64 = 0.5;
const SPREAD_OF_A_PROBLEM: f64 = 0.4;

/// The benchmark from which problems are drawn, and what is true of it.
struct Population {
    difficulty: Vec<f64>,
    curve: Vec<Point>,
    target: f64,
}

impl Population {
    fn beta(a: f64, b: f64) -> Self {
        let beta = Beta::new(a, b).expect("positive shapes");
        let size = 1 << 16;
        let difficulty: Vec<f64> =
            (0..size).into_par_iter().map(|i| beta.inverse_cdf((i as f64 + 0.5) / size as f64)).collect();
        let point = |b: &f64| Point {
            cost: mean_of(&difficulty, |p| expected_cost(p, *b)),
            accuracy: mean_of(&difficulty, |p| p * ended_by(p, *b)),
        };
        let curve: Vec<Point> = BUDGETS.iter().map(point).collect();
        let target = (curve[1].accuracy + curve[2].accuracy) / 2.0;
        Self { difficulty, curve, target }
    }

    fn truth(&self, statistic: Statistic) -> f64 {
        let of = |f: &dyn Fn(f64) -> f64| mean_of(&self.difficulty, f);
        match statistic {
            Statistic::Accuracy => of(&|p| p),
            Statistic::Difference => of(&|p| better(p) - p),
            Statistic::PassAtK => of(&|p| 1.0 - (1.0 - p).powi(N as i32)),
            Statistic::Majority => of(&true_majority),
            Statistic::CostPerCorrect => self.curve[3].cost / self.curve[3].accuracy,
            Statistic::Slope => LogLine::fit(&self.curve).expect("five budgets").slope,
            Statistic::Reach => match Crossing::of(&self.curve, self.target) {
                Crossing::At(cost) => cost,
                _ => unreachable!("the target lies between two budgets"),
            },
        }
    }
}

fn mean_of(values: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|&p| f(p)).sum::<f64>() / values.len() as f64
}

/// The other model of the paired comparison solves every problem more often.
fn better(p: f64) -> f64 {
    1.0 - (1.0 - p).powf(1.4)
}

fn log_median(p: f64) -> f64 {
    700f64.ln() + 0.8 * (0.5 - p)
}

fn spread() -> f64 {
    SPREAD_OF_A_CHAIN.hypot(SPREAD_OF_A_PROBLEM)
}

fn ended_by(p: f64, budget: f64) -> f64 {
    Normal::standard().cdf((budget.ln() - log_median(p)) / spread())
}

fn expected_cost(p: f64, budget: f64) -> f64 {
    let (m, s) = (log_median(p), spread());
    let below = Normal::standard().cdf((budget.ln() - m - s * s) / s);
    (m + s * s / 2.0).exp() * below + budget * (1.0 - ended_by(p, budget))
}

/// Chance that the correct answer wins among N independent votes, ties shared.
fn true_majority(p: f64) -> f64 {
    let chances =
        [p, (1.0 - p) * WRONG_ANSWERS[0], (1.0 - p) * WRONG_ANSWERS[1], (1.0 - p) * WRONG_ANSWERS[2]];
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let mut sum = 0.0;
    for right in 1..=N {
        for first in 0..=right.min(N - right) {
            for second in 0..=right.min(N - right - first) {
                let counts = [right, first, second, N - right - first - second];
                let ways = factorial(N) / counts.iter().map(|&c| factorial(c)).product::<f64>();
                let chance: f64 = counts.iter().zip(chances).map(|(&c, q)| q.powi(c as i32)).product();
                let tied = 1 + usize::from(first == right) + usize::from(second == right);
                sum += ways * chance / tied as f64;
            }
        }
    }
    sum
}

/// One simulated run. "Rows" are problems, or trajectories for the pooled interval.
struct Run {
    tallies: Vec<Tally>,
    counts: Vec<[usize; 3]>,
    by_problem: Rows,
    by_trajectory: Rows,
}

#[derive(Default)]
struct Rows {
    difference: [Vec<f64>; 2],
    costs: Vec<Vec<f64>>,
    correct: Vec<Vec<f64>>,
}

impl Run {
    fn simulate(population: &Population, problems: usize, k: usize, rng: &mut ChaCha8Rng) -> Self {
        let empty = || Rows {
            difference: Default::default(),
            costs: vec![Vec::new(); BUDGETS.len()],
            correct: vec![Vec::new(); BUDGETS.len()],
        };
        let (mut by_problem, mut by_trajectory) = (empty(), empty());
        let (mut tallies, mut counts) = (Vec::new(), Vec::new());
        for _ in 0..problems {
            let p = population.difficulty[rng.next_u32() as usize % population.difficulty.len()];
            let median = log_median(p) + SPREAD_OF_A_PROBLEM * normal(rng);
            let mut count = [0; 3];
            let mut other = 0;
            let (mut costs, mut correct) = ([0.0; BUDGETS.len()], [0.0; BUDGETS.len()]);
            for _ in 0..k {
                let right = rng.random::<f64>() < p;
                let also = rng.random::<f64>() < better(p);
                let wrong: f64 = rng.random();
                let class = if right {
                    0
                } else if wrong < WRONG_ANSWERS[0] {
                    1
                } else {
                    2
                };
                if right || wrong < WRONG_ANSWERS[0] + WRONG_ANSWERS[1] {
                    count[class] += 1;
                }
                other += usize::from(also);
                by_trajectory.difference[0].push(f64::from(u8::from(also)));
                by_trajectory.difference[1].push(f64::from(u8::from(right)));
                let length = (median + SPREAD_OF_A_CHAIN * normal(rng)).exp();
                for (b, budget) in BUDGETS.iter().enumerate() {
                    let solved = f64::from(u8::from(right && length <= *budget));
                    costs[b] += length.min(*budget) / k as f64;
                    correct[b] += solved / k as f64;
                    by_trajectory.costs[b].push(length.min(*budget));
                    by_trajectory.correct[b].push(solved);
                }
            }
            by_problem.difference[0].push(other as f64 / k as f64);
            by_problem.difference[1].push(count[0] as f64 / k as f64);
            for b in 0..BUDGETS.len() {
                by_problem.costs[b].push(costs[b]);
                by_problem.correct[b].push(correct[b].min(1.0));
            }
            tallies.push(Tally { correct: count[0], trajectories: k });
            counts.push(count);
        }
        Self { tallies, counts, by_problem, by_trajectory }
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[derive(Clone, Copy, PartialEq)]
enum Statistic {
    Accuracy,
    Difference,
    PassAtK,
    Majority,
    CostPerCorrect,
    Slope,
    Reach,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// What the library does when nothing is asked.
    Default,
    By(Method),
    /// Trajectories as if they were problems.
    Pooled,
}

/// One line of the table.
struct Line {
    statistic: Statistic,
    way: Way,
    name: &'static str,
}

const fn line(statistic: Statistic, way: Way, name: &'static str) -> Line {
    Line { statistic, way, name }
}

const LINES: &[Line] = &[
    line(Statistic::Accuracy, Way::Default, "accuracy"),
    line(Statistic::Accuracy, Way::Pooled, "- pooled (wrong)"),
    line(Statistic::Difference, Way::Default, "paired difference"),
    line(Statistic::Difference, Way::Pooled, "- pooled (wrong)"),
    line(Statistic::PassAtK, Way::Default, "pass@8"),
    line(Statistic::Majority, Way::Default, "maj@8"),
    line(Statistic::CostPerCorrect, Way::Default, "cost per correct answer"),
    line(Statistic::CostPerCorrect, Way::By(Method::Percentile), "- percentile"),
    line(Statistic::CostPerCorrect, Way::By(Method::Bca), "- BCa"),
    line(Statistic::CostPerCorrect, Way::By(Method::Studentised), "- studentised"),
    line(Statistic::CostPerCorrect, Way::By(Method::JackknifeT), "- jackknife-t"),
    line(Statistic::CostPerCorrect, Way::Pooled, "- pooled (wrong)"),
    line(Statistic::Slope, Way::Default, "slope per decade"),
    line(Statistic::Slope, Way::By(Method::Percentile), "- percentile"),
    line(Statistic::Slope, Way::By(Method::Bca), "- BCa"),
    line(Statistic::Slope, Way::By(Method::Studentised), "- studentised"),
    line(Statistic::Slope, Way::By(Method::JackknifeT), "- jackknife-t"),
    line(Statistic::Slope, Way::Pooled, "- pooled (wrong)"),
    line(Statistic::Reach, Way::Default, "cost to reach an accuracy"),
    line(Statistic::Reach, Way::By(Method::Percentile), "- percentile of censored draws"),
    line(Statistic::Reach, Way::Pooled, "- pooled (wrong)"),
];

/// Majority at N by the counts of the two other answers: a run repeats the same counts many times.
type Memo = Mutex<HashMap<[usize; 3], f64>>;

/// Whether the interval covers; absent when it is undefined.
fn covers(line: &Line, run: &Run, population: &Population, truth: f64, memo: &Memo) -> Option<bool> {
    let level = Level::default();
    let rows = if line.way == Way::Pooled { &run.by_trajectory } else { &run.by_problem };
    let bootstrap = Bootstrap::default();
    let k = run.tallies[0].trajectories;
    let estimate = match line.statistic {
        Statistic::Accuracy if line.way == Way::Pooled => mean_share(&rows.difference[1], 1, level),
        Statistic::Accuracy => accuracy(&run.tallies, level),
        Statistic::Difference => paired_share_difference(&rows.difference[0], &rows.difference[1], level),
        Statistic::PassAtK => {
            let values: Option<Vec<f64>> = run.tallies.iter().map(|t| pass_at_k(*t, N)).collect();
            mean_share(&values?, k, level)
        }
        Statistic::Majority if k < N => return None,
        Statistic::Majority => {
            let values: Vec<f64> = run.counts.iter().map(|c| majority_of(c, k, memo)).collect();
            mean_share(&values, k, level)
        }
        Statistic::CostPerCorrect => match line.way {
            Way::By(method) => cost_per_correct_by(&rows.costs[3], &rows.correct[3], bootstrap, method),
            Way::Default | Way::Pooled => cost_per_correct(&rows.costs[3], &rows.correct[3], level),
        },
        Statistic::Slope => {
            let curve = Curve::new(&rows.costs, &rows.correct).ok()?;
            match line.way {
                Way::By(method) => slope_per_decade_by(&curve, bootstrap, method),
                Way::Default => slope_per_decade(&curve, bootstrap),
                Way::Pooled => slope_per_decade_by(&curve, bootstrap, Method::JackknifeT),
            }
        }
        Statistic::Reach => {
            let curve = Curve::new(&rows.costs, &rows.correct).ok()?;
            let few = Bootstrap { draws: 1, ..bootstrap };
            let open = match line.way {
                Way::By(_) => cost_to_reach_by_draws(&curve, population.target, bootstrap).ok()?,
                _ => cost_to_reach(&curve, population.target, few).ok()?.cost,
            };
            return Some(open.contains(truth));
        }
    };
    estimate.ok().map(|estimate| estimate.contains(truth))
}

fn majority_of(counts: &[usize; 3], k: usize, memo: &Memo) -> f64 {
    let known = memo.lock().ok().and_then(|memo| memo.get(counts).copied());
    known.unwrap_or_else(|| {
        let answered = (0..3).flat_map(|class| std::iter::repeat_n(Some(class), counts[class]));
        let answers = answered.chain(std::iter::repeat(None)).take(k);
        let vote = |answer| Vote { correct: answer == Some(0), answer, score: 0.0, tokens: 0.0 };
        let votes: Vec<Vote> = answers.map(vote).collect();
        let value = majority_at_n(&votes, N, Subsets::default(), 0).unwrap_or(0.0);
        if let Ok(mut memo) = memo.lock() {
            memo.insert(*counts, value);
        }
        value
    })
}

/// How often an interval was asked for, existed, and contained the truth.
#[derive(Clone, Copy, Default)]
struct Count {
    tried: usize,
    defined: usize,
    covered: usize,
}

impl Count {
    fn of(hit: Option<bool>) -> Self {
        Self { tried: 1, defined: usize::from(hit.is_some()), covered: usize::from(hit == Some(true)) }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            tried: self.tried + other.tried,
            defined: self.defined + other.defined,
            covered: self.covered + other.covered,
        }
    }
}

/// Coverage of every line in one setting.
fn setting(population: &Population, problems: usize, k: usize, repetitions: usize) -> Vec<Count> {
    let memo = Memo::default();
    let wanted = |line: &Line, repetition: usize| {
        !matches!(line.way, Way::By(_)) || (problems < 100 && repetition < ALTERNATIVES)
    };
    let truths: Vec<f64> = LINES.iter().map(|line| population.truth(line.statistic)).collect();
    let one = |repetition: usize| -> Vec<Count> {
        let mut rng = ChaCha8Rng::seed_from_u64((problems * 1000 + k) as u64);
        rng.set_stream(repetition as u64);
        let run = Run::simulate(population, problems, k, &mut rng);
        let check = |(line, &truth): (&Line, &f64)| {
            let asked = wanted(line, repetition);
            if asked { Count::of(covers(line, &run, population, truth, &memo)) } else { Count::default() }
        };
        LINES.iter().zip(&truths).map(check).collect()
    };
    let zero = || vec![Count::default(); LINES.len()];
    let add = |a: Vec<Count>, b: Vec<Count>| a.iter().zip(b).map(|(x, y)| x.plus(y)).collect();
    (0..repetitions).into_par_iter().map(one).reduce(zero, add)
}

/// Per cent covered; marked when outside the band, or when some repetitions had no interval.
fn cell(count: Count) -> String {
    if count.defined == 0 {
        return String::new();
    }
    let percent = 100.0 * count.covered as f64 / count.defined as f64;
    let outside = if (93.5..=96.5).contains(&percent) { "" } else { " !" };
    let missing = 100.0 * (count.tried - count.defined) as f64 / count.tried as f64;
    let note = if missing > 0.0 { format!(" ({missing:.1} % undefined)") } else { String::new() };
    format!("{percent:.1}{outside}{note}")
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repetitions = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(4000);
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/statistics/COVERAGE.md");
    let output = arguments.next().unwrap_or_else(|| default.into());
    let mut text = heading(repetitions);
    for (a, b) in [(0.145, 0.36), (2.0, 2.0)] {
        let population = Population::beta(a, b);
        let settings = [30, 500].map(|problems| [1, 16, 64].map(|k| (problems, k)));
        let mut columns = Vec::new();
        for (problems, k) in settings.concat() {
            let start = std::time::Instant::now();
            columns.push(setting(&population, problems, k, repetitions));
            eprintln!("Beta({a}, {b}) P = {problems} K = {k}: {:.1} s", start.elapsed().as_secs_f64());
        }
        table(&mut text, &format!("Difficulty Beta({a}, {b})"), &settings.concat(), &columns);
    }
    print!("{text}");
    std::fs::write(output, text)
}

fn heading(repetitions: usize) -> String {
    let noise = 100.0 * (0.05 * 0.95 / repetitions as f64).sqrt();
    format!(
        "# Coverage of nominal 95 % intervals\n\n\
         Per cent of {repetitions} simulated runs whose interval contains the known truth; standard error of each\n\
         figure about {noise:.2} points. P problems, K trajectories each; \"!\" marks figures outside 93.5 to 96.5. Written by\n\n\
         ```\ncargo run --release -p isocost-harness --example coverage -- {repetitions}\n```\n\n\
         The lines without a dash are what the library does by default; the dashed lines are alternatives (P = 30 only,\n\
         first {ALTERNATIVES} runs) and, as a warning, the interval that treats trajectories as if they were problems.\n"
    )
}

fn table(text: &mut String, title: &str, settings: &[(usize, usize)], columns: &[Vec<Count>]) {
    let _ = write!(text, "\n## {title}\n\n| P, K |");
    settings.iter().for_each(|(p, k)| {
        let _ = write!(text, " {p}, {k} |");
    });
    let _ = write!(text, "\n|---|{}\n", "---|".repeat(settings.len()));
    for (i, line) in LINES.iter().enumerate() {
        let _ = write!(text, "| {} |", line.name);
        columns.iter().for_each(|column| {
            let _ = write!(text, " {} |", cell(column[i]));
        });
        text.push('\n');
    }
}
