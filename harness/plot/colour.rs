//! Colours by what they stand for; the script has them for white paper and for a dark page.

/// How many colours models have before they begin anew, with another marker.
const MODELS: usize = 7;
/// How many colours ordered lines have.
const RANKS: usize = 8;

/// A colour by what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Of a model, by its place.
    Model(usize),
    /// The `at`-th of so many ordered lines.
    Rank(usize, usize),
    /// Of text.
    Ink,
    /// Of what stands back.
    Grey,
}

impl Colour {
    /// Its name in the script.
    pub(super) fn name(self) -> String {
        match self {
            Self::Model(at) => format!("model{}", at % MODELS),
            Self::Rank(at, count) => format!("rank{}", rank(at, count)),
            Self::Ink => "ink".into(),
            Self::Grey => "grey".into(),
        }
    }
}

fn rank(at: usize, count: usize) -> usize {
    let last = RANKS - 1;
    (at * last).checked_div(count.saturating_sub(1)).unwrap_or(0).min(last)
}
