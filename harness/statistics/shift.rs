//! How far one accuracy curve lies to the left of another: a ratio of costs at equal accuracy.
//!
//! The ratio at a single accuracy depends on which one is picked, and jumps where a curve is flat. So the logarithm of the
//! ratio is averaged over the accuracies that both curves reach, as Bjøntegaard (2001, VCEG-M33) does for the bit rates
//! of two video coders at equal quality. Nothing is extrapolated: without a range in common there is no shift.

use super::curve::Point;
use super::isotonic::isotonic;
use super::reach::Crossing;

/// Accuracies at which the costs are compared.
const LEVELS: usize = 15;

/// Narrowest range of accuracies in common that is compared over.
const NARROWEST: f64 = 0.02;

/// Mean natural logarithm of `left` cost over `right` cost, over the accuracies that both reach; absent without a
/// range in common, or where a cost is 0.
pub fn log_cost_ratio(left: &[Point], right: &[Point]) -> Option<f64> {
    let (low, high) = shared_range(&[left, right])?;
    let mut sum = 0.0;
    for level in 0..LEVELS {
        let accuracy = low + (high - low) * (level as f64 + 0.5) / LEVELS as f64;
        sum += cost_at(left, accuracy)?.ln() - cost_at(right, accuracy)?.ln();
    }
    let mean = sum / LEVELS as f64;
    mean.is_finite().then_some(mean)
}

/// The accuracies that all curves pass through.
pub fn shared_range(curves: &[&[Point]]) -> Option<(f64, f64)> {
    let ends = curves.iter().map(|curve| ends(curve)).collect::<Option<Vec<_>>>()?;
    let low = ends.iter().map(|(low, _)| *low).reduce(f64::max)?;
    let high = ends.iter().map(|(_, high)| *high).reduce(f64::min)?;
    (high - low >= NARROWEST).then_some((low, high))
}

/// Cost at which the monotone curve reaches an accuracy; its cheapest if that is already there.
pub fn cost_at(points: &[Point], accuracy: f64) -> Option<f64> {
    match Crossing::of(points, accuracy) {
        Crossing::At(cost) | Crossing::AtOrBelow(cost) => Some(cost).filter(|cost| *cost > 0.0),
        Crossing::Never => None,
    }
}

/// First and last accuracy of the monotone curve.
fn ends(points: &[Point]) -> Option<(f64, f64)> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let fitted = isotonic(&points.iter().map(|p| p.accuracy).collect::<Vec<_>>());
    Some((*fitted.first()?, *fitted.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<Point> {
        points.iter().map(|&(cost, accuracy)| Point { cost, accuracy }).collect()
    }

    #[test]
    fn a_curve_moved_by_a_factor_is_that_factor_away() {
        let right = curve(&[(10.0, 0.1), (100.0, 0.5), (1000.0, 0.7)]);
        let left: Vec<Point> = right.iter().map(|p| Point { cost: p.cost * 3.0, ..*p }).collect();
        assert!((log_cost_ratio(&left, &right).unwrap() - 3f64.ln()).abs() < 1e-12);
        assert!((log_cost_ratio(&right, &left).unwrap() + 3f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn only_accuracies_that_both_reach_count() {
        let long = curve(&[(10.0, 0.0), (1000.0, 1.0)]);
        let short = curve(&[(10.0, 0.2), (10.0 * 100f64.powf(0.2), 0.4)]);
        // Between 0.2 and 0.4 the long curve costs 100^0.2 times more, everywhere.
        assert!((log_cost_ratio(&long, &short).unwrap() - 0.2 * 100f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn curves_without_an_accuracy_in_common_have_no_shift() {
        let (low, high) = (curve(&[(10.0, 0.1), (100.0, 0.2)]), curve(&[(10.0, 0.3), (100.0, 0.9)]));
        assert_eq!(log_cost_ratio(&low, &high), None);
        assert_eq!(log_cost_ratio(&[], &high), None);
    }
}
