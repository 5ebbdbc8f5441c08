//! Drawing: a white card with a title, axes, lines with intervals, and a name at the end of each line.
//!
//! Everything is drawn at twice the displayed size, since the drawing library knows whole pixels only.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, PathElement, Polygon, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, ShapeStyle, WHITE};

use super::PlotError;
use super::axis::Axis;
use super::labels::spread;
use crate::escape;

const WIDTH: i32 = 1640;
const LEFT: i32 = 130;
const RIGHT: i32 = 1180;
const TOP: i32 = 150;
const LEAST_DEPTH: i32 = 720;
const BELOW: i32 = 140;
const LABEL_GAP: i32 = 36;
const LONGEST_LABEL: usize = 34;
const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(110, 110, 110);
const GRID: RGBColor = RGBColor(228, 228, 228);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Pixel = (i32, i32);

/// A point with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) is_reliable: bool,
}

impl Point {
    /// Whether all numbers are finite and the axis has a place for x.
    pub(super) fn is_drawable(&self) -> bool {
        [self.x, self.y, self.low, self.high].iter().all(|number| number.is_finite()) && self.x >= 0.0
    }
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    name: String,
    color: RGBColor,
    marker: usize,
    is_dashed: bool,
    pub(super) points: Vec<Point>,
}

impl Series {
    /// A line from left to right; absent without points.
    pub(super) fn new(
        name: &str,
        color: RGBColor,
        marker: usize,
        is_dashed: bool,
        mut points: Vec<Point>,
    ) -> Option<Self> {
        points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
        (!points.is_empty()).then(|| Self { name: label(name), color, marker, is_dashed, points })
    }
}

/// All that a picture shows; the vertical axis is accuracy from 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) x_title: String,
    pub(super) x: Axis,
    pub(super) series: Vec<Series>,
}

impl Picture {
    /// The picture as a self-contained SVG document.
    pub(super) fn svg(&self) -> Result<String, PlotError> {
        let mut text = String::new();
        let height = TOP + self.depth() + BELOW;
        {
            let area = SVGBackend::with_string(&mut text, (WIDTH as u32, height as u32)).into_drawing_area();
            self.draw(&area).and_then(|()| area.present().map_err(failed))?;
        }
        Ok(self.finished(&text, height))
    }

    fn draw(&self, area: &Area) -> Result<(), PlotError> {
        area.fill(&WHITE).map_err(failed)?;
        self.draw_frame(area)?;
        for series in &self.series {
            self.draw_interval(area, series)?;
        }
        for series in &self.series {
            self.draw_line(area, series)?;
        }
        self.draw_labels(area)
    }

    fn draw_frame(&self, area: &Area) -> Result<(), PlotError> {
        let bottom = TOP + self.depth();
        write(area, &escape::visible(&self.title), (LEFT - 90, 34), 36.0, INK, HPos::Left, VPos::Top)?;
        write(area, &escape::visible(&self.subtitle), (LEFT - 90, 86), 25.0, GREY, HPos::Left, VPos::Top)?;
        write(area, &self.x_title, ((LEFT + RIGHT) / 2, bottom + 74), 27.0, INK, HPos::Center, VPos::Top)?;
        for step in 0..=self.steps() {
            let y = self.y_pixel(f64::from(step) * 0.1);
            line(area, &[(LEFT, y), (RIGHT, y)], GRID.stroke_width(2))?;
            write(
                area,
                &format!("0.{step}").replace("0.10", "1.0"),
                (LEFT - 14, y),
                25.0,
                INK,
                HPos::Right,
                VPos::Center,
            )?;
        }
        for tick in self.x.ticks() {
            let x = self.x_pixel(tick);
            line(area, &[(x, bottom), (x, bottom + 10)], INK.stroke_width(2))?;
            write(area, &tick.to_string(), (x, bottom + 22), 25.0, INK, HPos::Center, VPos::Top)?;
        }
        line(area, &[(LEFT, bottom), (RIGHT, bottom)], INK.stroke_width(2))?;
        self.draw_break(area, bottom)?;
        upright(area, "accuracy", (38, (TOP + bottom) / 2))
    }

