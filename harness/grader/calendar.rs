//! Dates and times of day, which look like ratios, quotients and products to a parser of formulas.
//!
//! Contract: [`date`] reads a date with a month's name in it; [`half_day`] the letters after a time.

const MONTHS: [&str; 12] = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
];

/// A date: year where stated, month, day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// The year, where stated.
    pub(crate) year: Option<u32>,
    /// 1 to 12.
    pub(crate) month: u32,
    /// 1 to 31.
    pub(crate) day: u32,
}

impl Date {
    /// Whether two dates are one; a year may be left out.
    pub(crate) fn agrees(self, other: Date) -> bool {
        let years = self.year.is_none() || other.year.is_none() || self.year == other.year;
        years && (self.month, self.day) == (other.month, other.day)
    }
}

/// Reads `March 5, 2020`, `5 March`, `Mar. 5th`. All words must belong to the date, but for a weekday.
pub(crate) fn date(text: &str) -> Option<Date> {
    if text.len() > 64 {
        return None;
    }
    let (mut month, mut numbers) = (None, Vec::new());
    let lower = text.to_lowercase().replace("\\text", " ").replace("\\mathrm", " ");
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        if let Some(n) = month_named(word) {
            if month.replace(n).is_some() {
                return None;
            }
        } else if let Some(n) = ordinal(word) {
            numbers.push(n);
        } else if !is_filler(word) {
            return None;
        }
    }
    let day = *numbers.first().filter(|d| (1..=31).contains(*d))?;
    let year = numbers.get(1).copied();
    (numbers.len() <= 2).then_some(Date { year, month: month?, day })
}

fn month_named(word: &str) -> Option<u32> {
    if word.len() < 3 {
        return None;
    }
    let at = MONTHS.iter().position(|m| *m == word || m[..3] == *word || (word == "sept" && *m == "september"))?;
    u32::try_from(at + 1).ok()
}

fn ordinal(word: &str) -> Option<u32> {
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|s| word.strip_suffix(s)).unwrap_or(word);
    digits.parse().ok().filter(|n| *n < 10_000)
}

fn is_filler(word: &str) -> bool {
    word == "of" || word == "the" || (word.ends_with("day") && word.len() <= 9)
}

/// `Some(true)` after noon for the words of `p.m.`, `Some(false)` before noon.
pub(crate) fn half_day(words: &str) -> Option<bool> {
    match words.to_lowercase().replace(['.', ' '], "").as_str() {
        "pm" => Some(true),
        "am" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_either_order() {
        let expected = Some(Date { year: Some(2020), month: 3, day: 5 });
        assert_eq!(date("March 5, 2020"), expected);
        assert_eq!(date("5th of March 2020"), expected);
        assert_eq!(date("marching 5"), None);
        assert_eq!(date("5 2020"), None);
    }
}
