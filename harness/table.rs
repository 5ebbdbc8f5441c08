//! A table described once and laid out three times: aligned for a terminal, as Markdown, and as LaTeX.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

use crate::escape;

/// Widest table that is readable in a terminal, in columns.
pub const TERMINAL_WIDTH: usize = 100;

/// The head of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// What the numbers are.
    pub title: String,
    /// Their unit; empty for names and pure numbers.
    pub unit: String,
    /// Whether the entries are numbers, aligned at the right.
    pub is_number: bool,
}

impl Column {
    /// A column of names, aligned at the left.
    pub fn text(title: &str) -> Self {
        Self { title: title.to_string(), unit: String::new(), is_number: false }
    }

    /// A column of numbers with their unit.
    pub fn number(title: &str, unit: &str) -> Self {
        Self { title: title.to_string(), unit: unit.to_string(), is_number: true }
    }
}

/// A table with what is said above and below it. Texts are raw; each layout escapes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What the table shows, in one line.
    pub caption: String,
    /// The heads.
    pub columns: Vec<Column>,
    /// The entries; a row shorter than the heads is filled with nothing.
    pub rows: Vec<Vec<String>>,
    /// What must be known to read it.
    pub footnotes: Vec<String>,
}

impl Table {
    /// Aligned text with caption and footnotes.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\n{}", escape::visible(&self.caption), terminal(&self.columns, &self.rows));
        for note in &self.footnotes {
            let _ = writeln!(text, "{}", escape::visible(note));
        }
        text
    }

    /// Markdown with caption and footnotes.
    pub fn markdown(&self) -> String {
        let caption = escape::markdown(&self.caption);
        let mut text = format!("**{caption}**\n\n{}", markdown(&self.columns, &self.rows));
        for note in &self.footnotes {
            let _ = write!(text, "\n{}\n", escape::markdown(note));
        }
        text
    }

    /// LaTeX with the rules of booktabs, caption above and footnotes below: a float of one page at most.
    pub fn latex(&self) -> String {
        let alignment: String =
            self.columns.iter().map(|column| if column.is_number { 'r' } else { 'l' }).collect();
        let heads = self.columns.iter().map(|column| escape::latex(&head(column)));
        let mut text = format!(
            "% \\usepackage{{booktabs}}, \\usepackage{{graphicx}} and \\usepackage[T1]{{fontenc}}; names beyond Latin letters want LuaLaTeX.\n\
             \\begin{{table}}\n  \\centering\n  \\caption{{{}}}\n  \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\
             \\begin{{tabular}}{{{alignment}}}\n    \\toprule\n{}    \\midrule\n",
            escape::latex(&self.caption),
            ampersands(heads),
        );
        for row in &self.rows {
            text.push_str(&ampersands(entries(&self.columns, row).map(escape::latex)));
        }
        text.push_str("    \\bottomrule\n  \\end{tabular}}\n");
        for note in &self.footnotes {
            let _ = writeln!(text, "  \\par\\smallskip{{\\footnotesize {}\\par}}", escape::latex(note));
        }
        text + "\\end{table}\n"
    }
}

/// Columns aligned with spaces: a line of titles, a line of units, a rule, the rows.
pub fn terminal(columns: &[Column], rows: &[Vec<String>]) -> String {
    let head = [
        columns.iter().map(|column| column.title.clone()).collect::<Vec<_>>(),
        columns.iter().map(|column| column.unit.clone()).collect(),
    ];
    let has_units = columns.iter().any(|column| !column.unit.is_empty());
    let shown = |row: &Vec<String>| entries(columns, row).map(escape::visible).collect::<Vec<_>>();
    let head: Vec<Vec<String>> = head[..=usize::from(has_units)].iter().map(shown).collect();
    let body: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let widths = widths(columns.len(), head.iter().chain(&body));
    let rule = vec!["─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1))];
    let line = |row: &Vec<String>| aligned(columns, &widths, row);
    let lines = head.iter().map(line).chain(rule).chain(body.iter().map(line));
    lines.map(|line| line.trim_end().to_string() + "\n").collect()
}

/// A Markdown table; the unit stands in parentheses after the title.
pub fn markdown(columns: &[Column], rows: &[Vec<String>]) -> String {
    let heads = columns.iter().map(|column| escape::markdown(&head(column)));
    let rules = columns.iter().map(|column| if column.is_number { "---:" } else { "---" }.to_string());
    let mut text = piped(heads) + &piped(rules);
    for row in rows {
        text.push_str(&piped(entries(columns, row).map(entry)));
    }
    text
}

fn head(column: &Column) -> String {
    let Column { title, unit, .. } = column;
    if unit.is_empty() { title.clone() } else { format!("{title} ({unit})") }
}

/// An entry as written if it holds only numbers, whose brackets cannot become a link, nor `<0.01` a tag; else escaped.
fn entry(text: &str) -> String {
    let is_numeric =
        text.chars().all(|character| character.is_ascii_digit() || "., []~–<".contains(character));
    if is_numeric { text.to_string() } else { escape::markdown(text) }
}

/// One entry per column.
fn entries<'a>(columns: &[Column], row: &'a [String]) -> impl Iterator<Item = &'a str> {
    row.iter().map(String::as_str).chain(std::iter::repeat("")).take(columns.len())
}

fn piped(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.collect();
    format!("| {} |\n", entries.join(" | "))
}

fn ampersands(entries: impl Iterator<Item = String>) -> String {
    format!("    {} \\\\\n", entries.collect::<Vec<_>>().join(" & "))
}

fn widths<'a>(count: usize, rows: impl Iterator<Item = &'a Vec<String>>) -> Vec<usize> {
    let mut widths = vec![0; count];
    for row in rows {
        for (width, entry) in widths.iter_mut().zip(row) {
            *width = (*width).max(entry.width());
        }
    }
    widths
}

fn aligned(columns: &[Column], widths: &[usize], row: &[String]) -> String {
    let pad = |((column, width), entry): ((&Column, &usize), &String)| {
        let space = " ".repeat(width.saturating_sub(entry.width()));
        if column.is_number { space + entry } else { format!("{entry}{space}") }
    };
    columns.iter().zip(widths).zip(row).map(pad).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        Table {
            caption: "Speed of <b>things</b>".to_string(),
            columns: vec![Column::text("name"), Column::number("speed", "m/s")],
            rows: vec![vec!["模型".into(), "1.5".into()], vec!["a|\u{1b}[2J".into(), "12.0".into()], vec![]],
            footnotes: vec!["~ not sure".to_string()],
        }
    }

    #[test]
    fn a_terminal_table_is_aligned_by_displayed_width() {
        insta::assert_snapshot!(example().terminal());
    }

    #[test]
    fn a_markdown_table_escapes_what_would_break_it() {
        insta::assert_snapshot!(example().markdown());
    }

    #[test]
    fn a_latex_table_escapes_what_would_break_it() {
        insta::assert_snapshot!(example().latex());
    }
}
