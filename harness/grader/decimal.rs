//! Decimal literals: exact values, written precision, repeating parts.

use super::tree::Decimals;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Pow;

/// The longest literal that is read as a number.
const MAX_DIGITS: usize = 1000;
/// The largest decimal exponent that is expanded.
const MAX_EXPONENT: i32 = 400;

fn power_of_ten(n: u32) -> BigInt {
    Pow::pow(BigInt::from(10), n)
}

/// The value of `12`, `0.50`, `.5`, `1.5e-7`, with the precision where there is a point.
pub(crate) fn literal(text: &str) -> Option<(BigRational, Option<Decimals>)> {
    if text.len() > MAX_DIGITS {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok().filter(|e| e.abs() <= MAX_EXPONENT)?),
        None => (text, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let number: BigInt = if digits.is_empty() { return None } else { digits.parse().ok()? };
    let places = i32::try_from(part.len()).ok()? - exponent;
    let value = if places > 0 {
        BigRational::new(number, power_of_ten(places.unsigned_abs()))
    } else {
        BigRational::from_integer(number * power_of_ten(places.unsigned_abs()))
    };
    let significant = digits.trim_start_matches('0').len() as u32;
    let written =
        (!part.is_empty() && places > 0).then_some(Decimals { places: places.unsigned_abs(), significant });
    Some((value, written))
}

/// `0.1` with `6` repeating is 1/6.
pub(crate) fn repeating(start: &str, repeat: &str) -> Option<BigRational> {
    let cycle = u32::try_from(repeat.len()).ok().filter(|n| (1..200).contains(n))?;
    let places = u32::try_from(start.split_once('.')?.1.len()).ok().filter(|n| *n < 200)?;
    let head = literal(start.trim_end_matches('.'))?.0;
    let tail: BigInt = repeat.parse().ok()?;
    Some(head + BigRational::new(tail, (power_of_ten(cycle) - 1) * power_of_ten(places)))
}

/// `0.333...` is a third: the last digit repeats where it stands three times or more before the dots.
pub(crate) fn with_dots(text: &str) -> Option<BigRational> {
    let part = text.split_once('.')?.1;
    let last = part.chars().last()?;
    let run = part.chars().rev().take_while(|c| *c == last).count();
    (run >= 3).then(|| repeating(text, &last.to_string())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_exact() {
        assert_eq!(literal("0.50").unwrap().0, BigRational::new(1.into(), 2.into()));
        assert_eq!(literal("1.5e3").unwrap().0, BigRational::from_integer(1500.into()));
        assert_eq!(repeating("0.1", "6").unwrap(), BigRational::new(1.into(), 6.into()));
        assert_eq!(with_dots("0.333").unwrap(), BigRational::new(1.into(), 3.into()));
        assert_eq!(with_dots("3.141"), None);
        assert!(literal("1e999999999").is_none());
    }
}
