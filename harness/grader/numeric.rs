//! Numeric values at 31 digits, of constants and, at chosen points, of expressions with variables.
//!
//! Two expressions are taken for equal when they agree at several points that nobody would pick by hand. The
//! points are fixed (a hash of the variable's name), so grading is reproducible. The first points are positive,
//! the others of mixed sign: at those a value counts only if it never left the real numbers on the way, so that
//! `\sqrt{ab}` is `\sqrt a \sqrt b` while `\sqrt{x^2}` is not `x`.

use super::complex::Complex;
use super::double_double::Dd;
use super::exact;
use super::fuel::Fuel;
use super::tree::{Constant, Function, Node};
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use std::cell::Cell;

/// How many points expressions with variables are compared at.
pub(crate) const POINTS: u32 = 6;
/// The first points, at which every variable is positive.
pub(crate) const POSITIVE_POINTS: u32 = 3;
/// Relative difference below which two values are one.
pub(crate) const TOLERANCE: f64 = 1e-22;

/// One evaluation.
pub(crate) struct Evaluation<'a> {
    fuel: &'a Fuel,
    point: u32,
    /// Overrides the value of every variable.
    fixed: Option<Dd>,
    left_reals: Cell<bool>,
}

/// The value at a point, and whether it was real all the way.
pub(crate) fn value_at(node: &Node, point: u32, fuel: &Fuel) -> Option<(Complex, bool)> {
    let evaluation = Evaluation { fuel, point, fixed: None, left_reals: Cell::new(false) };
    let value = evaluation.value(node)?;
    value.is_finite().then(|| (value, !evaluation.left_reals.get()))
}

/// The value with every variable set to `x`.
pub(crate) fn value_with(node: &Node, x: f64, fuel: &Fuel) -> Option<Complex> {
    let evaluation = Evaluation { fuel, point: 0, fixed: Some(Dd::from(x)), left_reals: Cell::new(false) };
    evaluation.value(node).filter(|v| v.is_finite())
}

/// Whether two values differ by rounding only.
pub(crate) fn close(a: Complex, b: Complex) -> bool {
    let size = a.abs().hi.max(b.abs().hi);
    let exact_zero = a.is_zero() || b.is_zero();
    let difference = (a - b).abs().hi;
    difference <= size * TOLERANCE || (exact_zero && size < 1e-26)
}

/// A rational as a double-double.
pub(crate) fn from_rational(value: &BigRational) -> Dd {
    match (value.numer().to_i64(), value.denom().to_i64()) {
        (Some(n), Some(1)) if n.abs() < 1 << 53 => Dd::from(n as f64),
        (Some(n), Some(d)) if n.abs() < 1 << 53 && d < 1 << 53 => Dd::from(n as f64) / Dd::from(d as f64),
        _ => {
            let hi = value.to_f64().unwrap_or(f64::NAN);
            let rest = BigRational::from_float(hi).and_then(|h| (value - h).to_f64());
            Dd::from(hi) + Dd::from(rest.unwrap_or(0.0))
        }
    }
}

/// A value for a variable: spread over (0.4, 2.4), with no small denominator.
fn variable(name: &str, point: u32) -> Dd {
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ (u64::from(point) << 40);
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let size = 0.4 + 2.0 * ((hash >> 11) as f64 / (1u64 << 53) as f64);
    let negative = point >= POSITIVE_POINTS && (hash & 3 != 0 || point == POINTS - 1);
    Dd::from(if negative { -size } else { size })
}

impl Evaluation<'_> {
    fn value(&self, node: &Node) -> Option<Complex> {
        self.fuel.pay(150)?;
        let value = match node {
            Node::Number(value, _) => Complex::real(from_rational(value)),
            Node::Based(digits, base) => Complex::real(from_rational(&exact::based(digits, *base)?)),
            Node::Symbol(name) => Complex::real(self.fixed.unwrap_or_else(|| variable(name, self.point))),
            Node::Constant(Constant::Pi) => Complex::real(Dd::PI),
            Node::Constant(Constant::E) => Complex::real(Dd::E),
            Node::Constant(Constant::I) => Complex::I,
            Node::Add(terms) => self.fold(terms, |a, b| a + b)?,
            Node::Mul(factors) => self.fold(factors, |a, b| a * b)?,
            Node::Neg(inner) => -self.value(inner)?,
            Node::Div(a, b) => self.value(a)? / self.value(b)?,
            Node::Percent(inner) => self.value(inner)? / Complex::real(Dd::from(100.0)),
            Node::Quantity(inner, unit) if unit.is_degree() => {
                self.value(inner)? * Complex::real(Dd::PI / Dd::from(180.0))
            }
            Node::Pow(base, exponent) => self.power(base, exponent)?,
            Node::Apply(function, arguments) => self.apply(*function, arguments)?,
            _ => return None,
        };
        if !value.is_real() && !matches!(node, Node::Constant(_)) {
            self.left_reals.set(true);
        }
        Some(value)
    }

    fn fold(&self, nodes: &[Node], op: fn(Complex, Complex) -> Complex) -> Option<Complex> {
        let mut total = self.value(nodes.first()?)?;
        for node in &nodes[1..] {
            total = op(total, self.value(node)?);
        }
        Some(total)
    }

    fn power(&self, base: &Node, exponent: &Node) -> Option<Complex> {
        self.fuel.pay(6_000)?;
        // Exact exponents keep (-8)^{2} and x^{1/2} on their fast and exact paths.
        Some(self.value(base)?.pow(self.value(exponent)?))
    }

    fn apply(&self, function: Function, arguments: &[Node]) -> Option<Complex> {
        self.fuel.pay(4_000)?;
        let values: Vec<Complex> = arguments.iter().map(|a| self.value(a)).collect::<Option<_>>()?;
        let x = *values.first()?;
        match function {
            Function::Root => root(x, *values.get(1)?),
            Function::Log => Some(values.get(1)?.ln() / x.ln()),
            Function::Max | Function::Min => extreme(&values, function == Function::Max),
            Function::Factorial => factorial(x),
            Function::Binomial => binomial(x, *values.get(1)?),
            Function::Gcd | Function::Lcm => None,
            _ => single(function, x),
        }
    }
}

