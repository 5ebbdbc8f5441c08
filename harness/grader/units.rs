//! Units of measure and money, and what one is in terms of another.
//!
//! `5 m` and `500 cm` are one length, `5 m` and `5 cm` are not, and `18 eggs` is 18 whatever an egg is. A unit
//! has a dimension (a short name), a factor to that dimension's base unit, and a power. A noun that is no unit
//! has no dimension and is ignored: graders that compare nouns punish synonyms.

use num_rational::BigRational;
use num_traits::{One, Pow};

/// A unit with its power, such as square centimetres.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit {
    /// Dimension names with powers, sorted; empty for nouns that are no unit.
    pub(crate) dimensions: Vec<(&'static str, i32)>,
    /// The size in base units.
    pub(crate) factor: BigRational,
}

/// name, dimension, factor as numerator and denominator.
type Row = (&'static str, &'static str, i64, i64);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("m", "length", 1, 1), ("meter", "length", 1, 1), ("metre", "length", 1, 1),
    ("cm", "length", 1, 100), ("centimeter", "length", 1, 100), ("centimetre", "length", 1, 100),
    ("mm", "length", 1, 1000), ("millimeter", "length", 1, 1000), ("millimetre", "length", 1, 1000),
    ("km", "length", 1000, 1), ("kilometer", "length", 1000, 1), ("kilometre", "length", 1000, 1),
    ("in", "length", 254, 10000), ("inch", "length", 254, 10000), ("inches", "length", 254, 10000),
    ("ft", "length", 3048, 10000), ("foot", "length", 3048, 10000), ("feet", "length", 3048, 10000),
    ("yd", "length", 9144, 10000), ("yard", "length", 9144, 10000),
    ("mi", "length", 1_609_344, 1000), ("mile", "length", 1_609_344, 1000),
    ("s", "time", 1, 1), ("sec", "time", 1, 1), ("second", "time", 1, 1),
    ("min", "time", 60, 1), ("minute", "time", 60, 1),
    ("h", "time", 3600, 1), ("hr", "time", 3600, 1), ("hour", "time", 3600, 1),
    ("day", "time", 86400, 1), ("week", "time", 604_800, 1),
    ("month", "months", 1, 1), ("year", "months", 12, 1), ("yr", "months", 12, 1),
    ("g", "mass", 1, 1), ("gram", "mass", 1, 1), ("kg", "mass", 1000, 1), ("kilogram", "mass", 1000, 1),
    ("mg", "mass", 1, 1000), ("milligram", "mass", 1, 1000),
    ("lb", "pounds", 1, 1), ("pound", "pounds", 1, 1), ("oz", "pounds", 1, 16), ("ounce", "pounds", 1, 16),
    ("ton", "tons", 1, 1),
    ("l", "volume", 1, 1), ("liter", "volume", 1, 1), ("litre", "volume", 1, 1),
    ("ml", "volume", 1, 1000), ("milliliter", "volume", 1, 1000), ("millilitre", "volume", 1, 1000),
    ("gallon", "gallons", 1, 1), ("gal", "gallons", 1, 1), ("quart", "gallons", 1, 4), ("pint", "gallons", 1, 8),
    ("cup", "gallons", 1, 16),
    ("dollar", "usd", 1, 1), ("usd", "usd", 1, 1), ("buck", "usd", 1, 1), ("cent", "usd", 1, 100),
    ("euro", "eur", 1, 1), ("eur", "eur", 1, 1), ("gbp", "gbp", 1, 1), ("yen", "jpy", 1, 1),
    ("rupee", "inr", 1, 1), ("yuan", "cny", 1, 1),
    ("degree", "angle", 1, 1), ("deg", "angle", 1, 1), ("radian", "radian", 1, 1), ("rad", "radian", 1, 1),
    ("celsius", "temperature_c", 1, 1), ("fahrenheit", "temperature_f", 1, 1),
    ("hz", "frequency", 1, 1), ("joule", "energy", 1, 1), ("kwh", "energy", 3_600_000, 1),
    ("watt", "power", 1, 1), ("acre", "acre", 1, 1),
];

/// Units that are also the names of common variables, so need a number and a space, or `\text`, before them.
const ONE_LETTER: &[&str] = &["m", "s", "h", "g", "l", "L"];

impl Unit {
    /// A noun that is no unit of measure.
    pub(crate) fn noun() -> Unit {
        Unit { dimensions: Vec::new(), factor: BigRational::one() }
    }

    /// The unit of this name, singular or plural.
    pub(crate) fn named(name: &str) -> Option<Unit> {
        if name.len() > 16 {
            return None;
        }
        let lower = name.to_lowercase();
        let singular = lower.strip_suffix('s').unwrap_or(&lower);
        let row = TABLE.iter().find(|r| r.0 == lower).or_else(|| TABLE.iter().find(|r| r.0 == singular))?;
        let factor = BigRational::new(row.2.into(), row.3.into());
        Some(Unit { dimensions: vec![(row.1, 1)], factor })
    }

    /// The currency with this sign.
    pub(crate) fn currency(sign: char) -> Unit {
        let dimension = match sign {
            '€' => "eur",
            '£' => "gbp",
            '¥' => "jpy",
            '₹' => "inr",
            _ => "usd",
        };
        Unit { dimensions: vec![(dimension, 1)], factor: BigRational::one() }
    }

    /// Degrees of an angle.
    pub(crate) fn degree() -> Unit {
        Unit { dimensions: vec![("angle", 1)], factor: BigRational::one() }
    }

    /// Whether this is an angle in degrees.
    pub(crate) fn is_degree(&self) -> bool {
        self.dimensions == [("angle", 1)]
    }

    /// Whether this is a noun without dimension.
    pub(crate) fn is_noun(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// The unit raised to a small power.
    pub(crate) fn power(self, n: i32) -> Unit {
        let n = n.clamp(-6, 6);
        let dimensions = self.dimensions.into_iter().map(|(d, k)| (d, k.saturating_mul(n))).collect();
        Unit { dimensions, factor: Pow::pow(self.factor, n) }
    }

    /// The product of two units.
    pub(crate) fn times(mut self, other: Unit) -> Unit {
        for (dimension, power) in other.dimensions {
            match self.dimensions.iter_mut().find(|d| d.0 == dimension) {
                Some(found) => found.1 = found.1.saturating_add(power),
                None => self.dimensions.push((dimension, power)),
            }
        }
        self.dimensions.retain(|d| d.1 != 0);
        self.dimensions.sort_unstable();
        Unit { dimensions: self.dimensions, factor: self.factor * other.factor }
    }

    /// Whether a bare letter may be this unit after a number and a space.
    pub(crate) fn is_letter(letter: &str) -> bool {
        ONE_LETTER.contains(&letter)
    }
}
