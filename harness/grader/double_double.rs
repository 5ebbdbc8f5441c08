//! Real numbers of about 31 decimal digits.
//!
//! Two closed forms such as `\sqrt{7+4\sqrt3}` and `2+\sqrt3` are compared by their values. With plain `f64`
//! (16 digits) near misses pass for equal and honest rewritings fail; the unevaluated sum of two `f64`, known
//! as double-double arithmetic, gives 106 bits for the price of a few dozen machine operations and no
//! dependency. Contract: every function is total; what is undefined or overflows becomes NaN or infinity,
//! and `is_finite` tells.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The unevaluated sum `hi + lo`, with `|lo|` at most half a unit in the last place of `hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dd {
    /// The leading part, which is also the nearest `f64`.
    pub(crate) hi: f64,
    /// The trailing part.
    pub(crate) lo: f64,
}

fn two_sum(a: f64, b: f64) -> Dd {
    let s = a + b;
    let v = s - a;
    Dd { hi: s, lo: (a - (s - v)) + (b - v) }
}

fn quick_two_sum(a: f64, b: f64) -> Dd {
    let s = a + b;
    Dd { hi: s, lo: b - (s - a) }
}

fn split(a: f64) -> (f64, f64) {
    let t = 134_217_729.0 * a;
    let hi = t - (t - a);
    (hi, a - hi)
}

fn two_prod(a: f64, b: f64) -> Dd {
    let p = a * b;
    let ((ah, al), (bh, bl)) = (split(a), split(b));
    Dd { hi: p, lo: ((ah * bh - p) + ah * bl + al * bh) + al * bl }
}

impl Add for Dd {
    type Output = Dd;
    fn add(self, other: Dd) -> Dd {
        let s = two_sum(self.hi, other.hi);
        let t = two_sum(self.lo, other.lo);
        let s = quick_two_sum(s.hi, s.lo + t.hi);
        quick_two_sum(s.hi, s.lo + t.lo)
    }
}

