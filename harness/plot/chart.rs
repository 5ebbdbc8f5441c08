//! Lines and points between two axes, with intervals, reference lines, and a name beside each line.

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, LABEL, Mark, Pen, WIDTH, head_height};
use super::labels::spread;
use super::palette::Colour;
use crate::escape;

const RIGHT_OF_LABELS: f64 = 100.0;
const BELOW: f64 = 46.0;
const DEPTH: f64 = 270.0;
const NAME_GAP: f64 = 17.0;
/// Width of a letter of a name, more than most are.
const NAME_LETTER: f64 = 7.0;
const LONGEST_LABEL: usize = 15;

/// A point, in the units of the axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// Ends of its interval along the vertical axis.
    pub range: Option<(f64, f64)>,
    /// Whether it is to be read with care.
    pub is_hollow: bool,
    /// How certain it is that it belongs here, 0 to 1.
    pub weight: f64,
    /// What is shown on pointing at it.
    pub says: String,
}

/// How points are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line with a band for the intervals.
    Line,
    /// A dashed line with a bar for each interval.
    Dashed,
    /// Points with a bar for each interval.
    Dots,
    /// Small points.
    Dust,
    /// A dotted line without points.
    Fit,
    /// Steps that rise at each point, with bars.
    Steps,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What they are; series of one name are shown and hidden together.
    pub name: String,
    /// Their colour.
    pub colour: Colour,
    /// Circle, square, triangle, diamond, and again.
    pub shape: usize,
    /// How they are joined.
    pub form: Form,
    /// Whether the name stands beside the end.
    pub is_labelled: bool,
    /// The points.
    pub points: Vec<Point>,
}

impl Series {
    /// Points from left to right, those without a place left out; absent without points.
    pub fn new(name: &str, colour: Colour, shape: usize, form: Form, points: Vec<Point>) -> Option<Self> {
        let mut points = points;
        points.retain(|point| point.x.is_finite() && point.y.is_finite());
        points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
        let is_labelled = !matches!(form, Form::Fit | Form::Dashed);
        (!points.is_empty()).then(|| Self { name: name.into(), colour, shape, form, is_labelled, points })
    }

    /// Without a name beside it.
    pub fn unlabelled(self) -> Self {
        Self { is_labelled: false, ..self }
    }
}

/// A reference line with a word at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Guide {
    /// Its corners.
    pub points: Vec<(f64, f64)>,
    /// The word.
    pub label: String,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Reference lines.
    pub guides: Vec<Guide>,
    /// What was measured.
    pub series: Vec<Series>,
}

