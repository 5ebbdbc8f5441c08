//! Numbers written as words: "five", "twenty-one", "two thirds", "3 million".
//!
//! Contract: [`number`] reads as many words as form one number and says how many it took.

use num_bigint::BigInt;
use num_rational::BigRational;

#[rustfmt::skip]
const SMALL: &[(&str, i64)] = &[
    ("zero", 0), ("one", 1), ("two", 2), ("three", 3), ("four", 4), ("five", 5), ("six", 6), ("seven", 7),
    ("eight", 8), ("nine", 9), ("ten", 10), ("eleven", 11), ("twelve", 12), ("thirteen", 13), ("fourteen", 14),
    ("fifteen", 15), ("sixteen", 16), ("seventeen", 17), ("eighteen", 18), ("nineteen", 19), ("twenty", 20),
    ("thirty", 30), ("forty", 40), ("fifty", 50), ("sixty", 60), ("seventy", 70), ("eighty", 80),
    ("ninety", 90),
];

#[rustfmt::skip]
const LARGE: &[(&str, i64)] = &[
    ("dozen", 12), ("hundred", 100), ("thousand", 1000), ("million", 1_000_000), ("billion", 1_000_000_000),
    ("trillion", 1_000_000_000_000),
];

#[rustfmt::skip]
const PARTS: &[(&str, i64)] = &[
    ("half", 2), ("halves", 2), ("third", 3), ("quarter", 4), ("fourth", 4), ("fifth", 5), ("sixth", 6),
    ("seventh", 7), ("eighth", 8), ("ninth", 9), ("tenth", 10),
];

fn find(table: &[(&str, i64)], word: &str) -> Option<i64> {
    table.iter().find(|row| row.0 == word).map(|row| row.1)
}

/// The factor of a word such as "million" after digits.
pub(crate) fn multiplier(word: &str) -> Option<BigRational> {
    let singular = word.strip_suffix('s').unwrap_or(word);
    find(LARGE, singular).map(|n| BigRational::from_integer(n.into()))
}

/// The number that the first words form, and how many words it took. Words must be lower case.
pub(crate) fn number(words: &[&str]) -> Option<(BigRational, usize)> {
    let (mut total, mut group, mut taken) = (BigInt::from(0), BigInt::from(0), 0);
    let mut last_small = None;
    for word in words.iter().take(24) {
        if let Some(n) = find(SMALL, word) {
            let fits = match last_small {
                None => true,
                Some(tens) => tens >= 20 && tens % 10 == 0 && (1..10).contains(&n),
            };
            if !fits {
                break;
            }
            last_small = Some(n);
            group += n;
        } else if let Some(n) = find(LARGE, word).filter(|_| taken > 0) {
            last_small = None;
            if n <= 100 {
                group *= n;
            } else {
                total += group * n;
                group = BigInt::from(0);
            }
        } else if *word == "and" && taken > 0 && last_small.is_none() && next_is_small(words, taken) {
        } else {
            break;
        }
        taken += 1;
    }
    if taken == 0 {
        return fraction_alone(words);
    }
    let whole = BigRational::from_integer(total + group);
    match words.get(taken).and_then(|w| part(w)) {
        Some(d) => Some((whole / BigRational::from_integer(d.into()), taken + 1)),
        None => Some((whole, taken)),
    }
}

fn next_is_small(words: &[&str], at: usize) -> bool {
    words.get(at + 1).is_some_and(|w| find(SMALL, w).is_some())
}

/// The place that an ordinal names: "third", "3rd", "21st".
pub(crate) fn ordinal(text: &str) -> Option<i64> {
    const FIRST: [(&str, i64); 3] = [("first", 1), ("second", 2), ("twelfth", 12)];
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !digits.is_empty() && ["st", "nd", "rd", "th"].contains(&&lower[digits.len()..]) {
        return digits.parse().ok();
    }
    let small = || find(SMALL, lower.strip_suffix("th")?);
    let part = || find(PARTS, &lower).filter(|_| !["half", "halves", "quarter"].contains(&lower.as_str()));
    find(&FIRST, &lower).or_else(part).or_else(small)
}

/// The denominator that a word such as "thirds" names.
fn part(word: &str) -> Option<i64> {
    find(PARTS, word).or_else(|| find(PARTS, word.strip_suffix('s')?))
}

fn fraction_alone(words: &[&str]) -> Option<(BigRational, usize)> {
    let start = usize::from(matches!(words.first(), Some(&"a" | &"an")));
    let half = words.get(start).filter(|w| **w == "half" || (start == 1 && **w == "quarter"))?;
    Some((BigRational::new(1.into(), part(half)?.into()), start + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, usize)> {
        number(&text.split(' ').collect::<Vec<_>>()).map(|(n, taken)| (n.to_string(), taken))
    }

    #[test]
    fn ordinals_are_read_in_words_and_digits() {
        for (text, place) in [("third", 3), ("3rd", 3), ("Twelfth", 12), ("21st", 21), ("fourteenth", 14)] {
            assert_eq!(ordinal(text), Some(place), "{text}");
        }
        for text in ["three", "half", "3", "th", "east", "month"] {
            assert_eq!(ordinal(text), None, "{text}");
        }
    }

    #[test]
    fn words_are_read_as_far_as_they_form_one_number() {
        assert_eq!(read("twenty one apples"), Some(("21".into(), 2)));
        assert_eq!(read("one hundred and five"), Some(("105".into(), 4)));
        assert_eq!(read("two thousand three hundred"), Some(("2300".into(), 4)));
        assert_eq!(read("two thirds"), Some(("2/3".into(), 2)));
        assert_eq!(read("five and six"), Some(("5".into(), 1)));
        assert_eq!(read("apples"), None);
    }
}
