//! Numbers as text with the digits they can support.
//!
//! The digits of an estimate follow from its interval by the rule of the Particle Data Group (Review of Particle
//! Physics, Introduction 5.3): of the half-width, two digits are kept when its first three lie between 100 and
//! 354, one when they lie between 355 and 949, else two after rounding up. An amount that is not zero keeps one digit
//! all the same; an end that is not zero and that these digits cannot tell from it is `<0.01`, below the least that they
//! can say. What is absent or not finite is a dash.

use crate::statistics::{Estimate, Interval};

/// Ends of an interval so far apart have no decimal place in common: each has digits of its own.
const MAGNITUDES: f64 = 100.0;

/// What stands where there is no number.
pub const ABSENT: &str = "–";

/// Digits after the point that an uncertainty supports; negative for tens and hundreds; absent at width zero.
pub fn supported_decimals(half_width: f64) -> Option<i32> {
    if !half_width.is_finite() || half_width <= 0.0 {
        return None;
    }
    let exponent = half_width.log10().floor() as i32;
    let leading = half_width / 10f64.powi(exponent);
    Some(if leading < 3.55 { 1 - exponent } else { -exponent })
}

/// A share as `0.71 [0.66, 0.76]`: two or three decimals, as the interval supports.
pub fn share(estimate: Option<&Estimate>) -> String {
    let Some(e) = estimate else { return ABSENT.to_string() };
    bracketed([e.value, e.ci_low, e.ci_high], |decimals| decimals.clamp(2, 3), None)
}

/// An amount as `12.3 [11.1, 13.9]` after multiplication by `scale`; one of uncertain magnitude as `0.42 [0.03, 2200]`, one
/// without an upper end as `0.42 [0.03, ∞)`.
pub fn amount(estimate: Option<&impl Interval>, scale: f64) -> String {
    written(estimate, scale, None)
}

/// As [`amount`]; an end that rounding would put on the threshold or beyond it has the digits that show its side, also of 0.
pub fn amount_beside(estimate: Option<&Estimate>, threshold: f64) -> String {
    written(estimate, 1.0, Some(threshold))
}

fn written(estimate: Option<&impl Interval>, scale: f64, beside: Option<f64>) -> String {
    match estimate.map(Interval::parts) {
        Some((value, low, Some(high))) if low > 0.0 && high / low >= MAGNITUDES && high.is_finite() => {
            let [low, high] = [low, high].map(|end| telling(end * scale, two_digits(end * scale), beside));
            format!("{} [{low}, {high}]", two_digits(value * scale))
        }
        Some((value, low, None)) if value > 0.0 && low >= 0.0 && value.is_finite() => {
            let [value, low] = [value, low].map(|number| two_digits(number * scale));
            format!("{value} [{low}, ∞)")
        }
        Some((value, low, Some(high))) => {
            bracketed([value, low, high].map(|number| number * scale), |decimals| decimals, beside)
        }
        _ => ABSENT.to_string(),
    }
}

/// A number without interval, to three significant digits; whole numbers keep all of theirs.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.to_string();
    }
    if value == 0.0 {
        return "0".to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    at(value, (2 - exponent).max(0))
}

/// A share without interval as a percentage without its sign: `3.1`, `0`, `<0.1`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if !percent.is_finite() => ABSENT.to_string(),
        0.0 => "0".to_string(),
        percent if percent < 0.1 => "<0.1".to_string(),
        percent => format!("{percent:.1}"),
    }
}

