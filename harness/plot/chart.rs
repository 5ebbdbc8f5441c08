//! Lines and points between two axes, with intervals and reference lines.

use serde::Serialize;
use serde_json::{Value, json};

use super::axis::{Axis, rounded};
use super::colour::Colour;
use crate::escape;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// The points.
    pub points: Vec<Point>,
}

impl Series {
    /// Points from left to right, those without a place left out; absent without points.
    pub fn new(name: &str, colour: Colour, shape: usize, form: Form, points: Vec<Point>) -> Option<Self> {
        let mut points = points;
        points.retain(|point| point.x.is_finite() && point.y.is_finite());
        points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
        (!points.is_empty()).then(|| Self { name: name.into(), colour, shape, form, points })
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

impl Chart {
    /// The chart as the script reads it: places from 0 to 1 along each axis.
    pub(super) fn description(&self) -> Value {
        json!({
            "kind": "chart",
            "title": escape::visible(&self.title),
            "subtitle": escape::visible(&self.subtitle),
            "x": self.x.description(),
            "y": self.y.description(),
            "guides": self.guides.iter().filter_map(|guide| self.guide(guide)).collect::<Vec<_>>(),
            "series": self.series.iter().map(|series| self.series(series)).collect::<Vec<_>>(),
        })
    }

    fn guide(&self, guide: &Guide) -> Option<Value> {
        let inside = guide.points.iter().filter(|(x, y)| self.x.holds(*x) && self.y.holds(*y));
        let points: Vec<[f64; 2]> = inside.map(|&(x, y)| [self.x.place(x), self.y.place(y)]).collect();
        (points.len() > 1).then(|| json!({ "label": guide.label, "points": points }))
    }

    fn series(&self, series: &Series) -> Value {
        json!({
            "name": escape::visible(&series.name),
            "colour": series.colour.name(),
            "shape": series.shape,
            "form": series.form,
            "points": series.points.iter().map(|point| self.placed(point)).collect::<Vec<_>>(),
        })
    }

    fn placed(&self, point: &Point) -> Placed {
        Placed {
            at: [self.x.place(point.x), self.y.place(point.y)],
            range: point.range.map(|(low, high)| [self.y.place(low), self.y.place(high)]),
            hollow: point.is_hollow,
            weight: rounded(point.weight.clamp(0.0, 1.0)),
            says: escape::visible_lines(&point.says),
        }
    }
}

/// A point between the axes.
#[derive(Serialize)]
struct Placed {
    at: [f64; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hollow: bool,
    weight: f64,
    #[serde(skip_serializing_if = "String::is_empty")]
    says: String,
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
        Point { x, y, range: Some((y - 0.1, y + 0.1)), says: format!("at {x}"), ..Point::default() }
    }

    #[test]
    fn a_point_lies_between_its_axes_with_its_interval_and_what_it_says() {
        let description = chart(vec![point(16.0, 0.2), point(64.0, 0.5)]).description();
        let first = &description["series"][0]["points"][0];
        assert_eq!(first["at"], json!([0.0, 0.4]));
        assert_eq!(first["range"], json!([0.2, 0.6]));
        assert_eq!(first["says"], "at 16");
    }

    #[test]
    fn numbers_that_are_none_are_not_drawn() {
        let description = chart(vec![point(f64::NAN, 0.2), point(64.0, 0.5)]).description();
        assert_eq!(description["series"][0]["points"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn an_interval_that_leaves_the_chart_ends_at_its_edge() {
        let description = chart(vec![point(16.0, 0.0), point(64.0, 0.5)]).description();
        assert_eq!(description["series"][0]["points"][0]["range"][0], 0.0);
    }
}
