//! The live table of a run: a line for each model, as wide as the terminal allows and never wider.
//!
//! On a narrow terminal columns are left out, the least telling first; then the bar; what is still too long is cut.

use console::{Alignment, pad_str, truncate_str};
use isocost_harness::escape::visible;
use isocost_harness::rounding::{ABSENT, grouped};
use isocost_harness::statistics::Estimate;

use crate::so_far::Standing;

/// Narrowest bar that says anything, and widest that is needed.
const BAR: (usize, usize) = (6, 24);
/// Columns between two columns.
const GAP: usize = 2;

/// A column of the table.
struct Column {
    title: &'static str,
    width: usize,
    align: Alignment,
    /// Columns of the lowest rank are left out first; those without are never.
    rank: Option<u8>,
    text: fn(&Standing) -> String,
}

/// The columns that fit.
pub(crate) struct LiveTable {
    width: usize,
    bar: usize,
    columns: Vec<Column>,
}

impl LiveTable {
    /// For a terminal of `width` columns and names of models and tasks of at most these widths.
    pub(crate) fn fitting(width: usize, (names, tasks): (usize, usize)) -> Self {
        // A character in the last column makes some terminals begin a new line.
        let width = width.saturating_sub(1);
        let mut columns = all_columns(names.clamp(5, 16), tasks.clamp(4, 20));
        let taken = |columns: &[Column]| columns.iter().map(|column| column.width + GAP).sum::<usize>();
        while taken(&columns) + BAR.0 > width {
            let least = columns.iter().enumerate().filter_map(|(at, c)| Some((c.rank?, at))).min();
            let Some((_, at)) = least else { break };
            columns.remove(at);
        }
        let bar = Some(width.saturating_sub(taken(&columns))).filter(|bar| *bar >= BAR.0);
        Self { width, bar: bar.map_or(0, |bar| bar.min(BAR.1)), columns }
    }

    /// The titles.
    pub(crate) fn header(&self) -> String {
        self.joined(|column| column.title.to_owned(), " ".repeat(self.bar))
    }

    /// A model's line.
    pub(crate) fn line(&self, standing: &Standing) -> String {
        self.joined(column_text(standing), bar(share_done(standing), self.bar))
    }

    /// Columns side by side, the bar after the first.
    fn joined(&self, text: impl Fn(&Column) -> String, bar: String) -> String {
        let cell = |column: &Column| {
            let text = text(column);
            let cut = truncate_str(&text, column.width, "…");
            pad_str(&cut, column.width, column.align, None).into_owned()
        };
        let mut cells: Vec<String> = self.columns.iter().map(cell).collect();
        if self.bar > 0 {
            cells.insert(1, bar);
        }
        truncate_str(cells.join(&" ".repeat(GAP)).trim_end(), self.width, "…").into_owned()
    }
}

fn column_text(standing: &Standing) -> impl Fn(&Column) -> String + '_ {
    |column| (column.text)(standing)
}

fn all_columns(names: usize, tasks: usize) -> Vec<Column> {
    let column = |title, width, rank, text| Column { title, width, align: Alignment::Right, rank, text };
    let words = |title, width, rank, text| Column { title, width, align: Alignment::Left, rank, text };
    vec![
        words("model", names, None, |s| visible(&s.model)),
        column("done", 4, None, |s| percent(Some(share_done(s)))),
        column("tok/s", 7, Some(3), |s| whole(s.tokens_per_s)),
        column("rows", 4, Some(1), |s| percent(s.row_use)),
        words("task", tasks, Some(0), |s| s.task.as_deref().map_or(ABSENT.into(), visible)),
        words("accuracy", 17, Some(4), |s| share(s.accuracy.as_ref())),
        column("cost", 9, Some(2), |s| s.usd.map_or(ABSENT.into(), dollars)),
        column("left", 7, None, left),
    ]
}

fn share_done(standing: &Standing) -> f64 {
    standing.trajectories as f64 / standing.of.max(1) as f64
}

