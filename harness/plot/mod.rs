//! Charts: described once, drawn as SVG for pages and papers and as PNG for both.
//!
//! A [`chart::Chart`] or [`heat::Heat`] says what is shown; drawing decides where. Colours are told apart by nearly
//! everyone; every line has its own marker and is named where it ends, so that a black-and-white print can be read.
//! A drawing has no script; what a point stands for is its `<title>`, which a page may show better.

mod axis;
pub mod chart;
mod drawing;
pub mod heat;
mod labels;
mod palette;
mod png;

pub use axis::Axis;
pub use drawing::Drawing;
pub use palette::Colour;
pub use png::png;

/// Why a picture cannot be drawn. The text is written for the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlotError {
    /// The renderer refused.
    #[error("drawing failed: {0}")]
    Drawing(String),
}
