//! Two sets of cells at equal cost: what does the better choice from each buy?
//!
//! At several cost levels the best affordable cell of either set is compared. The best of many noisy cells was partly
//! lucky, so it is *chosen* on half of the trajectories and *compared* on the other half, then the other way round
//! (as in [`crate::statistics::cross_fitted_front`]). The result is one number per problem, averaged over levels.

use super::evidence::Evidence;
use crate::cell::{Budget, Strategy};
use crate::observations::Sampled;
use crate::slice::Slice;

/// Cost levels, evenly spaced in the logarithm over the range in common.
const LEVELS: usize = 8;

/// A cell that could be chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its budget.
    pub budget: Budget,
    /// Its completions per problem.
    pub n: usize,
    /// Mean device seconds per problem.
    pub cost: f64,
    /// Expected accuracy of each problem, from the even and from the odd trajectories.
    halves: [Vec<f64>; 2],
}

/// All cells of a model on a task: one completion, and n of them with the task's best way to choose.
pub fn choices(evidence: &Evidence, model: usize, task: usize) -> Vec<Choice> {
    let lineup = evidence.lineup;
    let sampled = evidence.sampled(model, task);
    let halves = [0, 1].map(|parity| half(&sampled, parity));
    let mut all = Vec::new();
    for &budget in &lineup.models[model].budgets {
        let slices =
            [Slice::new(&sampled, budget), Slice::new(&halves[0], budget), Slice::new(&halves[1], budget)];
        let [Some(whole), Some(even), Some(odd)] = slices else { continue };
        for n in std::iter::once(1).chain(lineup.n.iter().map(|&n| n as usize).filter(|&n| n > 1)) {
            let strategy = if n == 1 { Some(Strategy::First) } else { lineup.tasks[task].choice };
            let Some(strategy) = strategy else { continue };
            let usage = whole.usage(strategy, n, lineup.verifier.as_ref());
            let cost = usage.iter().map(|usage| usage.device_s).sum::<f64>() / usage.len() as f64;
            if let (Some(even), Some(odd)) = (even.correct(strategy, n), odd.correct(strategy, n)) {
                all.push(Choice { budget, n, cost, halves: [even, odd] });
            }
        }
    }
    all
}

fn half<'a>(sampled: &[Sampled<'a>], parity: usize) -> Vec<Sampled<'a>> {
    let every_other = |p: &Sampled<'a>| p.trajectories.iter().copied().skip(parity).step_by(2).collect();
    sampled.iter().map(|p| Sampled { problem: p.problem, trajectories: every_other(p) }).collect()
}

/// What `left` solves more than `right` at equal cost, for each problem, with the choices at the highest cost.
///
/// # Errors
/// That the costs do not overlap.
pub fn advantage(left: &[&Choice], right: &[&Choice]) -> Result<(Vec<f64>, String), String> {
    let least = |set: &[&Choice]| set.iter().map(|choice| choice.cost).fold(f64::INFINITY, f64::min);
    let most = |set: &[&Choice]| set.iter().map(|choice| choice.cost).fold(0.0, f64::max);
    let (low, high) = (least(left).max(least(right)), most(left).min(most(right)));
    if !(low > 0.0 && low <= high) {
        return Err("the two have no cost in common".into());
    }
    let mut sum = vec![0.0; left[0].halves[0].len()];
    for level in 0..LEVELS {
        let cost = low * (high / low).powf(level as f64 / (LEVELS - 1) as f64) * (1.0 + 1e-9);
        for chosen_on in [0, 1] {
            let (a, b) = (best(left, cost, chosen_on), best(right, cost, chosen_on));
            let (a, b) = a.zip(b).ok_or("nothing is affordable at the lowest cost")?;
            let compared = a.halves[1 - chosen_on].iter().zip(&b.halves[1 - chosen_on]);
            sum.iter_mut().zip(compared).for_each(|(sum, (a, b))| *sum += (a - b) / (2 * LEVELS) as f64);
        }
    }
    let (a, b) =
        best(left, high * (1.0 + 1e-9), 0).zip(best(right, high * (1.0 + 1e-9), 0)).ok_or("no choice")?;
    let note =
        format!("at the highest cost budget {} x {} against budget {} x {}", a.budget, a.n, b.budget, b.n);
    Ok((sum, note))
}

/// The affordable cell with the best mean on one half; at equal accuracy the cheaper one.
fn best<'a>(set: &[&'a Choice], cost: f64, half: usize) -> Option<&'a Choice> {
    let affordable = set.iter().copied().filter(|choice| choice.cost <= cost);
    affordable.max_by(|a, b| {
        let by_accuracy = a.halves[half].iter().sum::<f64>().total_cmp(&b.halves[half].iter().sum::<f64>());
        by_accuracy.then(b.cost.total_cmp(&a.cost))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;

    fn choice(cost: f64, even: f64, odd: f64) -> Choice {
        Choice { budget: Budget::Max, n: 1, cost, halves: [vec![even; 4], vec![odd; 4]] }
    }

    #[test]
    fn luck_on_one_half_is_not_an_advantage_on_the_other() {
        let lucky = [choice(1.0, 0.9, 0.5), choice(1.0, 0.5, 0.9), choice(2.0, 0.5, 0.5)];
        let plain = [choice(1.0, 0.5, 0.5), choice(2.0, 0.5, 0.5)];
        let (found, _) = advantage(&lucky.each_ref(), &plain.each_ref()).unwrap();
        assert!(found.iter().all(|d| d.abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn answers_that_a_dear_verifier_chose_are_not_had_for_the_price_of_sampling_them() {
        let run = || Run::new(40, 16).model("a", |_, tokens| 0.15 + tokens / 5000.0);
        let verdict = |run: Run| verdict_of("best-of-n", &run);
        assert_eq!([verdict(run()), verdict(run().verifier(10.0))], [Supported, Inconclusive]);
    }

    #[test]
    fn what_cannot_be_afforded_is_not_chosen() {
        let dear = [choice(1.0, 0.2, 0.2), choice(10.0, 1.0, 1.0)];
        let cheap = [choice(1.0, 0.5, 0.5), choice(5.0, 0.5, 0.5)];
        let (found, _) = advantage(&dear.each_ref(), &cheap.each_ref()).unwrap();
        assert!(found.iter().all(|d| (d + 0.3).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn sets_without_a_cost_in_common_are_not_compared() {
        let (low, high) = ([choice(1.0, 0.5, 0.5)], [choice(2.0, 0.5, 0.5)]);
        assert!(advantage(&low.each_ref(), &high.each_ref()).unwrap_err().contains("cost in common"));
    }
}
