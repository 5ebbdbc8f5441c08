//! Worked thoughts, written by a program: what the bundled models learn to imitate.
//!
//! Countdown thinks by search. A branch takes random steps until two numbers are left and tries every
//! way to combine those: `7 * 4 = 28 : 28 7 : 28 + 7 = 35 , 28 - 7 = 21 , 28 / 7 = 4 !`, where `;` ends
//! a branch without a hit and `!` marks the hit. Three numbers are searched exhaustively in random
//! order. Four numbers have too many branches for that: a few that fail, then one that succeeds, so a
//! model is rewarded for guessing which first steps are promising; that is what larger models do better.

use isocost_harness::chain::Chain;
use isocost_harness::countdown::{Puzzle, Step, after, pair_steps, steps};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Most branches without a hit in a four-number thought.
const MOST_FAILED_BRANCHES: usize = 7;

/// A thought and the answer it leads to, in words.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Between the thinking markers.
    pub reasoning: String,
    /// After them.
    pub answer: String,
}

/// Steps that leave two numbers, and the last step if one of those hits the target.
#[derive(Clone)]
struct Branch {
    steps: Vec<Step>,
    pair: Vec<u32>,
    hit: Option<Step>,
}

/// A search for `puzzle`'s target; `None` if it has no solution in whole numbers.
pub fn countdown(puzzle: &Puzzle, rng: &mut ChaCha8Rng) -> Option<Trace> {
    let mut branches = Vec::new();
    collect(&puzzle.numbers, puzzle.target, &mut Vec::new(), &mut branches);
    branches.shuffle(rng);
    let hit = branches.iter().position(|branch| branch.hit.is_some())?;
    let taken =
        if puzzle.numbers.len() <= 3 { branches[..=hit].to_vec() } else { short_search(&branches, hit, rng) };
    let reasoning: Vec<String> = taken.iter().map(|branch| write_branch(branch, puzzle)).collect();
    let last = taken.last()?;
    let solution: Vec<Step> = last.steps.iter().copied().chain(last.hit).collect();
    Some(Trace { reasoning: reasoning.join(" ; "), answer: expression(&puzzle.numbers, &solution)? })
}

fn collect(numbers: &[u32], target: u32, taken: &mut Vec<Step>, branches: &mut Vec<Branch>) {
    if let [a, b] = *numbers {
        let hit = pair_steps(a, b).find(|step| step.result == target);
        branches.push(Branch { steps: taken.clone(), pair: numbers.to_vec(), hit });
        return;
    }
    for step in steps(numbers) {
        taken.push(step);
        collect(&after(numbers, &step), target, taken, branches);
        taken.pop();
    }
}

fn short_search(branches: &[Branch], hit: usize, rng: &mut ChaCha8Rng) -> Vec<Branch> {
    let failed = rng.random_range(0..=MOST_FAILED_BRANCHES);
    let mut taken: Vec<Branch> = branches.iter().filter(|b| b.hit.is_none()).take(failed).cloned().collect();
    taken.push(branches[hit].clone());
    taken
}

fn write_branch(branch: &Branch, puzzle: &Puzzle) -> String {
    let mut text = String::new();
    let mut numbers = puzzle.numbers.clone();
    for step in &branch.steps {
        numbers = after(&numbers, step);
        text += &format!("{} : {} : ", write_step(step), join(&numbers, " "));
    }
    let tried = pair_steps(branch.pair[0], branch.pair[1]);
    let until_hit: Vec<String> = match branch.hit {
        None => tried.map(|step| write_step(&step)).collect(),
        Some(hit) => {
            tried.take_while(|step| *step != hit).chain([hit]).map(|step| write_step(&step)).collect()
        }
    };
    text + &until_hit.join(" , ") + if branch.hit.is_some() { " !" } else { "" }
}

fn write_step(step: &Step) -> String {
    format!("{} {} {} = {}", step.left, step.op, step.right, step.result)
}

fn join(numbers: &[u32], separator: &str) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(separator)
}

/// The steps as one expression: `( 7 * 4 ) / 7`.
fn expression(numbers: &[u32], steps: &[Step]) -> Option<String> {
    let mut terms: Vec<(u32, String)> = numbers.iter().map(|n| (*n, n.to_string())).collect();
    for step in steps {
        let mut take = |value: u32| {
            let at = terms.iter().position(|(v, _)| *v == value)?;
            let (_, text) = terms.remove(at);
            Some(if text.contains(' ') { format!("( {text} )") } else { text })
        };
        let (left, right) = (take(step.left)?, take(step.right)?);
        terms.insert(0, (step.result, format!("{left} {} {right}", step.op)));
    }
    terms.pop().map(|(_, text)| text)
}

/// Every intermediate value of `chain` in turn; `None` if a step leaves the range.
pub fn chain(chain: &Chain) -> Option<Trace> {
    let mut value = chain.start;
    let mut written = Vec::new();
    for (&(op, operand), next) in chain.steps.iter().zip(chain.values()?) {
        written.push(format!("{value} {op} {operand} = {next}"));
        value = next;
    }
    Some(Trace { reasoning: written.join(" , "), answer: value.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use isocost_harness::countdown;
    use isocost_harness::expression::evaluate;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_search_ends_in_an_answer_that_solves_its_puzzle() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for count in [3, 4] {
            for puzzle in countdown::draw(count, 200, false, &mut rng) {
                let trace = super::countdown(&puzzle, &mut rng).unwrap();
                assert_eq!(puzzle.check(&trace.answer), Ok(()), "{puzzle}: {trace:?}");
                assert!(trace.reasoning.ends_with('!') && trace.reasoning.matches('!').count() == 1);
            }
        }
    }

    #[test]
    fn every_written_step_is_true() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for puzzle in countdown::draw(4, 50, false, &mut rng) {
            let trace = super::countdown(&puzzle, &mut rng).unwrap();
            for step in trace.reasoning.split([':', ',', ';']).filter(|part| part.contains('=')) {
                let (left, right) = step.trim_end_matches(['!', ' ']).split_once('=').unwrap();
                let (value, _) = evaluate(left.trim()).unwrap();
                assert_eq!(value.to_string(), right.trim(), "{step}");
            }
        }
    }

    #[test]
    fn a_chain_is_worked_step_by_step() {
        let trace = chain(&"start 2 + 3 * 4".parse().unwrap()).unwrap();
        assert_eq!(trace.reasoning, "2 + 3 = 5 , 5 * 4 = 20");
        assert_eq!(trace.answer, "20");
    }
}
