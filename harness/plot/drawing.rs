//! An SVG drawing: elements with classes, so that one drawing serves as a file and as part of a page.
//!
//! Presentation attributes hold the colours for white paper; a style sheet beats them, so a page may be dark without
//! another drawing. Coordinates have one decimal, which makes the same chart the same bytes.

use std::fmt::Write;

use super::palette::Colour;
use crate::escape;

/// Width of every drawing, in its own units: a paper's column, a phone's screen.
pub(super) const WIDTH: f64 = 520.0;
/// Size of labels.
pub(super) const LABEL: f64 = 12.0;

/// Where a text is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A finished drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    title: String,
    description: String,
    /// Height of the title, which a page writes itself.
    head: f64,
    height: f64,
    body: String,
}

/// A drawing being made.
#[derive(Default)]
pub(super) struct Pen {
    body: String,
}

impl Pen {
    /// Opens a group; `of` are further attributes.
    pub(super) fn open(&mut self, class: &str, of: &str) {
        let _ = write!(self.body, "<g class=\"{class}\"{of}>");
    }

    /// Opens a group of one colour.
    pub(super) fn open_colour(&mut self, class: &str, colour: Colour, of: &str) {
        let _ =
            write!(self.body, "<g class=\"{class} {}\" color=\"{}\"{of}>", colour.class(), colour.on_paper());
    }

    /// Closes a group.
    pub(super) fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// A line through points, in the group's colour.
    pub(super) fn line(&mut self, points: &[(f64, f64)], width: f64, of: &str) {
        if points.len() > 1 {
            let _ = write!(
                self.body,
                "<path d=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\"{of}/>",
                path(points)
            );
        }
    }

    /// A filled area, in the group's colour.
    pub(super) fn area(&mut self, points: &[(f64, f64)], opacity: f64) {
        if points.len() > 2 {
            let _ = write!(
                self.body,
                "<path class=\"band\" d=\"{}Z\" fill=\"currentColor\" fill-opacity=\"{opacity}\"/>",
                path(points)
            );
        }
    }

    /// A rectangle with a text that is shown on pointing at it.
    pub(super) fn tile(&mut self, (x, y, w, h): (f64, f64, f64, f64), opacity: f64, says: &str) {
        let _ = write!(
            self.body,
            "<rect class=\"pt\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"currentColor\" fill-opacity=\"{opacity:.3}\"><title>{}</title></rect>",
            escape::xml(says)
        );
    }

    /// A mark with a text that is shown on pointing at it: circle, square, triangle or diamond.
    pub(super) fn mark(&mut self, (x, y): (f64, f64), mark: &Mark) {
        let Mark { shape, size, is_hollow, opacity, says } = mark;
        let fill = if *is_hollow {
            "class=\"pt hollow\" fill=\"#fff\""
        } else {
            "class=\"pt\" fill=\"currentColor\""
        };
        let style = format!("{fill} stroke=\"currentColor\" stroke-width=\"1.6\"");
        let style = if *opacity < 1.0 { format!("{style} opacity=\"{opacity:.2}\"") } else { style };
        let corners: &[(f64, f64)] = match shape % 4 {
            0 => &[],
            1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            2 => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            _ => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
        };
        let title =
            if says.is_empty() { String::new() } else { format!("<title>{}</title>", escape::xml(says)) };
        if corners.is_empty() {
            let _ = write!(
                self.body,
                "<circle {style} cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\">{title}</circle>"
            );
        } else {
            let corners: Vec<(f64, f64)> =
                corners.iter().map(|(dx, dy)| (x + dx * size, y + dy * size)).collect();
            let _ = write!(self.body, "<path {style} d=\"{}Z\">{title}</path>", path(&corners));
        }
    }

    /// A text in the group's colour.
    pub(super) fn text(&mut self, text: &str, (x, y): (f64, f64), size: f64, anchor: Anchor) {
        self.text_with(text, (x, y), size, anchor, "");
    }

    /// A text with further attributes.
    pub(super) fn text_with(&mut self, text: &str, (x, y): (f64, f64), size: f64, anchor: Anchor, of: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"currentColor\"{anchor}{of}>{}</text>",
            escape::xml(text)
        );
    }

    /// The drawing, with its title and subtitle above.
    pub(super) fn finish(self, title: &str, subtitle: &str, (head, height): (f64, f64)) -> Drawing {
        Drawing { title: title.into(), description: subtitle.into(), head, height, body: self.body }
    }
}

/// A mark's looks, and what it says.
pub(super) struct Mark {
    pub(super) shape: usize,
    pub(super) size: f64,
    pub(super) is_hollow: bool,
    pub(super) opacity: f64,
    pub(super) says: String,
}

impl Drawing {
    /// What it shows.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How to read it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// A self-contained file: title, subtitle and drawing on white paper.
    pub fn file(&self) -> String {
        let (title, head) = (escape::xml(&self.title), self.heading());
        let height = self.height;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" font-family=\"{FONT}\"><title>{title}</title>\n<rect class=\"paper\" width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{}</svg>\n",
            self.body
        )
    }

    /// For a page: without the heading, which the page writes; a download puts it back by the full view box.
    pub fn inline(&self) -> String {
        let (title, top, height) = (escape::xml(&self.title), self.head - 6.0, self.height);
        let label = escape::xml(&format!("{}. {}", self.title, self.description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 {top:.0} {WIDTH} {:.0}\" data-whole=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-roledescription=\"chart\" tabindex=\"0\" aria-label=\"{label}\" data-name=\"{title}\" font-family=\"{FONT}\"><rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#fff\"/><g class=\"heading\">{}</g>\n{}</svg>",
            height - top,
            self.heading(),
            self.body
        )
    }

    fn heading(&self) -> String {
        let mut pen = Pen::default();
        pen.open_colour("", Colour::Ink, "");
        pen.text_with(&self.title, (12.0, 24.0), 16.0, Anchor::Start, " font-weight=\"600\"");
        pen.close();
        pen.open_colour("", Colour::Grey, "");
        for (at, line) in wrapped(&self.description).iter().enumerate() {
            pen.text(line, (12.0, 43.0 + 15.0 * at as f64), 11.5, Anchor::Start);
        }
        pen.close();
        pen.body
    }
}

/// What stands on most systems and looks alike; the first is the one that pictures are drawn with.
const FONT: &str = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif";

/// Height of a heading whose subtitle is this.
pub(super) fn head_height(subtitle: &str) -> f64 {
    44.0 + 15.0 * wrapped(subtitle).len() as f64
}

/// Lines of at most so many characters, broken at spaces.
fn wrapped(text: &str) -> Vec<String> {
    const MOST: usize = 84;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < MOST => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::with_capacity(points.len() * 12);
    for (at, (x, y)) in points.iter().enumerate() {
        let _ = write!(text, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mark_says_cannot_leave_its_tag() {
        let mut pen = Pen::default();
        let mark =
            Mark { shape: 0, size: 3.0, is_hollow: false, opacity: 1.0, says: "</title><script>".into() };
        pen.mark((1.0, 2.0), &mark);
        let text = pen.finish("<b>", "\"><script>", (40.0, 100.0));
        for svg in [text.file(), text.inline()] {
            assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
        }
    }

    #[test]
    fn long_subtitles_are_broken_at_spaces() {
        let lines = wrapped(&"word ".repeat(40));
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= 84));
    }
}