    /// Two strokes where the axis changes from linear to logarithmic.
    fn draw_break(&self, area: &Area, bottom: i32) -> Result<(), PlotError> {
        let Some(position) = self.x.break_position() else { return Ok(()) };
        let x = LEFT + (f64::from(RIGHT - LEFT) * position / 2.0).round() as i32;
        line(area, &[(x - 5, bottom), (x + 5, bottom)], WHITE.stroke_width(6))?;
        for shift in [-6, 6] {
            line(area, &[(x + shift - 5, bottom + 10), (x + shift + 5, bottom - 10)], INK.stroke_width(2))?;
        }
        Ok(())
    }

    /// A band for a solid line, bars for a dashed one and where the axis is not logarithmic.
    fn draw_interval(&self, area: &Area, series: &Series) -> Result<(), PlotError> {
        let ends = |point: &Point| {
            let x = self.x_pixel(point.x);
            [(x, self.y_pixel(point.high)), (x, self.y_pixel(point.low))]
        };
        let first = if series.is_dashed { series.points.len() } else { self.near_zero(series) };
        let (barred, banded) = series.points.split_at(first);
        let barred = if banded.len() == 1 { &series.points } else { barred };
        for point in barred {
            line(area, &ends(point), series.color.mix(0.55).stroke_width(2))?;
        }
        let upper = banded.iter().map(|point| ends(point)[0]);
        let lower = banded.iter().rev().map(|point| ends(point)[1]);
        let outline: Vec<Pixel> = upper.chain(lower).collect();
        area.draw(&Polygon::new(outline, series.color.mix(0.13).filled())).map_err(failed)
    }

    /// The line, faint where it crosses the break of the axis and its slope means nothing.
    fn draw_line(&self, area: &Area, series: &Series) -> Result<(), PlotError> {
        let pixel = |point: &Point| (self.x_pixel(point.x), self.y_pixel(point.y));
        let pixels: Vec<Pixel> = series.points.iter().map(pixel).collect();
        let first = self.near_zero(series);
        line(area, &pixels[..pixels.len().min(first + 1)], series.color.mix(0.4).stroke_width(2))?;
        stroke(area, &pixels[first..], series)?;
        let marks = series.points.iter().zip(&pixels);
        marks.into_iter().try_for_each(|(point, &pixel)| marker(area, pixel, series, !point.is_reliable))
    }

    /// How many points lie left of the logarithm's beginning.
    fn near_zero(&self, series: &Series) -> usize {
        let Some(end) = self.x.break_position() else { return 0 };
        series.points.partition_point(|point| self.x.position(point.x) < end)
    }

    fn draw_labels(&self, area: &Area) -> Result<(), PlotError> {
        let end =
            |series: &Series| series.points.last().map_or(0.0, |point| f64::from(self.y_pixel(point.y)));
        let wanted: Vec<f64> = self.series.iter().map(end).collect();
        let (gap, low, high) = (f64::from(LABEL_GAP), f64::from(TOP), f64::from(TOP + self.depth()));
        for (series, y) in self.series.iter().zip(spread(&wanted, gap, low, high)) {
            let y = y.round() as i32;
            stroke(area, &[(RIGHT + 24, y), (RIGHT + 84, y)], series)?;
            marker(area, (RIGHT + 54, y), series, false)?;
            write(area, &series.name, (RIGHT + 98, y), 25.0, INK, HPos::Left, VPos::Center)?;
        }
        Ok(())
    }

    /// Pixels between the axes: enough for every label.
    fn depth(&self) -> i32 {
        LEAST_DEPTH.max(LABEL_GAP * i32::try_from(self.series.len()).unwrap_or(0))
    }

