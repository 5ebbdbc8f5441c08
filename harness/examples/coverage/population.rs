//! The population: the chance p of a problem follows a Beta distribution or a mixture, tabulated at 65,536 quantiles so that
//! truths are finite sums. A chain has a log-normal length around a problem-specific median (harder problems think longer); at
//! budget b it has cost min(length, b) and is correct when it would be correct and has ended by itself. All
//! budgets are cut from the same chain.

use super::Statistic;
use isocost_harness::statistics::{Crossing, LogLine, Point, Tally};
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use statrs::distribution::{Beta, ContinuousCDF, Normal};

const BUDGETS: [f64; 5] = [256.0, 512.0, 1024.0, 2048.0, 4096.0];
pub(crate) const N: usize = 8;
const WRONG_ANSWERS: [f64; 3] = [0.5, 0.3, 0.2];
const SPREAD_OF_A_CHAIN: f64 = 0.5;
const SPREAD_OF_A_PROBLEM: f64 = 0.4;

/// The benchmark from which problems are drawn, and what is true of it.
pub(crate) struct Population {
    pub(crate) name: &'static str,
    difficulty: Vec<f64>,
    curve: Vec<Point>,
    pub(crate) target: f64,
}

/// A share of the problems and how hard they are.
pub(crate) enum Part {
    Beta(f64, f64, f64),
    Equal(f64, f64),
}

impl Part {
    /// The chances of so many problems that stand for them.
    fn quantiles(&self) -> Vec<f64> {
        let size = |share: f64| (share * f64::from(1 << 16)).round() as usize;
        match *self {
            Self::Equal(share, p) => vec![p; size(share)],
            Self::Beta(share, a, b) => {
                let (beta, size) = (Beta::new(a, b).expect("positive shapes"), size(share));
                let quantile = |i| beta.inverse_cdf((i as f64 + 0.5) / size as f64);
                (0..size).into_par_iter().map(quantile).collect()
            }
        }
    }
}

impl Population {
    pub(crate) fn new(name: &'static str, parts: &[Part]) -> Self {
        let difficulty: Vec<f64> = parts.iter().flat_map(Part::quantiles).collect();
        let point = |b: &f64| Point {
            cost: mean_of(&difficulty, |p| expected_cost(p, *b)),
            accuracy: mean_of(&difficulty, |p| p * ended_by(p, *b)),
        };
        let curve: Vec<Point> = BUDGETS.iter().map(point).collect();
        let target = (curve[1].accuracy + curve[2].accuracy) / 2.0;
        Self { name, difficulty, curve, target }
    }

    /// What is true of a statistic.
    pub(crate) fn truth(&self, statistic: Statistic) -> f64 {
        let of = |f: &dyn Fn(f64) -> f64| mean_of(&self.difficulty, f);
        match statistic {
            Statistic::Accuracy => of(&|p| p),
            Statistic::Difference => of(&|p| better(p) - p),
            Statistic::PassAtK => of(&|p| 1.0 - (1.0 - p).powi(N as i32)),
            Statistic::Majority => of(&true_majority),
            Statistic::CostPerCorrect => self.curve[3].cost / self.curve[3].accuracy,
            Statistic::CostOfPass => of(&|p| 1.0 / p),
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
pub(crate) struct Run {
    pub(crate) tallies: Vec<Tally>,
    /// The correct and two wrong answers; the rest was not read.
    pub(crate) counts: Vec<[usize; 3]>,
    pub(crate) by_problem: Rows,
    pub(crate) by_trajectory: Rows,
}

#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) difference: [Vec<f64>; 2],
    pub(crate) costs: Vec<Vec<f64>>,
    pub(crate) correct: Vec<Vec<f64>>,
}

impl Run {
    pub(crate) fn simulate(population: &Population, problems: usize, k: usize, rng: &mut ChaCha8Rng) -> Self {
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
