//! Today, as the caller says: templates print the date, and a render must be the same tomorrow.

use serde::{Deserialize, Serialize};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A day of the Gregorian calendar; its time of day is midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Default for Date {
    /// 15 January 2025: fixed, so that a caller who does not care still gets reproducible prompts.
    fn default() -> Self {
        Self { year: 2025, month: 1, day: 15 }
    }
}

impl Date {
    /// A day that exists, or nothing.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=9999).contains(&year).then_some(())?;
        (1..=length).contains(&day).then_some(Self { year, month, day })
    }

    /// Python's `strftime` for the directives that make sense for a day; others stay as they are written.
    pub fn strftime(self, format: &str) -> String {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            match (char, chars.clone().next()) {
                ('%', Some('-')) => {
                    chars.next();
                    let directive = chars.next().unwrap_or('-');
                    let text = self.directive(directive);
                    let bare = text.trim_start_matches('0');
                    out.push_str(if bare.is_empty() { &text } else { bare });
                }
                ('%', Some(directive)) => {
                    chars.next();
                    out.push_str(&self.directive(directive));
                }
                (char, _) => out.push(char),
            }
        }
        out
    }

    fn directive(self, directive: char) -> String {
        let Self { year, month, day } = self;
        match directive {
            'Y' => format!("{year:04}"),
            'y' => format!("{:02}", year % 100),
            'm' => format!("{month:02}"),
            'd' => format!("{day:02}"),
            'e' => format!("{day:2}"),
            'j' => format!("{:03}", self.day_of_year()),
            'B' => self.month_name().to_owned(),
            'b' | 'h' => self.month_name()[..3].to_owned(),
            'A' => self.day_name().to_owned(),
            'a' => self.day_name()[..3].to_owned(),
            'F' => format!("{year:04}-{month:02}-{day:02}"),
            'D' | 'x' => format!("{month:02}/{day:02}/{:02}", year % 100),
            'H' | 'M' | 'S' => "00".to_owned(),
            'I' => "12".to_owned(),
            'p' => "AM".to_owned(),
            'T' | 'X' => "00:00:00".to_owned(),
            '%' => "%".to_owned(),
            other => format!("%{other}"),
        }
    }

    fn month_name(self) -> &'static str {
        MONTHS[usize::from(self.month.clamp(1, 12)) - 1]
    }

    fn day_name(self) -> &'static str {
        // Sakamoto's method: 0 is Sunday.
        const SHIFT: [u32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = u32::from(self.year) - u32::from(self.month < 3 && self.year > 0);
        let shift = SHIFT[usize::from(self.month.clamp(1, 12)) - 1];
        let days = year + year / 4 - year / 100 + year / 400 + shift + u32::from(self.day);
        DAYS[(days % 7) as usize]
    }

    fn day_of_year(self) -> u32 {
        let before = (1..self.month).map(|month| {
            (28..=31).rev().find(|&day| Self::new(self.year, month, day).is_some()).unwrap_or(31)
        });
        before.map(u32::from).sum::<u32>() + u32::from(self.day)
    }
}