fn root(degree: Complex, radicand: Complex) -> Option<Complex> {
    let n = degree.re.hi;
    if n == 2.0 && degree.is_real() {
        return Some(radicand.sqrt());
    }
    // The odd root of a negative real number is real.
    if radicand.is_real() && radicand.re.hi < 0.0 && n.rem_euclid(2.0) == 1.0 {
        return Some(-(-radicand).pow(Complex::ONE / degree));
    }
    Some(radicand.pow(Complex::ONE / degree))
}

/// A function with `n! = n (n-1)!` at every point. Between whole numbers its value is arbitrary: what follows from
/// the recurrence is what is compared, so the smooth gamma function is not needed.
fn factorial(n: Complex) -> Option<Complex> {
    let mut x = n.re;
    if !n.is_real() || x.hi.abs() > 60.0 {
        return None;
    }
    let mut product = Dd::ONE;
    while x.hi >= 1.0 {
        product = product * x;
        x = x - Dd::ONE;
    }
    while x.hi < 0.0 {
        x = x + Dd::ONE;
        product = product / x;
    }
    let base = Dd::ONE + x * (Dd::ONE - x) * Dd::from(0.734_128_951);
    Some(Complex::real(product * base))
}

fn binomial(n: Complex, k: Complex) -> Option<Complex> {
    let whole = k.is_real() && k.re.lo == 0.0 && k.re.hi.fract() == 0.0 && (0.0..=60.0).contains(&k.re.hi);
    if !whole {
        return Some(factorial(n)? / (factorial(k)? * factorial(n - k)?));
    }
    let mut product = Complex::ONE;
    for i in 0..k.re.hi as u32 {
        let i = f64::from(i);
        product = product * (n - Complex::real(Dd::from(i))) / Complex::real(Dd::from(i + 1.0));
    }
    Some(product)
}

fn extreme(values: &[Complex], largest: bool) -> Option<Complex> {
    values
        .iter()
        .copied()
        .filter(|v| v.is_real())
        .reduce(|a, b| if (a.re.hi > b.re.hi) == largest { a } else { b })
}

fn single(function: Function, x: Complex) -> Option<Complex> {
    use Function as F;
    let (sin, cos) = match function {
        F::Sin | F::Cos | F::Tan | F::Cot | F::Sec | F::Csc => x.sin_cos(),
        _ => (x, x),
    };
    Some(match function {
        F::Sin => sin,
        F::Cos => cos,
        F::Tan => nonsingular(sin, cos)?,
        F::Cot => nonsingular(cos, sin)?,
        F::Sec => nonsingular(Complex::ONE, cos)?,
        F::Csc => nonsingular(Complex::ONE, sin)?,
        F::Asin | F::Acos => arc(function, x)?,
        F::Atan => Complex::real(x.re.atan2(Dd::ONE)).filter_real(x)?,
        F::Sinh | F::Cosh | F::Tanh => hyperbolic(function, x),
        F::Exp => x.exp(),
        F::Ln => x.ln(),
        F::Abs => Complex::real(x.abs()),
        F::Floor => Complex::real(x.re.floor()).filter_real(x)?,
        F::Ceil => -Complex::real((-x.re).floor()).filter_real(x)?,
        _ => return None,
    })
}

/// A quotient, undefined where the denominator is zero but for rounding.
fn nonsingular(top: Complex, bottom: Complex) -> Option<Complex> {
    (bottom.abs().hi > 1e-25).then(|| top / bottom)
}

fn arc(function: Function, x: Complex) -> Option<Complex> {
    let one = Dd::ONE;
    if !x.is_real() || x.re.abs().hi > 1.0 {
        return None;
    }
    let other = (one - x.re * x.re).abs().sqrt();
    Some(Complex::real(if function == Function::Asin { x.re.atan2(other) } else { other.atan2(x.re) }))
}

fn hyperbolic(function: Function, x: Complex) -> Complex {
    let (up, half) = (x.exp(), Complex::real(Dd::from(0.5)));
    let down = Complex::ONE / up;
    match function {
        Function::Sinh => (up - down) * half,
        Function::Cosh => (up + down) * half,
        _ => (up - down) / (up + down),
    }
}

impl Complex {
    fn filter_real(self, argument: Complex) -> Option<Complex> {
        argument.is_real().then_some(self)
    }
}

/// The sign of an infinite node, if it is one.
pub(crate) fn infinite(node: &Node) -> Option<bool> {
    match node {
        Node::Infinity => Some(true),
        Node::Neg(inner) => infinite(inner).map(|positive| !positive),
        Node::Mul(factors) => {
            let (last, rest) = factors.split_last()?;
            let negative =
                rest.iter().filter(|f| matches!(f, Node::Number(v, _) if v.is_negative())).count() % 2 == 1;
            let numbers = rest.iter().all(|f| matches!(f, Node::Number(..)));
            infinite(last).filter(|_| numbers).map(|positive| positive != negative)
        }
        _ => None,
    }
}
