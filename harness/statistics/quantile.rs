//! Quantiles of plain numbers: one value, no problems behind it and no interval.
//!
//! [`percentile`](super::percentile()) is for what is concluded; this is for describing seconds or errors. Ends of resampling
//! intervals have a rule of their own, in [`interval`](super::interval).

/// Quantile `p` of ascending values: straight between the order statistics, at `(n - 1) p` counted from 0 (Hyndman and Fan
/// 1996, type 7; what R and numpy do unless told otherwise). `p` beyond 0 or 1 gives an end. Absent without values.
pub fn quantile(ascending: &[f64], p: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let place = (p * last as f64).clamp(0.0, last as f64);
    let (below, above) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
    // Infinite neighbours have no straight line between them.
    Some(if below == above { below } else { below + (above - below) * place.fract() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_r_and_numpy() {
        let values = [1.0, 2.0, 4.0, 8.0];
        for (p, expected) in
            [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0), (7.0, 8.0), (-1.0, 1.0)]
        {
            let found = quantile(&values, p).unwrap();
            assert!((found - expected).abs() < 1e-12, "{p}: {found}");
        }
        assert_eq!(quantile(&values[..3], 0.5), Some(2.0));
    }

    #[test]
    fn few_values_and_strange_ones_are_no_panic() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0], 0.99), Some(3.0));
        assert_eq!(quantile(&[1.0, f64::INFINITY], 0.9), Some(f64::INFINITY));
        assert!(quantile(&[1.0, 2.0], f64::NAN).is_some());
    }
}
