//! Exact values: whatever is a rational number is computed as one.
//!
//! `2^{100}/3` and `100! + 101` must be compared exactly, since no fixed precision tells `100! + 101` from
//! `100! + 102`. Contract: [`exact`] gives the value, or nothing where it is irrational, undefined, symbolic, or
//! larger than [`MAX_BITS`].

use super::fuel::Fuel;
use super::tree::{Function, Node};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

/// The largest numerator or denominator.
const MAX_BITS: u64 = 12_000;

/// The exact rational value of a node.
pub(crate) fn exact(node: &Node, fuel: &Fuel) -> Option<BigRational> {
    fuel.pay(50)?;
    match node {
        Node::Number(value, _) => Some(value.clone()),
        Node::Based(digits, base) => based(digits, *base),
        Node::Add(terms) => fold(terms, fuel, |a, b| a + b),
        Node::Mul(factors) => fold(factors, fuel, |a, b| a * b),
        Node::Neg(inner) => Some(-exact(inner, fuel)?),
        Node::Div(a, b) => {
            let (a, b) = (exact(a, fuel)?, exact(b, fuel)?);
            pay_for(&a, &b, fuel)?;
            if b.is_zero() { None } else { Some(a / b) }
        }
        Node::Percent(inner) => Some(exact(inner, fuel)? / BigRational::from_integer(100.into())),
        Node::Pow(base, exponent) => power(&exact(base, fuel)?, &exact(exponent, fuel)?, fuel),
        Node::Apply(function, arguments) => apply(*function, arguments, fuel),
        _ => None,
    }
}

fn bits(value: &BigRational) -> u64 {
    value.numer().bits().max(value.denom().bits())
}

/// Reducing a fraction costs the square of its size, adding integers does not.
fn pay_for(a: &BigRational, b: &BigRational, fuel: &Fuel) -> Option<()> {
    let size = bits(a) + bits(b);
    if size > MAX_BITS {
        return None;
    }
    fuel.pay(100 + size * (size / 64 + 1))
}

fn fold(nodes: &[Node], fuel: &Fuel, op: fn(BigRational, BigRational) -> BigRational) -> Option<BigRational> {
    let mut total = exact(nodes.first()?, fuel)?;
    for node in &nodes[1..] {
        let value = exact(node, fuel)?;
        pay_for(&total, &value, fuel)?;
        total = op(total, value);
    }
    Some(total)
}

/// The value of digits in a base; nothing where a digit is too large for it.
pub(crate) fn based(digits: &str, base: u32) -> Option<BigRational> {
    if digits.len() > 200 {
        return None;
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), base)?;
    Some(BigRational::from_integer(value))
}

fn power(base: &BigRational, exponent: &BigRational, fuel: &Fuel) -> Option<BigRational> {
    if base.is_one() {
        return Some(base.clone());
    }
    let degree = exponent.denom().to_u32().filter(|d| *d <= 64)?;
    let base = if degree == 1 { base.clone() } else { root(base, degree).filter(|_| !base.is_negative())? };
    let n = exponent.numer().to_i32()?;
    if base.is_zero() {
        return if n > 0 { Some(base) } else { None };
    }
    let size = bits(&base).saturating_mul(u64::from(n.unsigned_abs()));
    if size > MAX_BITS {
        return None;
    }
    fuel.pay(100 + size * (size / 64 + 1) / 8)?;
    Some(Pow::pow(base, n))
}

/// The exact root, where there is one. Odd roots of negative numbers are real.
fn root(value: &BigRational, degree: u32) -> Option<BigRational> {
    if degree == 0 || (value.is_negative() && degree.is_even()) {
        return None;
    }
    Some(BigRational::new(integer_root(value.numer(), degree)?, integer_root(value.denom(), degree)?))
}

fn integer_root(value: &BigInt, degree: u32) -> Option<BigInt> {
    let size = value.magnitude();
    let root = size.nth_root(degree);
    if Pow::pow(&root, degree) != *size {
        return None;
    }
    Some(BigInt::from_biguint(if value.is_negative() { Sign::Minus } else { Sign::Plus }, root))
}

fn apply(function: Function, arguments: &[Node], fuel: &Fuel) -> Option<BigRational> {
    let values: Vec<BigRational> = arguments.iter().map(|a| exact(a, fuel)).collect::<Option<_>>()?;
    let integers =
        || values.iter().map(|v| v.is_integer().then(|| v.to_integer())).collect::<Option<Vec<_>>>();
    let first = values.first()?;
    match function {
        Function::Abs => Some(first.abs()),
        Function::Floor => Some(first.floor()),
        Function::Ceil => Some(first.ceil()),
        Function::Factorial => factorial(&integers()?[0], fuel),
        Function::Binomial => match integers()?.as_slice() {
            [n, k] => binomial(n, k, fuel),
            _ => None,
        },
        Function::Root => {
            let radicand = values.get(1)?;
            fuel.pay(2_000 + bits(radicand) * (bits(radicand) / 64 + 1))?;
            root(radicand, first.to_integer().to_u32().filter(|d| *d <= 64 && first.is_integer())?)
        }
        Function::Log => logarithm(first, values.get(1)?, fuel),
        Function::Gcd | Function::Lcm => {
            fuel.pay(bits(first) * 64)?;
            let both = if function == Function::Gcd { Integer::gcd } else { Integer::lcm };
            integers()?.into_iter().reduce(|a, b| both(&a, &b)).map(BigRational::from_integer)
        }
        Function::Max => values.into_iter().max(),
        Function::Min => values.into_iter().min(),
        _ => None,
    }
}

fn factorial(n: &BigInt, fuel: &Fuel) -> Option<BigRational> {
    let n = n.to_u32().filter(|n| *n <= 1000)?;
    fuel.pay(u64::from(n) * 200)?;
    let product = (1..=n).fold(BigUint::one(), |product, k| product * k);
    Some(BigRational::from_integer(product.into()))
}

fn binomial(n: &BigInt, k: &BigInt, fuel: &Fuel) -> Option<BigRational> {
    let n = n.to_u32().filter(|n| *n <= 1000)?;
    let k = k.to_u32()?;
    if k > n {
        return Some(BigRational::zero());
    }
    fuel.pay(u64::from(k) * 400)?;
    let value = (0..k.min(n - k)).fold(BigUint::one(), |product, i| product * (n - i) / (i + 1));
    Some(BigRational::from_integer(value.into()))
}

/// The logarithm where it is a whole number: of 8 to base 2, of 1/100 to base 10.
fn logarithm(base: &BigRational, value: &BigRational, fuel: &Fuel) -> Option<BigRational> {
    if !base.is_integer() || *base < BigRational::from_integer(2.into()) || !value.is_positive() {
        return None;
    }
    let below_one = *value < BigRational::one();
    let mut rest = if below_one { value.recip() } else { value.clone() };
    let mut count = 0i64;
    while rest > BigRational::one() {
        fuel.pay(200 + bits(&rest) * 8)?;
        rest /= base;
        if !rest.is_integer() {
            return None;
        }
        count += 1;
    }
    Some(BigRational::from_integer(if below_one { -count } else { count }.into()))
}