/// Whole per cent, rounded down: 100 is all.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or(ABSENT.into(), |share| format!("{}%", (share * 100.0).floor()))
}

/// A rate without its fraction.
pub(crate) fn whole(rate: Option<f64>) -> String {
    rate.map_or(ABSENT.into(), |rate| grouped(rate.round() as u64))
}

/// `0.71 [0.66, 0.76]`, always of one width.
pub(crate) fn share(estimate: Option<&Estimate>) -> String {
    let text = |e: &Estimate| format!("{:.2} [{:.2}, {:.2}]", e.value, e.ci_low, e.ci_high);
    estimate.map_or(ABSENT.into(), text)
}

/// Two digits that count, in at most nine columns.
pub(crate) fn dollars(usd: f64) -> String {
    if usd > 0.0 && usd < 1e-5 {
        return "<$0.00001".into();
    }
    let decimals = if usd > 0.0 { (1 - usd.log10().floor() as i32).max(0) } else { 0 };
    format!("${usd:.*}", decimals as usize)
}

fn left(standing: &Standing) -> String {
    match standing.left_s {
        _ if standing.trajectories >= standing.of => "done".into(),
        Some(seconds) => clock(seconds),
        None => ABSENT.into(),
    }
}

/// `1:02:03`, `2:03`; from a hundred hours on, days.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        1..100 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{} d", hours / 24),
    }
}

fn bar(share: f64, width: usize) -> String {
    let filled = (share.clamp(0.0, 1.0) * width as f64) as usize;
    "━".repeat(filled) + &"─".repeat(width - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing {
            model: "a-model-with\u{1b}[31m-a-name".into(),
            task: Some("countdown-3-numbers".into()),
            trajectories: 311,
            of: 1056,
            seconds: 12.0,
            tokens_per_s: Some(123_456.7),
            row_use: Some(0.937),
            accuracy: Some(Estimate { value: 0.62, ci_low: 0.55, ci_high: 0.7, n: 24, df: None }),
            usd: Some(0.000412),
            left_s: Some(3723.0),
        }
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal_and_the_columns_stand_under_their_titles() {
        for width in 10..200 {
            let table = LiveTable::fitting(width, (24, 19));
            let (header, line) = (table.header(), table.line(&standing()));
            assert!(console::measure_text_width(&header) < width, "{width}: {header}");
            assert!(console::measure_text_width(&line) < width, "{width}: {line}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }

    #[test]
    fn at_80_columns_all_but_the_task_is_there_and_at_120_everything() {
        let narrow = LiveTable::fitting(80, (9, 19));
        assert_eq!(
            narrow.header(),
            "model                done    tok/s  rows  accuracy                cost     left"
        );
        assert_eq!(
            narrow.line(&standing()),
            "a-model-…  ━━──────   29%  123,457   93%  0.62 [0.55, 0.70]   $0.00041  1:02:03"
        );
        assert!(LiveTable::fitting(120, (9, 19)).header().contains("  task  "));
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_what_is_done_says_so() {
        let unknown = Standing {
            task: None,
            tokens_per_s: None,
            row_use: None,
            accuracy: None,
            usd: None,
            left_s: None,
            trajectories: 0,
            ..standing()
        };
        let table = LiveTable::fitting(120, (9, 19));
        assert_eq!(table.line(&unknown).matches(ABSENT).count(), 6);
        let done = Standing { trajectories: 1056, ..standing() };
        assert!(table.line(&done).ends_with("done") && table.line(&done).contains("100%"));
    }

    #[test]
    fn amounts_and_times_keep_to_their_columns() {
        let amounts = [0.0, 3e-7, 0.0000123, 0.0412, 4.12, 41.2, 41_234.0];
        let shown = ["$0", "<$0.00001", "$0.000012", "$0.041", "$4.1", "$41", "$41234"];
        assert_eq!(amounts.map(dollars), shown);
        assert_eq!([0.4, 61.0, 3723.0, 400_000.0].map(clock), ["0:00", "1:01", "1:02:03", "4 d"]);
    }
}
