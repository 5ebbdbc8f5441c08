//! Colours that survive colour blindness and print.

use plotters::style::RGBColor;

/// Okabe and Ito (2008) without yellow, which white paper swallows.
const MODELS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];

/// Five colours of viridis from dark to bright, without its yellow end.
const RANKS: [RGBColor; 5] = [
    RGBColor(68, 1, 84),
    RGBColor(59, 82, 139),
    RGBColor(33, 145, 140),
    RGBColor(74, 183, 92),
    RGBColor(160, 205, 40),
];

/// The colour of a model by its place; the eighth begins anew, with another marker.
pub(super) fn of_model(at: usize) -> RGBColor {
    MODELS[at % MODELS.len()]
}

/// The colour of the `at`-th of `count` ordered lines.
pub(super) fn of_rank(at: usize, count: usize) -> RGBColor {
    let place = at as f64 * (RANKS.len() - 1) as f64 / count.saturating_sub(1).max(1) as f64;
    let below = (place as usize).min(RANKS.len() - 2);
    let (dark, bright, share) = (RANKS[below], RANKS[below + 1], (place - below as f64).clamp(0.0, 1.0));
    let mix = |dark: u8, bright: u8| {
        (f64::from(dark) + share * (f64::from(bright) - f64::from(dark))).round() as u8
    };
    RGBColor(mix(dark.0, bright.0), mix(dark.1, bright.1), mix(dark.2, bright.2))
}