impl Neg for Dd {
    type Output = Dd;
    fn neg(self) -> Dd {
        Dd { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Dd {
    type Output = Dd;
    fn sub(self, other: Dd) -> Dd {
        self + -other
    }
}

impl Mul for Dd {
    type Output = Dd;
    fn mul(self, other: Dd) -> Dd {
        let p = two_prod(self.hi, other.hi);
        quick_two_sum(p.hi, p.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Div for Dd {
    type Output = Dd;
    fn div(self, other: Dd) -> Dd {
        let q1 = self.hi / other.hi;
        let r = self - other * Dd::from(q1);
        let q2 = r.hi / other.hi;
        let r = r - other * Dd::from(q2);
        let q3 = r.hi / other.hi;
        quick_two_sum(q1, q2) + Dd::from(q3)
    }
}

impl From<f64> for Dd {
    fn from(hi: f64) -> Dd {
        Dd { hi, lo: 0.0 }
    }
}

impl Dd {
    pub(crate) const ZERO: Dd = Dd { hi: 0.0, lo: 0.0 };
    pub(crate) const ONE: Dd = Dd { hi: 1.0, lo: 0.0 };
    pub(crate) const PI: Dd = Dd { hi: std::f64::consts::PI, lo: 1.224_646_799_147_353_2e-16 };
    pub(crate) const E: Dd = Dd { hi: std::f64::consts::E, lo: 1.445_646_891_729_250_2e-16 };
    pub(crate) const LN_2: Dd = Dd { hi: std::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };

    pub(crate) fn is_finite(self) -> bool {
        self.hi.is_finite() && self.lo.is_finite()
    }

    pub(crate) fn is_zero(self) -> bool {
        self.hi == 0.0
    }

    pub(crate) fn abs(self) -> Dd {
        if self.hi < 0.0 { -self } else { self }
    }

    fn scale(self, factor: f64) -> Dd {
        Dd { hi: self.hi * factor, lo: self.lo * factor }
    }

    pub(crate) fn floor(self) -> Dd {
        let hi = self.hi.floor();
        if hi == self.hi { quick_two_sum(hi, self.lo.floor()) } else { Dd::from(hi) }
    }

    pub(crate) fn sqrt(self) -> Dd {
        if self.hi <= 0.0 {
            return if self.hi == 0.0 { Dd::ZERO } else { Dd::from(f64::NAN) };
        }
        // One Newton step from the f64 root doubles its correct digits.
        let y = Dd::from(self.hi.sqrt());
        let y = y + (self - y * y) / y.scale(2.0);
        y + (self - y * y) / y.scale(2.0)
    }

    pub(crate) fn exp(self) -> Dd {
        if !self.is_finite() || self.hi > 700.0 {
            return Dd::from(if self.hi.is_nan() { f64::NAN } else { self.hi.exp() });
        }
        if self.hi < -700.0 {
            return Dd::ZERO;
        }
        let k = (self.hi / std::f64::consts::LN_2).round();
        let r = (self - Dd::LN_2 * Dd::from(k)).scale(1.0 / 512.0);
        let (mut term, mut sum) = (r, r);
        for n in 2..12 {
            term = term * r / Dd::from(f64::from(n));
            sum = sum + term;
        }
        for _ in 0..9 {
            sum = sum.scale(2.0) + sum * sum;
        }
        (sum + Dd::ONE).scale(2f64.powi(k as i32))
    }

    pub(crate) fn ln(self) -> Dd {
        if self.hi <= 0.0 || !self.is_finite() {
            return Dd::from(f64::NAN);
        }
        let y = Dd::from(self.hi.ln());
        let y = y + self * (-y).exp() - Dd::ONE;
        y + self * (-y).exp() - Dd::ONE
    }

    /// Sine and cosine; NaN where the argument is too large to be reduced exactly enough.
    pub(crate) fn sin_cos(self) -> (Dd, Dd) {
        if !self.is_finite() || self.hi.abs() > 1e6 {
            return (Dd::from(f64::NAN), Dd::from(f64::NAN));
        }
        let half_pi = Dd::PI.scale(0.5);
        let n = (self.hi / half_pi.hi).round();
        let r = self - half_pi * Dd::from(n);
        let (s, c) = (series(r, 1), series(r, 0));
        match (n as i64).rem_euclid(4) {
            0 => (s, c),
            1 => (c, -s),
            2 => (-s, -c),
            _ => (-c, s),
        }
    }

    /// The angle of the point `(x, self)`.
    pub(crate) fn atan2(self, x: Dd) -> Dd {
        if self.is_zero() {
            return if x.hi < 0.0 { Dd::PI } else { Dd::ZERO };
        }
        if x.is_zero() {
            return if self.hi > 0.0 { Dd::PI.scale(0.5) } else { Dd::PI.scale(-0.5) };
        }
        let angle = Dd::from(self.hi.atan2(x.hi));
        let (s, c) = angle.sin_cos();
        let radius = (x * x + self * self).sqrt();
        angle + (self * c - x * s) / radius
    }
}

/// The Taylor series of sine (`first` = 1) or cosine (`first` = 0) on `|r| <= pi/4`.
fn series(r: Dd, first: u32) -> Dd {
    let square = r * r;
    let mut term = if first == 1 { r } else { Dd::ONE };
    let mut sum = term;
    let mut n = first;
    while n < 28 {
        term = -(term * square / Dd::from(f64::from((n + 1) * (n + 2))));
        sum = sum + term;
        n += 2;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Dd, b: Dd) -> bool {
        (a - b).abs().hi <= 1e-29 * b.abs().hi.max(1e-3)
    }

    #[test]
    fn functions_and_their_inverses_agree_to_twenty_nine_digits() {
        for x in [0.1, 0.7, 1.0, 2.5, 13.0] {
            let x = Dd::from(x) / Dd::from(3.0);
            assert!(close(x.exp().ln(), x));
            assert!(close(x.sqrt() * x.sqrt(), x));
            let (s, c) = x.sin_cos();
            assert!(close(s * s + c * c, Dd::ONE));
        }
        let sixth = Dd::PI / Dd::from(6.0);
        assert!(close(sixth.sin_cos().0, Dd::from(0.5)));
        assert!(close(Dd::ONE.atan2(Dd::ONE), Dd::PI / Dd::from(4.0)));
        assert!(close(Dd::ONE.exp(), Dd::E));
    }
}
