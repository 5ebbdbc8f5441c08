//! Dates and times of day, which look like ratios, quotients and products to a parser of formulas.
//!
//! Contract: [`date`] reads a date with a month's name in it; [`time`] an hour and a minute, with the half of the day.

use std::fmt;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
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

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let year = self.year.map_or(String::new(), |year| format!("{year}-"));
        write!(f, "date {year}{}-{}", self.month, self.day)
    }
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
    let at =
        MONTHS.iter().position(|m| *m == word || m[..3] == *word || (word == "sept" && *m == "september"))?;
    u32::try_from(at + 1).ok()
}

fn ordinal(word: &str) -> Option<u32> {
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|s| word.strip_suffix(s)).unwrap_or(word);
    digits.parse().ok().filter(|n| *n < 10_000)
}

fn is_filler(word: &str) -> bool {
    word == "of" || word == "the" || (word.ends_with("day") && word.len() <= 9)
}

/// A time of day as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    hour: u32,
    minute: u32,
    /// Whether it says p.m., where it says.
    pub(crate) after_noon: Option<bool>,
}

impl fmt::Display for Time {
    /// On a clock of 24 hours where the half of the day is stated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hour = self.after_noon.map_or(self.hour, |pm| self.hour % 12 + if pm { 12 } else { 0 });
        write!(f, "time {hour}:{:02}", self.minute)
    }
}

impl Time {
    /// Whether two times are one; `3:30` may be either half of the day.
    pub(crate) fn agrees(self, other: Time) -> bool {
        let on_clock = |t: Time| t.after_noon.map(|pm| t.hour % 12 + if pm { 12 } else { 0 });
        let hours = match (on_clock(self), on_clock(other)) {
            (Some(a), Some(b)) => a == b,
            (Some(a), None) => a == other.hour || a % 12 == other.hour,
            (None, Some(b)) => b == self.hour || b % 12 == self.hour,
            (None, None) => self.hour == other.hour,
        };
        hours && self.minute == other.minute
    }
}

/// Reads `3:30`, `3:30 p.m.`, `15:30`, `3 PM`.
pub(crate) fn time(text: &str) -> Option<Time> {
    if text.len() > 40 {
        return None;
    }
    let plain = super::clean::plain(text).to_lowercase().replace(['.', ' ', '~', '\\', ','], "");
    let (clock, after_noon) = match (plain.strip_suffix("pm"), plain.strip_suffix("am")) {
        (Some(clock), _) => (clock, Some(true)),
        (_, Some(clock)) => (clock, Some(false)),
        _ => (plain.as_str(), None),
    };
    let (hour, minute) = match clock.split_once(':') {
        Some((hour, minute)) if minute.len() == 2 => (hour, minute.parse().ok()?),
        None if after_noon.is_some() => (clock, 0),
        _ => return None,
    };
    let hour = hour.parse().ok().filter(|h| *h < 24)?;
    (minute < 60).then_some(Time { hour, minute, after_noon })
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
