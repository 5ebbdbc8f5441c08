//! One model, task and budget: the completions that all its n and strategies share.
//!
//! Everything is a vector with one number per problem, since problems are the clusters of every interval.

use std::collections::HashMap;

use crate::cell::{Budget, Strategy};
use crate::flop::Network;
use crate::observation::Observation;
use crate::observations::Sampled;
use crate::outcome::Outcome;
use crate::price::{Usage, Verifier};
use crate::statistics::{Subsets, Tally, Vote, strategy_per_problem};

/// Random subsets of all problems together, where a strategy cannot be enumerated: their noise is shared by the
/// problems, so many problems need few subsets each.
const SUBSETS_IN_ALL: usize = 32_000;

/// Completions of every problem at one budget.
#[derive(Clone, Debug)]
pub struct Slice {
    completions: Vec<Vec<Completion>>,
    prompt_s: Vec<f64>,
    prompt_tokens: Vec<f64>,
}

/// One completion, as far as strategies and costs go.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// What the grader says.
    pub outcome: Outcome,
    /// Equal for answers of the problem that mean the same.
    pub class: Option<usize>,
    /// Mean log-probability of the answer's tokens.
    pub logprob_mean: Option<f64>,
    /// Tokens before the answer.
    pub reasoning_tokens: f64,
    /// Tokens of the answer.
    pub answer_tokens: f64,
    /// Device seconds, without the prompt's.
    pub device_s: f64,
}

impl Slice {
    /// The completions at `budget`; absent if a trajectory was not sampled that far, or there is no problem.
    pub fn new(problems: &[Sampled], budget: Budget) -> Option<Self> {
        let completions =
            problems.iter().map(|p| completions(&p.trajectories, budget)).collect::<Option<Vec<_>>>()?;
        let first = |number: fn(&Observation) -> f64| -> Vec<f64> {
            problems.iter().map(|p| p.trajectories.first().map_or(0.0, |t| number(t))).collect()
        };
        let prompt_tokens = first(|t| f64::from(t.prompt_tokens));
        (!completions.is_empty()).then(|| Self {
            completions,
            prompt_s: first(|t| t.prompt_s),
            prompt_tokens,
        })
    }

    /// Problems.
    pub fn problems(&self) -> usize {
        self.completions.len()
    }

    /// Trajectories of the problem that has the fewest.
    pub fn trajectories(&self) -> usize {
        self.completions.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Expected accuracy of each problem; absent if there are fewer than n trajectories.
    pub fn correct(&self, strategy: Strategy, n: usize) -> Option<Vec<f64>> {
        let votes: Vec<Vec<Vote>> =
            self.completions.iter().map(|c| c.iter().map(|c| c.vote(strategy)).collect()).collect();
        let draws = (SUBSETS_IN_ALL / self.problems()).clamp(64, 1000);
        let subsets = Subsets { draws, ..Subsets::default() };
        strategy_per_problem(&votes, n, estimator(strategy), subsets).ok()
    }

    /// Outcomes of each problem.
    pub fn tallies(&self) -> Vec<Tally> {
        let tally = |c: &Vec<Completion>| Tally::of(c.iter().map(|c| c.outcome == Outcome::Correct));
        self.completions.iter().map(tally).collect()
    }

    /// Mean over completions, of each problem.
    pub fn means(&self, value: impl Fn(&Completion) -> f64) -> Vec<f64> {
        let mean = |c: &Vec<Completion>| c.iter().map(&value).sum::<f64>() / c.len().max(1) as f64;
        self.completions.iter().map(mean).collect()
    }

    /// Mean over problems of the mean over completions.
    pub fn mean(&self, value: impl Fn(&Completion) -> f64) -> f64 {
        self.means(value).iter().sum::<f64>() / self.problems() as f64
    }

    /// What `n` completions of each problem use, the prompt read once, with `verifier` if the strategy asks one.
    pub fn usage(&self, strategy: Strategy, n: usize, verifier: Option<&Verifier>) -> Vec<Usage> {
        let judging_s =
            verifier.filter(|_| strategy == Strategy::Verifier).map_or(0.0, |v| v.device_s_per_answer);
        let device_s = self.means(|c| c.device_s + judging_s);
        let sampled_tokens = self.means(Completion::tokens);
        let n = n as f64;
        let usage = |i: usize| Usage {
            device_s: self.prompt_s[i] + n * device_s[i],
            n,
            prompt_tokens: self.prompt_tokens[i],
            sampled_tokens: n * sampled_tokens[i],
        };
        (0..self.problems()).map(usage).collect()
    }

    /// Floating-point operations of `n` completions of each problem, the prompt read once.
    pub fn flop(&self, network: &Network, n: usize) -> Vec<f64> {
        let flop = |(completions, &prompt): (&Vec<Completion>, &f64)| {
            let sampled: f64 = completions.iter().map(|c| network.flop(prompt, c.tokens())).sum();
            network.flop(0.0, prompt) + n as f64 * sampled / completions.len().max(1) as f64
        };
        self.completions.iter().zip(&self.prompt_tokens).map(flop).collect()
    }
}

fn completions(trajectories: &[&Observation], budget: Budget) -> Option<Vec<Completion>> {
    let mut classes: HashMap<u64, usize> = HashMap::new();
    let completion = |trajectory: &&Observation| {
        let answer = trajectory.answer_at(budget)?;
        let next = classes.len();
        Some(Completion {
            outcome: answer.outcome,
            class: answer.class.map(|class| *classes.entry(class).or_insert(next)),
            logprob_mean: answer.logprob_mean,
            reasoning_tokens: f64::from(answer.reasoning_tokens),
            answer_tokens: f64::from(answer.answer_tokens),
            device_s: answer.reasoning_s + answer.answer_s,
        })
    };
    trajectories.iter().map(completion).collect()
}

impl Completion {
    /// Tokens sampled for it.
    pub fn tokens(&self) -> f64 {
        self.reasoning_tokens + self.answer_tokens
    }