    /// Tenths of accuracy up to the top of the axis.
    fn steps(&self) -> i32 {
        let highs =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.high.max(point.y)));
        ((highs.fold(0.0, f64::max) * 10.0 - 1e-9).ceil() as i32).clamp(1, 10)
    }

    fn x_pixel(&self, value: f64) -> i32 {
        LEFT + (f64::from(RIGHT - LEFT) * self.x.position(value)).round() as i32
    }

    fn y_pixel(&self, accuracy: f64) -> i32 {
        let share = accuracy * 10.0 / f64::from(self.steps());
        TOP + (f64::from(self.depth()) * (1.0 - share)).round() as i32
    }

    /// Half the drawn size, and a title for those who do not see it.
    fn finished(&self, text: &str, height: i32) -> String {
        let drawn = format!("width=\"{WIDTH}\" height=\"{height}\"");
        let shown = format!("width=\"{}\" height=\"{}\" role=\"img\"", WIDTH / 2, height / 2);
        let title = format!(">\n<title>{}</title>\n", escape::xml(&self.title));
        text.replacen(&drawn, &shown, 1).replacen(">\n", &title, 1)
    }
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

/// A name that fits beside the picture.
fn label(name: &str) -> String {
    let name = escape::visible(name);
    if name.chars().count() <= LONGEST_LABEL {
        return name;
    }
    let (head, tail) = (LONGEST_LABEL - 13, 12);
    let skip = name.chars().count() - tail;
    name.chars().take(head).chain(['…']).chain(name.chars().skip(skip)).collect()
}

fn line(area: &Area, pixels: &[Pixel], style: ShapeStyle) -> Result<(), PlotError> {
    area.draw(&PathElement::new(pixels.to_vec(), style)).map_err(failed)
}

fn stroke(area: &Area, pixels: &[Pixel], series: &Series) -> Result<(), PlotError> {
    let style = series.color.stroke_width(4);
    if series.is_dashed {
        return area.draw(&DashedPathElement::new(pixels.to_vec(), 14, 9, style)).map_err(failed);
    }
    line(area, pixels, style)
}

/// Circle, square, triangle or diamond; hollow on dashed lines and where asked.
fn marker(area: &Area, (x, y): Pixel, series: &Series, is_hollow: bool) -> Result<(), PlotError> {
    let corners: Vec<Pixel> = match series.marker % 4 {
        0 => Vec::new(),
        1 => vec![(-8, -8), (8, -8), (8, 8), (-8, 8)],
        2 => vec![(0, -11), (10, 7), (-10, 7)],
        _ => vec![(0, -11), (11, 0), (0, 11), (-11, 0)],
    };
    let inside = if series.is_dashed || is_hollow { WHITE.filled() } else { series.color.filled() };
    let edge = series.color.stroke_width(4);
    if corners.is_empty() {
        area.draw(&Circle::new((x, y), 9, inside)).map_err(failed)?;
        return area.draw(&Circle::new((x, y), 9, edge)).map_err(failed);
    }
    let corners: Vec<Pixel> = corners.into_iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
    let outline = corners.iter().copied().chain(corners.iter().copied().take(2)).collect::<Vec<_>>();
    area.draw(&Polygon::new(corners, inside)).map_err(failed)?;
    line(area, &outline, edge)
}

fn write(
    area: &Area,
    text: &str,
    at: Pixel,
    size: f64,
    color: RGBColor,
    h: HPos,
    v: VPos,
) -> Result<(), PlotError> {
    // The library divides sizes by 1.24.
    let style = ("sans-serif", size * 1.24).into_font().color(&color).pos(Pos::new(h, v));
    area.draw(&Text::new(text, at, style)).map_err(failed)
}

fn upright(area: &Area, text: &str, at: Pixel) -> Result<(), PlotError> {
    let font = ("sans-serif", 27.0 * 1.24).into_font().transform(FontTransform::Rotate270);
    let style = font.color(&INK).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(text, at, style)).map_err(failed)
}
