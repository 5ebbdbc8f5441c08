//! Several claims tested together: Holm's step-down correction (Holm 1979).
//!
//! Sort the p-values; the smallest is multiplied by their number, the next by one less, and so on, and none may
//! fall below an earlier one. Comparing the adjusted values with 0.05 keeps the chance of *any* false rejection
//! in the pre-registered set at 5 %, whatever the dependence between the claims.

/// Adjusted p-values, in the order given. A p-value that is absent was not tested and does not count.
pub fn holm(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let tested = |&i: &usize| p_values[i].filter(|p| (0.0..=1.0).contains(p)).map(|p| (i, p));
    let mut ranked: Vec<(usize, f64)> = (0..p_values.len()).filter_map(|i| tested(&i)).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = vec![None; p_values.len()];
    let mut floor: f64 = 0.0;
    for (rank, &(index, p)) in ranked.iter().enumerate() {
        floor = floor.max(p * (ranked.len() - rank) as f64).min(1.0);
        adjusted[index] = Some(floor);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_example_is_reproduced() {
        let adjusted = holm(&[Some(0.01), Some(0.04), Some(0.03), Some(0.005)]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(adjusted.iter().zip(expected).all(|(a, e)| a.is_some_and(|a| (a - e).abs() < 1e-12)));
    }

    #[test]
    fn an_untested_claim_costs_nothing_and_stays_absent() {
        assert_eq!(holm(&[Some(0.02), None, Some(f64::NAN)]), vec![Some(0.02), None, None]);
        assert_eq!(holm(&[Some(0.9), Some(0.8)]), vec![Some(1.0), Some(1.0)]);
    }
}