    fn vote(&self, strategy: Strategy) -> Vote {
        let correct = self.outcome == Outcome::Correct;
        let score = match strategy {
            Strategy::Verifier => f64::from(u8::from(correct)),
            Strategy::Weighted => self.logprob_mean.map_or(0.0, f64::exp),
            _ => self.logprob_mean.unwrap_or(f64::NEG_INFINITY),
        };
        Vote { correct, answer: self.class, score, tokens: self.tokens() }
    }
}

fn estimator(strategy: Strategy) -> crate::statistics::Strategy {
    use crate::statistics::Strategy as Estimator;
    match strategy {
        Strategy::First => Estimator::First,
        Strategy::Maj => Estimator::Majority,
        Strategy::Weighted => Estimator::Weighted,
        Strategy::Score | Strategy::Verifier => Estimator::BestOfN,
        Strategy::Shortest => Estimator::Shortest,
        Strategy::Pass => Estimator::PassAtK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::simulated::Run;
    use crate::observations::Observations;

    fn slice() -> Slice {
        let run = Run::new(6, 8).model("a", |_, _| 0.5).time_jitter(0.0).seconds_per_token(0.01);
        let observations = Observations::of(&run.records());
        Slice::new(&observations.problems("a", "simulated", 0, 8), Budget::Tokens(32)).unwrap()
    }

    #[test]
    fn a_verifier_is_charged_for_every_answer_to_the_cells_that_ask_it() {
        let verifier = Verifier { device_s_per_answer: 0.5, usd_per_answer: 0.0, source: "test".into() };
        let device_s = |strategy| slice().usage(strategy, 4, Some(&verifier))[0].device_s;
        assert!((device_s(Strategy::Verifier) - device_s(Strategy::Maj) - 4.0 * 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_prompt_is_read_once_however_many_completions_there_are() {
        let usage = |n| slice().usage(Strategy::Maj, n, None)[0];
        let (one, four) = (usage(1), usage(4));
        // 32 tokens of thought, 8 of the answer, one token's time for the prompt.
        assert!((one.device_s - 0.41).abs() < 1e-9 && (four.device_s - 1.61).abs() < 1e-9);
        assert_eq!((four.sampled_tokens, four.prompt_tokens, four.n), (160.0, 10.0, 4.0));
    }

    #[test]
    fn operations_of_two_completions_exceed_one_by_the_sampled_tokens_alone() {
        let shape = crate::model_shape::ModelShape {
            feed_forward: 8,
            layers: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 4,
            width: 4,
            vocab: 10,
            tied: true,
        };
        let network = Network::new(100, &shape);
        let (one, two) = (slice().flop(&network, 1)[0], slice().flop(&network, 2)[0]);
        assert!((two - one - network.flop(10.0, 40.0)).abs() < 1e-9);
    }

    #[test]
    fn there_is_no_slice_at_a_budget_that_was_not_sampled() {
        let run = Run::new(3, 2).model("a", |_, _| 0.5);
        let observations = Observations::of(&run.records());
        let problems = observations.problems("a", "simulated", 0, 2);
        assert!(
            Slice::new(&problems, Budget::Tokens(77)).is_none() && Slice::new(&[], Budget::Max).is_none()
        );
    }
}