/// The chart's place on the paper.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart {
    /// The chart, drawn.
    pub fn draw(&self) -> Drawing {
        let frame = self.frame();
        let mut pen = Pen::default();
        self.draw_grid(&mut pen, &frame);
        self.guides.iter().for_each(|guide| self.draw_guide(&mut pen, &frame, guide));
        for (series, label_y) in self.series.iter().zip(self.label_heights(&frame)) {
            self.draw_series(&mut pen, &frame, series, label_y);
        }
        pen.finish(&self.title, &self.subtitle, (head_height(&self.subtitle), frame.bottom + BELOW))
    }

    fn frame(&self) -> Frame {
        let top = head_height(&self.subtitle) + if self.y.names_count().is_some() { 4.0 } else { 24.0 };
        let labels = self.series.iter().filter(|series| series.is_labelled).count();
        let names = self.y.names_count().map(|count| count as f64 * NAME_GAP);
        let longest = self.y.ticks().iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0);
        let beside = (longest as f64 * NAME_LETTER + 12.0).clamp(58.0, WIDTH / 2.0);
        let right = WIDTH - if labels > 0 { RIGHT_OF_LABELS } else { 20.0 };
        let depth = names.unwrap_or(DEPTH.max(LABEL * 1.3 * labels as f64));
        Frame { left: if names.is_some() { beside } else { 58.0 }, right, top, bottom: top + depth }
    }

    fn draw_grid(&self, pen: &mut Pen, frame: &Frame) {
        pen.open_colour("grid", Colour::Grey, " opacity=\"0.22\"");
        for (value, _) in self.y.ticks() {
            let y = frame.y(&self.y, *value);
            pen.line(&[(frame.left, y), (frame.right, y)], 1.0, "");
        }
        for (value, _) in self.x.ticks().iter().filter(|_| self.x.is_amounts()) {
            let x = frame.x(&self.x, *value);
            pen.line(&[(x, frame.top), (x, frame.bottom)], 1.0, "");
        }
        pen.close();
        pen.open_colour("axis", Colour::Grey, "");
        for (value, label) in self.y.ticks() {
            let at = (frame.left - 8.0, frame.y(&self.y, *value) + 4.0);
            pen.text(&escape::visible(label), at, LABEL, Anchor::End);
        }
        for (value, label) in self.x.ticks().iter().filter(|(value, _)| self.x.holds(*value)) {
            let x = frame.x(&self.x, *value);
            pen.line(&[(x, frame.bottom), (x, frame.bottom + 4.0)], 1.0, "");
            pen.text(label, (x, frame.bottom + 18.0), LABEL, Anchor::Middle);
        }
        pen.line(&[(frame.left, frame.bottom), (frame.right, frame.bottom)], 1.0, "");
        self.draw_break(pen, frame);
        pen.text(
            &self.x.title,
            ((frame.left + frame.right) / 2.0, frame.bottom + 38.0),
            LABEL,
            Anchor::Middle,
        );
        if self.y.names_count().is_none() {
            pen.text(&self.y.title, (12.0, frame.top - 14.0), LABEL, Anchor::Start);
        }
        pen.close();
    }

    /// Two strokes where the axis changes from linear to logarithmic.
    fn draw_break(&self, pen: &mut Pen, frame: &Frame) {
        let Some(position) = self.x.break_position() else { return };
        let x = frame.left + (frame.right - frame.left) * position / 2.0;
        for shift in [-3.0, 3.0] {
            let stroke = [(x + shift - 2.5, frame.bottom + 5.0), (x + shift + 2.5, frame.bottom - 5.0)];
            pen.line(&stroke, 1.2, "");
        }
    }

    fn draw_guide(&self, pen: &mut Pen, frame: &Frame, guide: &Guide) {
        let inside = guide.points.iter().filter(|(x, y)| self.x.holds(*x) && self.y.holds(*y));
        let pixels: Vec<(f64, f64)> =
            inside.map(|&(x, y)| (frame.x(&self.x, x), frame.y(&self.y, y))).collect();
        let Some(&(x, y)) = pixels.last() else { return };
        pen.open_colour("guide", Colour::Grey, "");
        pen.line(&pixels, 1.0, " stroke-dasharray=\"2 4\" opacity=\"0.75\"");
        let is_high = y < frame.top + 12.0;
        let at = if is_high { (x - 4.0, frame.top - 4.0) } else { (frame.right - 4.0, y - 5.0) };
        pen.text(&guide.label, at, 10.5, if is_high { Anchor::Middle } else { Anchor::End });
        pen.close();
    }

    fn draw_series(&self, pen: &mut Pen, frame: &Frame, series: &Series, label_y: Option<f64>) {
        let name = format!(" data-series=\"{}\"", escape::xml(&series.name));
        pen.open_colour("series", series.colour, &name);
        let pixel = |point: &Point| (frame.x(&self.x, point.x), frame.y(&self.y, point.y));
        let pixels: Vec<(f64, f64)> = series.points.iter().map(pixel).collect();
        self.draw_intervals(pen, frame, series);
        self.draw_line(pen, series, &pixels);
        if series.form != Form::Fit {
            let marks = series.points.iter().zip(&pixels);
            marks.for_each(|(point, at)| pen.mark(*at, &mark(series, point)));
        }
        if let Some(y) = label_y {
            let is_key = series.form == Form::Dust;
            let text_x = frame.right + if is_key { 20.0 } else { 9.0 };
            if is_key {
                pen.mark(
                    (frame.right + 11.0, y - 4.0),
                    &Mark { says: String::new(), ..mark(series, &Point { weight: 1.0, ..Point::default() }) },
                );
            }
            pen.text(&shortened(&series.name), (text_x, y), LABEL, Anchor::Start);
        }
        pen.close();
    }

    /// A band for a solid line, bars for the others and where the axis is not logarithmic.
    fn draw_intervals(&self, pen: &mut Pen, frame: &Frame, series: &Series) {
        let ends = |point: &Point| {
            let (low, high) = point.range?;
            let x = frame.x(&self.x, point.x);
            Some(((x, frame.y(&self.y, high)), (x, frame.y(&self.y, low))))
        };
        let first = if series.form == Form::Line { self.near_zero(series) } else { series.points.len() };
        let (barred, banded) = series.points.split_at(first);
        let barred = if banded.len() == 1 { &series.points } else { barred };
        let faint = if series.form == Form::Dashed { " opacity=\"0.3\"" } else { " opacity=\"0.55\"" };
        for (high, low) in barred.iter().filter_map(ends) {
            pen.line(&[high, low], 1.2, faint);
        }
        let upper = banded.iter().filter_map(ends).map(|(high, _)| high);
        let lower = banded.iter().rev().filter_map(ends).map(|(_, low)| low);
        pen.area(&upper.chain(lower).collect::<Vec<_>>(), 0.12);
    }

    /// The line, faint where it crosses the break of the axis and its slope means nothing.
    fn draw_line(&self, pen: &mut Pen, series: &Series, pixels: &[(f64, f64)]) {
        let first = self.near_zero(series);
        match series.form {
            Form::Line | Form::Dashed => {
                if series.form == Form::Line {
                    pen.line(&pixels[..pixels.len().min(first + 1)], 1.2, " opacity=\"0.4\"");
                }
                let dash = if series.form == Form::Dashed { " stroke-dasharray=\"5 4\"" } else { "" };
                pen.line(&pixels[first..], 2.0, dash);
            }
            Form::Fit => pen.line(pixels, 1.4, " stroke-dasharray=\"1 4\" stroke-linecap=\"round\""),
            Form::Steps => {
                let corner = |pair: &[(f64, f64)]| [pair[0], (pair[1].0, pair[0].1)];
                let corners = pixels.windows(2).flat_map(corner).chain(pixels.last().copied());
                pen.line(&corners.collect::<Vec<_>>(), 1.8, "");
            }
            Form::Dots | Form::Dust => {}
        }
    }

    /// How many points lie left of the logarithm's beginning.
    fn near_zero(&self, series: &Series) -> usize {
        let Some(end) = self.x.break_position() else { return 0 };
        series.points.partition_point(|point| self.x.position(point.x) < end)
    }

    /// Heights of names: beside the ends of lines, or from the top where there are only points.
    fn label_heights(&self, frame: &Frame) -> Vec<Option<f64>> {
        let wanted = |(at, series): (usize, &Series)| match (series.form, series.points.last()) {
            (Form::Dust | Form::Dots, _) | (_, None) => frame.top + LABEL * 1.5 * at as f64,
            (_, Some(point)) => frame.y(&self.y, point.y),
        };
        let named = |series: &&Series| series.is_labelled;
        let wanted: Vec<f64> = self.series.iter().filter(named).enumerate().map(wanted).collect();
        let mut placed = spread(&wanted, LABEL * 1.3, frame.top + 4.0, frame.bottom).into_iter();
        let mut height =
            |series: &Series| if series.is_labelled { placed.next().map(|y| y + 4.0) } else { None };
        self.series.iter().map(&mut height).collect()
    }
}

