//! The game of 24: make 24 from four cards of 1 to 13, each used once.
//!
//! Unlike the puzzles of [`crate::countdown::draw`], solutions may pass through fractions, as 8 / (3 - 8/3) does. Of the
//! 1820 hands, 1362 have a solution; those are the puzzles, in order.

use num_rational::Ratio;

use crate::countdown::Puzzle;

/// What is to be made.
pub const TARGET: u32 = 24;
const LARGEST_CARD: u32 = 13;

/// Every hand with a solution, cards ascending, in the order of the cards.
pub fn puzzles() -> Vec<Puzzle> {
    hands()
        .into_iter()
        .filter(|hand| is_solvable(hand))
        .map(|numbers| Puzzle { target: TARGET, numbers })
        .collect()
}

fn hands() -> Vec<Vec<u32>> {
    let longer = |hand: Vec<u32>| {
        let least = hand.last().copied().unwrap_or(1);
        (least..=LARGEST_CARD).map(move |card| [hand.clone(), vec![card]].concat())
    };
    (0..4).fold(vec![vec![]], |hands, _| hands.into_iter().flat_map(longer).collect())
}

fn is_solvable(hand: &[u32]) -> bool {
    reaches(&hand.iter().map(|card| Ratio::from_integer(i64::from(*card))).collect::<Vec<_>>())
}

/// Whether some order of `+ - * /` makes one number, the target, of them all.
fn reaches(numbers: &[Ratio<i64>]) -> bool {
    if let [only] = numbers {
        return *only == Ratio::from_integer(i64::from(TARGET));
    }
    let pairs = (0..numbers.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.into_iter().any(|(i, j)| {
        let rest = || (0..numbers.len()).filter(|k| *k != i && *k != j).map(|k| numbers[k]);
        results(numbers[i], numbers[j]).into_iter().any(|made| {
            let left: Vec<_> = rest().chain([made]).collect();
            reaches(&left)
        })
    })
}

fn results(a: Ratio<i64>, b: Ratio<i64>) -> Vec<Ratio<i64>> {
    let zero = Ratio::from_integer(0);
    let mut results = vec![a + b, a - b, b - a, a * b];
    results.extend((b != zero).then(|| a / b));
    results.extend((a != zero).then(|| b / a));
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_number_of_hands_has_a_solution() {
        assert_eq!(hands().len(), 1820);
        let puzzles = puzzles();
        assert_eq!(puzzles.len(), 1362);
        let has = |numbers: [u32; 4]| puzzles.iter().any(|puzzle| puzzle.numbers == numbers);
        assert!(has([3, 3, 8, 8]) && has([1, 1, 4, 6]) && !has([1, 1, 1, 1]));
        assert_eq!(puzzles[0].check("1 * 2 * 3 * 4").is_ok(), puzzles[0].numbers == [1, 2, 3, 4]);
    }
}
