//! Complex numbers over [`Dd`], so that `6-5i`, `\sqrt{-4}` and `e^{i\pi}` have values.
//!
//! Contract: a result with an exactly zero imaginary part is a real number; functions of real arguments keep
//! it exactly zero where they can. Everything is total: the undefined is not finite.

use super::double_double::Dd;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `re + im i`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Complex {
    /// The real part.
    pub(crate) re: Dd,
    /// The imaginary part.
    pub(crate) im: Dd,
}

impl Complex {
    pub(crate) const ONE: Complex = Complex { re: Dd::ONE, im: Dd::ZERO };
    pub(crate) const I: Complex = Complex { re: Dd::ZERO, im: Dd::ONE };
    pub(crate) const UNDEFINED: Complex = Complex { re: Dd { hi: f64::NAN, lo: 0.0 }, im: Dd::ZERO };

    pub(crate) fn real(re: Dd) -> Complex {
        Complex { re, im: Dd::ZERO }
    }

    pub(crate) fn is_real(self) -> bool {
        self.im.is_zero()
    }

    pub(crate) fn is_finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }

    pub(crate) fn is_zero(self) -> bool {
        self.re.is_zero() && self.im.is_zero()
    }

    pub(crate) fn abs(self) -> Dd {
        if self.is_real() { self.re.abs() } else { (self.re * self.re + self.im * self.im).sqrt() }
    }

    pub(crate) fn exp(self) -> Complex {
        let size = self.re.exp();
        if self.is_real() {
            return Complex::real(size);
        }
        let (s, c) = self.im.sin_cos();
        Complex { re: size * c, im: size * s }
    }

    /// The principal logarithm; undefined at zero.
    pub(crate) fn ln(self) -> Complex {
        if self.is_zero() {
            return Complex::UNDEFINED;
        }
        Complex { re: self.abs().ln(), im: self.im.atan2(self.re) }
    }

    pub(crate) fn sqrt(self) -> Complex {
        if self.is_real() {
            let root = Complex::real(self.re.abs().sqrt());
            return if self.re.hi < 0.0 { root * Complex::I } else { root };
        }
        (self.ln() * Complex::real(Dd::from(0.5))).exp()
    }

    /// The principal power.
    pub(crate) fn pow(self, exponent: Complex) -> Complex {
        match small_integer(exponent) {
            Some(n) if n >= 0 => self.power_of(n as u32),
            Some(n) => Complex::ONE / self.power_of(n.unsigned_abs()),
            None if self.is_zero() => Complex::UNDEFINED,
            None if exponent == Complex::real(Dd::from(0.5)) => self.sqrt(),
            None => (self.ln() * exponent).exp(),
        }
    }

    fn power_of(self, mut n: u32) -> Complex {
        let (mut base, mut product) = (self, Complex::ONE);
        while n > 0 {
            if n & 1 == 1 {
                product = product * base;
            }
            n >>= 1;
            if n > 0 {
                base = base * base;
            }
        }
        product
    }

    /// Sine and cosine.
    pub(crate) fn sin_cos(self) -> (Complex, Complex) {
        if self.is_real() {
            let (s, c) = self.re.sin_cos();
            return (Complex::real(s), Complex::real(c));
        }
        let up = (self * Complex::I).exp();
        let down = Complex::ONE / up;
        let half = Complex::real(Dd::from(0.5));
        ((down - up) * Complex::I * half, (up + down) * half)
    }
}

fn small_integer(value: Complex) -> Option<i32> {
    let n = value.re.hi;
    let whole = value.is_real() && value.re.lo == 0.0 && n.fract() == 0.0 && n.abs() <= 4096.0;
    whole.then_some(n as i32)
}

impl Add for Complex {
    type Output = Complex;
    fn add(self, other: Complex) -> Complex {
        Complex { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Neg for Complex {
    type Output = Complex;
    fn neg(self) -> Complex {
        Complex { re: -self.re, im: -self.im }
    }
}

impl Sub for Complex {
    type Output = Complex;
    fn sub(self, other: Complex) -> Complex {
        self + -other
    }
}

impl Mul for Complex {
    type Output = Complex;
    fn mul(self, other: Complex) -> Complex {
        if self.is_real() && other.is_real() {
            return Complex::real(self.re * other.re);
        }
        Complex { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

impl Div for Complex {
    type Output = Complex;
    fn div(self, other: Complex) -> Complex {
        if other.is_zero() {
            return Complex::UNDEFINED;
        }
        if other.is_real() {
            return Complex { re: self.re / other.re, im: self.im / other.re };
        }
        let size = other.re * other.re + other.im * other.im;
        let conjugate = Complex { re: other.re, im: -other.im };
        let top = self * conjugate;
        Complex { re: top.re / size, im: top.im / size }
    }
}
