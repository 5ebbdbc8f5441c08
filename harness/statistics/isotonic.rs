//! Isotonic regression: the non-decreasing sequence nearest to the data.
//!
//! Pool adjacent violators (Barlow et al. 1972): while a value is below its predecessor, both become their mean.

/// The non-decreasing sequence with the least squared distance to `values`.
pub fn isotonic(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for &value in values {
        let mut block = (value, 1);
        while let Some(&(before, size)) = blocks.last().filter(|(before, _)| *before > block.0) {
            blocks.pop();
            let joined = size + block.1;
            block = ((before * size as f64 + block.0 * block.1 as f64) / joined as f64, joined);
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(value, size)| std::iter::repeat_n(value, size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_result_rises_keeps_the_sum_and_leaves_rising_data_alone(
            values in prop::collection::vec(-5.0f64..5.0, 0..20)
        ) {
            let fitted = isotonic(&values);
            prop_assert!(fitted.is_sorted() && fitted.len() == values.len());
            prop_assert!((fitted.iter().sum::<f64>() - values.iter().sum::<f64>()).abs() < 1e-9);
            let mut rising = values.clone();
            rising.sort_by(f64::total_cmp);
            prop_assert_eq!(isotonic(&rising), rising);
        }
    }

    #[test]
    fn violators_are_pooled() {
        assert_eq!(isotonic(&[1.0, 3.0, 2.0, 4.0]), vec![1.0, 2.5, 2.5, 4.0]);
        assert_eq!(isotonic(&[3.0, 2.0, 1.0]), vec![2.0; 3]);
    }
}
