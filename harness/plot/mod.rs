//! Charts: described once, drawn by Apache ECharts, in a page by the browser and for files by the same script within this
//! program.
//!
//! A [`Picture`] says what is shown, in places along its axes; `charts.js` says how it looks and gives it to ECharts.
//! [`svg()`] runs both without a browser, and [`png()`] draws the result with a font of its own. Colours are told apart by
//! nearly everyone, and every line has its own marker, so that a black-and-white print can be read.

mod axis;
pub mod chart;
mod colour;
pub mod heat;
mod png;
mod svg;

pub use axis::Axis;
pub use colour::Colour;
pub use png::png;
pub use svg::svg;

use chart::Chart;
use heat::Heat;

/// ECharts, as `scripts/echarts.sh` builds it of the parts that are used.
pub(crate) const ECHARTS: &str = include_str!("echarts/echarts.js");
/// From a description to the options of ECharts.
pub(crate) const CHARTS: &str = include_str!("charts.js");

/// What a picture shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// Lines and points.
    Chart(Chart),
    /// A grid of tiles.
    Heat(Heat),
}

impl Picture {
    /// What it shows.
    pub fn title(&self) -> &str {
        match self {
            Self::Chart(chart) => &chart.title,
            Self::Heat(heat) => &heat.title,
        }
    }

    /// How to read it.
    pub fn subtitle(&self) -> &str {
        match self {
            Self::Chart(chart) => &chart.subtitle,
            Self::Heat(heat) => &heat.subtitle,
        }
    }

    /// What the script is given.
    pub fn description(&self) -> serde_json::Value {
        match self {
            Self::Chart(chart) => chart.description(),
            Self::Heat(heat) => heat.description(),
        }
    }
}

impl From<Chart> for Picture {
    fn from(chart: Chart) -> Self {
        Self::Chart(chart)
    }
}

impl From<Heat> for Picture {
    fn from(heat: Heat) -> Self {
        Self::Heat(heat)
    }
}

/// Why a picture cannot be drawn. The text is written for the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlotError {
    /// The script or the renderer refused.
    #[error("drawing failed: {0}")]
    Drawing(String),
}