/// A p-value: `0.19`, `0.012`, `<0.001`.
pub fn probability(p: f64) -> String {
    match p {
        p if !p.is_finite() => ABSENT.to_string(),
        p if p < 0.001 => "<0.001".to_string(),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// A whole number in groups of three, with thin separators: `12,345`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Value, lower and upper end.
fn bracketed(numbers: [f64; 3], limit: impl Fn(i32) -> i32, beside: Option<f64>) -> String {
    if numbers.iter().any(|number| !number.is_finite()) {
        return ABSENT.to_string();
    }
    let [value, low, high] = numbers;
    let Some(decimals) = supported_decimals((high - low) / 2.0) else {
        return format!("{0} [{0}, {0}]", significant(value));
    };
    let decimals = limit(decimals);
    let first_digit = if value > 0.0 && low >= 0.0 { -value.log10().floor() as i32 } else { decimals };
    let [low, high] = [low, high].map(|end| telling(end, shown(end, decimals), beside));
    format!("{} [{low}, {high}]", at(value, decimals.max(first_digit)))
}

/// The text of an end; of one that is not nothing and would be written as nothing, below what it is.
fn shown(end: f64, decimals: i32) -> String {
    let (decimals, text) = (decimals.min(15), at(end, decimals));
    let least = 10f64.powi(-decimals);
    match text.parse() {
        Ok(0.0) if end > 0.0 => format!("<{}", at(least, decimals)),
        Ok(0.0) if end < 0.0 => format!(">{}", at(-least, decimals)),
        _ => text,
    }
}

/// The text of an end, or one with as many digits as it takes to lie on its side of the threshold.
fn telling(end: f64, text: String, beside: Option<f64>) -> String {
    let Some(threshold) = beside.filter(|threshold| *threshold != end) else { return text };
    let shows = |text: &String| match text.strip_prefix(['<', '>']) {
        // `<0.01` says no side of 0, nor of what lies between.
        Some(bound) => bound.parse().is_ok_and(|bound: f64| threshold.abs() >= bound.abs()),
        None => text
            .parse()
            .is_ok_and(|shown: f64| shown != threshold && (shown > threshold) == (end > threshold)),
    };
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    let mut longer = (decimals + 1..=15).map(|decimals| shown(end, decimals));
    if shows(&text) { text } else { longer.find(shows).unwrap_or(text) }
}

/// A number that is not negative to two significant digits, or its magnitude where that takes many.
fn two_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.log10().floor() as i32;
    if (-6..6).contains(&exponent) { at(value, 1 - exponent) } else { format!("{value:.0e}") }
}

/// A number rounded at a decimal place, which may lie before the point.
fn at(value: f64, decimals: i32) -> String {
    let text = if decimals >= 0 {
        format!("{value:.*}", decimals.min(15) as usize)
    } else {
        let step = 10f64.powi(-decimals);
        format!("{:.0}", (value / step).round() * step)
    };
    // Nothing has no sign.
    let is_nothing = text.starts_with('-') && text.chars().all(|digit| "-0.".contains(digit));
    if is_nothing { text[1..].to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::OpenAbove;

    fn estimate(value: f64, ci_low: f64, ci_high: f64) -> Estimate {
        Estimate { value, ci_low, ci_high, n: 100, df: None }
    }

    #[test]
    fn a_share_has_the_digits_its_interval_supports() {
        assert_eq!(share(Some(&estimate(0.7123, 0.6612, 0.7634))), "0.71 [0.66, 0.76]");
        assert_eq!(share(Some(&estimate(0.7123, 0.7012, 0.7234))), "0.712 [0.701, 0.723]");
        assert_eq!(share(Some(&estimate(0.5, 0.1, 0.9))), "0.50 [0.10, 0.90]");
    }

    #[test]
    fn an_amount_keeps_two_digits_of_a_small_leading_digit_and_one_of_a_large() {
        assert_eq!(amount(Some(&estimate(0.0123, 0.0101, 0.0145)), 1000.0), "12.3 [10.1, 14.5]");
        assert_eq!(amount(Some(&estimate(12345.0, 11000.0, 13600.0)), 1.0), "12300 [11000, 13600]");
        assert_eq!(amount(Some(&estimate(12345.0, 8000.0, 21000.0)), 1.0), "12000 [8000, 21000]");
    }

    #[test]
    fn what_is_not_zero_is_not_written_as_zero_however_wide_its_interval() {
        assert_eq!(amount(Some(&estimate(0.42, 0.0, 2200.0)), 1.0), "0.4 [0, 2200]");
        assert_eq!(amount(Some(&estimate(0.0, 0.0, 30.0)), 1.0), "0 [0, 30]");
        assert_eq!(share(Some(&estimate(0.0004, 0.0, 0.3))), "0.0004 [0.00, 0.30]");
    }

    #[test]
    fn an_end_that_its_digits_cannot_tell_from_nothing_is_below_the_least_that_they_say() {
        assert_eq!(share(Some(&estimate(0.005, 0.000005, 0.046))), "0.005 [<0.001, 0.046]");
        assert_eq!(share(Some(&estimate(0.1, 0.0007, 0.3))), "0.10 [<0.01, 0.30]");
        assert_eq!(share(Some(&estimate(0.1, 1e-17, 0.3))), "0.10 [<0.01, 0.30]");
        assert_eq!(share(Some(&estimate(0.1, 0.0, 0.3))), "0.10 [0.00, 0.30]");
        assert_eq!(amount(Some(&estimate(0.42, 0.04, 3.9)), 1.0), "0.4 [<0.1, 3.9]");
        assert_eq!(amount(Some(&estimate(-2.0, -4.1, -0.03)), 1.0), "-2.0 [-4.1, >-0.1]");
        assert_eq!(amount(Some(&estimate(300.0, -3.0, 800.0)), 1.0), "300 [>-100, 800]");
    }

    #[test]
    fn an_amount_of_uncertain_magnitude_has_digits_at_both_ends() {
        assert_eq!(amount(Some(&estimate(0.42, 0.03, 2200.0)), 1.0), "0.42 [0.030, 2200]");
        assert_eq!(amount(Some(&estimate(3.2, 0.1, 5.1e23)), 1.0), "3.2 [0.10, 5e23]");
        assert_eq!(amount(Some(&estimate(0.42, 3.1e-9, 2200.0)), 1.0), "0.42 [3e-9, 2200]");
    }

    #[test]
    fn an_end_beside_a_threshold_shows_its_side() {
        let beside = |e: Estimate, threshold| amount_beside(Some(&e), threshold);
        assert_eq!(beside(estimate(1.16, 1.0027, 1.341), 1.0), "1.16 [1.003, 1.34]");
        assert_eq!(beside(estimate(1.16, 0.9996, 1.341), 1.0), "1.16 [0.9996, 1.34]");
        assert_eq!(beside(estimate(0.01, -0.02, 0.01996), 0.02), "0.010 [-0.020, 0.01996]");
        assert_eq!(beside(estimate(8.0, 1.0002, 400.0), 1.0), "8.0 [1.0002, 400]");
        assert_eq!(beside(estimate(1.16, 1.0, 1.341), 1.0), "1.16 [1.00, 1.34]");
        assert_eq!(beside(estimate(0.1, 0.004, 0.3), 0.0), "0.10 [0.004, 0.30]");
        assert_eq!(beside(estimate(-0.1, -0.3, -0.004), 0.0), "-0.10 [-0.30, -0.004]");
        assert_eq!(beside(estimate(0.1, 0.004, 0.3), 0.005), "0.10 [0.004, 0.30]");
        assert_eq!(beside(estimate(0.1, 0.004, 0.3), 0.2), "0.10 [<0.01, 0.30]");
        assert_eq!(beside(estimate(2.0, 1.5, 2.5), 1.0), amount(Some(&estimate(2.0, 1.5, 2.5)), 1.0));
    }

    #[test]
    fn a_p_value_is_never_nothing() {
        assert_eq!([0.19, 0.0123, 1e-89, 1.0].map(probability), ["0.19", "0.012", "<0.001", "1.00"]);
    }

    #[test]
    fn an_interval_without_an_upper_end_says_so() {
        let open = |value, ci_low| OpenAbove { value, ci_low, ci_high: None, n: 9 };
        assert_eq!(amount(Some(&open(0.0042, 0.0003)), 1000.0), "4.2 [0.30, ∞)");
        assert_eq!(amount(Some(&open(12.0, 0.0)), 1.0), "12 [0, ∞)");
    }

    #[test]
    fn what_does_not_exist_is_a_dash_and_never_zero() {
        assert_eq!(share(None), ABSENT);
        assert_eq!(amount(Some(&estimate(f64::NAN, 0.0, 1.0)), 1.0), ABSENT);
        assert_eq!(significant(f64::INFINITY), ABSENT);
        assert_eq!(percent(f64::NAN), ABSENT);
    }

    #[test]
    fn an_interval_without_width_is_shown_as_such() {
        assert_eq!(share(Some(&estimate(0.5, 0.5, 0.5))), "0.500 [0.500, 0.500]");
    }

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        assert_eq!(amount(Some(&estimate(-0.01, -1.1, 1.1)), 1.0), "0.0 [-1.1, 1.1]");
        assert_eq!(amount(Some(&estimate(-0.2, -60.0, 60.0)), 1.0), "0 [-60, 60]");
    }

    #[test]
    fn plain_numbers_have_three_significant_digits() {
        assert_eq!(
            [0.0, 0.01234, 1.0, 45.25, 1234.5].map(significant),
            ["0", "0.0123", "1.00", "45.2", "1234"]
        );
        assert_eq!([0.0, 0.0003, 0.031, 1.0].map(percent), ["0", "<0.1", "3.1", "100.0"]);
        assert_eq!([7, 1234, 1_234_567].map(grouped), ["7", "1,234", "1,234,567"]);
    }
}
