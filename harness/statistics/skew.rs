//! A t interval for a mean whose distribution is lopsided.
//!
//! `T = (mean - mu) / se` of a skewed quantity is skewed the other way: with 30 problems of which most are nearly
//! always solved and a few rarely, the symmetric interval misses on one side about one time in seven. Hall (1992, "On
//! the removal of skewness by transformation", JRSS B 54) removes the first-order skewness with a cubic,
//! `g(T) = T + a T^2 + a^2 T^3 / 3 + a / 2` with `a = skewness / (3 sqrt(n))`, which is increasing and has an
//! inverse in closed form; the interval is read off through the inverse. Without skewness it is the t interval, with the
//! degrees of freedom of [`super::mean`]: what is lopsided usually has a heavy tail too.

use super::critical;
use super::estimate::Level;
use super::mean::{Moments, degrees_of_freedom};

/// Hall's interval for the mean of at least two values that are not all equal.
pub(crate) fn skewed_t_interval(values: &[f64], level: Level) -> (f64, f64) {
    let n = values.len() as f64;
    let Moments { mean, variance } = Moments::of(values);
    let cubes = values.iter().map(|x| (x - mean).powi(3)).sum::<f64>() / n;
    let a = cubes / variance.powf(1.5) / (3.0 * n.sqrt());
    let se = (variance / n).sqrt();
    let reach = critical::student(level, degrees_of_freedom(values));
    (mean - se * straighten(reach, a), mean - se * straighten(-reach, a))
}

/// The inverse of Hall's cubic.
fn straighten(y: f64, a: f64) -> f64 {
    if a.abs() < 1e-9 { y } else { ((1.0 + 3.0 * a * (y - a / 2.0)).cbrt() - 1.0) / a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straighten_inverts_the_cubic() {
        for (t, a) in [(2.0, 0.1), (-1.5, 0.3), (0.7, -0.2)] {
            let bent = t + a * t * t + a * a * t * t * t / 3.0 + a / 2.0;
            assert!((straighten(bent, a) - t).abs() < 1e-12);
        }
    }

    #[test]
    fn it_is_the_t_interval_without_skewness_and_leans_into_the_long_tail_with_it() {
        let even: Vec<f64> = (0..30).map(f64::from).collect();
        let t = super::super::mean::mean_over_problems(&even, Level::default()).unwrap();
        let (low, high) = skewed_t_interval(&even, Level::default());
        assert!((low - t.ci_low).abs() < 1e-6 && (high - t.ci_high).abs() < 1e-6);
        let long: Vec<f64> = even.iter().map(|x| (x / 8.0).exp()).collect();
        let mean = Moments::of(&long).mean;
        let (low, high) = skewed_t_interval(&long, Level::default());
        assert!(high - mean > 1.2 * (mean - low), "{low} {mean} {high}");
    }
}
