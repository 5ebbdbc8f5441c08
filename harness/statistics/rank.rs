//! Do two rankings agree? Spearman's rho and Kendall's tau.
//!
//! Short evaluations mislead when models change places between a short and a long budget. Kendall's tau counts
//! pairs: (agreeing - reversed) over all, with ties taken out of either side (tau-b, Kendall 1945). Spearman's rho is
//! the correlation of the ranks, ties at their mean rank.

/// Spearman's rank correlation, in [-1, 1]; absent for unequal or too short lists, a value that is not a number,
/// or a list that is all ties.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if !comparable(a, b) {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let centre = (a.len() as f64 + 1.0) / 2.0;
    let product =
        |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - centre) * (y - centre)).sum() };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| (product(&a, &b) / scale).clamp(-1.0, 1.0))
}

/// Kendall's tau-b, in [-1, 1]; absent as in [`spearman`].
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    if !comparable(a, b) {
        return None;
    }
    let (mut balance, mut untied_a, mut untied_b) = (0.0, 0.0, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            let (x, y) = (sign(a[i] - a[j]), sign(b[i] - b[j]));
            balance += x * y;
            untied_a += x * x;
            untied_b += y * y;
        }
    }
    let scale = f64::sqrt(untied_a * untied_b);
    (scale > 0.0).then(|| (balance / scale).clamp(-1.0, 1.0))
}

/// Pairs of models that change places between two lists (ties in either do not count).
pub fn reversals(a: &[f64], b: &[f64]) -> usize {
    let n = a.len().min(b.len());
    let reversed = |i: usize, j: usize| sign(a[i] - a[j]) * sign(b[i] - b[j]) < 0.0;
    (0..n).map(|i| (0..i).filter(|&j| reversed(i, j)).count()).sum()
}

fn comparable(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.len() >= 2 && !a.iter().chain(b).any(|x| x.is_nan())
}

fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// Ranks from 1, tied values at their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut place = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let mean = place as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|&i| ranks[i] = mean);
        place += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_and_reversal_are_the_ends() {
        let a = [1.0, 2.0, 3.0, 4.0];
        let b = [4.0, 3.0, 2.0, 1.0];
        assert_eq!((kendall(&a, &a), spearman(&a, &a), reversals(&a, &a)), (Some(1.0), Some(1.0), 0));
        assert_eq!((kendall(&a, &b), spearman(&a, &b), reversals(&a, &b)), (Some(-1.0), Some(-1.0), 6));
    }

    #[test]
    fn ties_are_taken_out_of_either_side() {
        // By hand: 7 pairs agree and 1 is reversed of 9 untied; ranks (1, 2.5, 2.5, 4, 5), (1, 4, 2.5, 2.5, 5).
        let (a, b) = ([1.0, 2.0, 2.0, 3.0, 5.0], [1.0, 3.0, 2.0, 2.0, 4.0]);
        assert!((kendall(&a, &b).unwrap() - 6.0 / 9.0).abs() < 1e-12);
        assert!((spearman(&a, &b).unwrap() - 7.25 / 9.5).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_ranked_is_absent() {
        assert_eq!(kendall(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[1.0], &[1.0]), None);
        assert_eq!(kendall(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[1.0]), None);
    }
}