impl Frame {
    fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + (self.right - self.left) * axis.position(value)
    }

    fn y(&self, axis: &Axis, value: f64) -> f64 {
        let position = axis.position(value).clamp(0.0, 1.0);
        self.bottom - (self.bottom - self.top) * position
    }
}

fn mark(series: &Series, point: &Point) -> Mark {
    let size = match series.form {
        Form::Dust => 2.4,
        Form::Dots => 4.2,
        _ => 3.6,
    };
    let is_hollow = series.form == Form::Dashed || point.is_hollow;
    let opacity = if series.form == Form::Dust { 0.28 + 0.72 * point.weight.clamp(0.0, 1.0) } else { 1.0 };
    Mark { shape: series.shape, size, is_hollow, opacity, says: point.says.clone() }
}

/// A name that fits beside the chart: its head and its tail, which tells names of a family apart.
fn shortened(name: &str) -> String {
    let name = escape::visible(name);
    let count = name.chars().count();
    if count <= LONGEST_LABEL {
        return name;
    }
    let (head, tail) = (LONGEST_LABEL - 7, 6);
    name.chars().take(head).chain(['…']).chain(name.chars().skip(count - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<Point>) -> Chart {
        let x = Axis::counts("tokens", points.iter().map(|p| p.x));
        let y = Axis::share("accuracy", points.iter().map(|p| p.y));
        let series = Series::new("a model", Colour::Model(0), 0, Form::Line, points).into_iter().collect();
        Chart { title: "t".into(), subtitle: String::new(), x, y, guides: vec![], series }
    }

    fn point(x: f64, y: f64) -> Point {
        Point {
            x,
            y,
            range: Some((y - 0.1, y + 0.1)),
            weight: 1.0,
            says: format!("at {x}"),
            ..Point::default()
        }
    }

    #[test]
    fn a_line_has_a_band_its_name_and_what_each_point_says() {
        let svg = chart(vec![point(16.0, 0.2), point(64.0, 0.5)]).draw().file();
        assert!(svg.contains("class=\"band\"") && svg.contains(">a model</text>"));
        assert!(svg.contains("<title>at 16</title>") && svg.contains("<title>at 64</title>"));
    }

    #[test]
    fn numbers_that_are_none_are_not_drawn() {
        let svg = chart(vec![point(f64::NAN, 0.2), point(64.0, 0.5)]).draw().file();
        assert!(!svg.contains("NaN") && svg.contains("at 64"));
    }

    #[test]
    fn a_long_name_keeps_both_of_its_ends() {
        assert_eq!(shortened("deepseek-r1-distill-qwen-1.5b"), "deepseek…n-1.5b");
    }
}
