//! Least squares with coefficients that cannot be negative.
//!
//! Costs add up and none of them is negative. A plain fit of nearly collinear costs would make some negative
//! and others too large, and then extrapolate nonsense; this one sets them to zero instead.

/// Sweeps over all coefficients at most.
const SWEEPS: usize = 100_000;

/// The `x >= 0` that minimises `|A x - b|^2`, for `A` given by rows.
///
/// Cyclic coordinate descent on the normal equations: each coefficient in turn takes its best value given the
/// others, cut at zero. The problem is convex, so that ends at the minimum (Franc, Hlavac and Navara 2005).
///
/// # Panics
/// If the rows differ in length, or are not as many as `b`.
pub fn non_negative_least_squares(rows: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    assert_eq!(rows.len(), b.len(), "one target a row");
    let columns = rows.first().map_or(0, Vec::len);
    let product = |j: usize, k: usize| rows.iter().map(|row| row[j] * row[k]).sum::<f64>();
    let gram: Vec<Vec<f64>> = (0..columns).map(|j| (0..columns).map(|k| product(j, k)).collect()).collect();
    let right: Vec<f64> = (0..columns).map(|j| rows.iter().zip(b).map(|(row, b)| row[j] * b).sum()).collect();
    let mut x = vec![0.0; columns];
    for _ in 0..SWEEPS {
        if sweep(&gram, &right, &mut x) < 1e-10 {
            break;
        }
    }
    x
}

/// Improves each coefficient once; returns the largest change, relative to what its column contributes.
fn sweep(gram: &[Vec<f64>], right: &[f64], x: &mut [f64]) -> f64 {
    let mut largest = 0f64;
    for j in 0..x.len() {
        if gram[j][j] <= 0.0 {
            continue;
        }
        let gradient: f64 = gram[j].iter().zip(x.iter()).map(|(g, x)| g * x).sum::<f64>() - right[j];
        let better = (x[j] - gradient / gram[j][j]).max(0.0);
        let scale = right[j].abs() / gram[j][j] + f64::MIN_POSITIVE;
        largest = largest.max((better - x[j]).abs() / scale);
        x[j] = better;
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn costs_that_are_all_positive_are_found_exactly() {
        let rows: Vec<Vec<f64>> = (0..20).map(|i| vec![1.0, f64::from(i), f64::from(i * i % 7)]).collect();
        let b: Vec<f64> = rows.iter().map(|row| 2.0 + 0.5 * row[1] + 3.0 * row[2]).collect();
        for (got, want) in non_negative_least_squares(&rows, &b).iter().zip([2.0, 0.5, 3.0]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn a_cost_that_would_be_negative_is_zero() {
        let rows: Vec<Vec<f64>> = (0..10).map(|i| vec![1.0, f64::from(i)]).collect();
        let b: Vec<f64> = (0..10).map(|i| 5.0 - 0.1 * f64::from(i)).collect();
        let x = non_negative_least_squares(&rows, &b);
        assert_eq!(x[1], 0.0);
        assert!((x[0] - 4.55).abs() < 1e-9, "the mean is what is left: {x:?}");
    }

    proptest! {
        #[test]
        fn no_small_change_that_is_allowed_makes_the_fit_better(
            numbers in prop::collection::vec(0.0f64..1.0, 36),
            b in prop::collection::vec(-1.0f64..2.0, 12),
        ) {
            let rows: Vec<Vec<f64>> = numbers.chunks(3).map(<[f64]>::to_vec).collect();
            let loss = |x: &[f64]| -> f64 {
                let fitted = rows.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>());
                fitted.zip(&b).map(|(f, b)| (f - b) * (f - b)).sum()
            };
            let x = non_negative_least_squares(&rows, &b);
            for j in 0..3 {
                for change in [-1e-3, 1e-3] {
                    let mut other = x.clone();
                    other[j] = (x[j] + change).max(0.0);
                    prop_assert!(loss(&other) >= loss(&x) - 1e-9);
                }
            }
        }
    }
}
