//! Colours that survive colour blindness, print and a dark page.
//!
//! A drawing names a colour by its class (`c0`, `r3`) and carries the one for white paper; a page's style sheet may
//! put another in its place.

/// Okabe and Ito (2008) without yellow, which white paper swallows.
const MODELS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#b8578d", "#b87b00", "#3a9fd8", "#4a4a4a"];

/// Steps of viridis from dark to bright, without its yellow end.
const RANKS: [&str; 8] =
    ["#440154", "#463480", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#7fbc33", "#a5bf1a"];

/// A colour by what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Of a model, by its place; the eighth begins anew, with another marker.
    Model(usize),
    /// The `at`-th of so many ordered lines.
    Rank(usize, usize),
    /// Of text.
    Ink,
    /// Of what stands back.
    Grey,
    /// Of an amount, by its opacity.
    Heat,
}

impl Colour {
    /// The class, for style sheets.
    pub(super) fn class(self) -> String {
        match self {
            Self::Model(at) => format!("c{}", at % MODELS.len()),
            Self::Rank(at, count) => format!("r{}", rank(at, count)),
            Self::Ink => "ink".into(),
            Self::Grey => "grey".into(),
            Self::Heat => "heat".into(),
        }
    }

    /// The colour on white paper.
    pub(super) fn on_paper(self) -> &'static str {
        match self {
            Self::Model(at) => MODELS[at % MODELS.len()],
            Self::Rank(at, count) => RANKS[rank(at, count)],
            Self::Ink => "#1f2328",
            Self::Grey => "#6a7077",
            Self::Heat => "#0b5c8f",
        }
    }
}

fn rank(at: usize, count: usize) -> usize {
    let last = RANKS.len() - 1;
    (at * last).checked_div(count.saturating_sub(1)).unwrap_or(0).min(last)
}
