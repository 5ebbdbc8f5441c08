//! Inner loops over `f32` slices, written so that the compiler turns them into vector instructions.
//!
//! All are `inline(always)`: they take on the instruction set of the multiversioned function that calls
//! them. Two rules make that work: no closure handed to an iterator's adaptor (it would be compiled for
//! the baseline), and sums in sixteen lanes (a sum in order cannot be vectorised).

/// Numbers summed side by side.
pub const LANES: usize = 16;

/// Folds all values, `start` being neutral.
#[inline(always)]
pub fn reduce(values: &[f32], start: f32, f: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = values.chunks_exact(LANES);
    let mut rest = start;
    for value in chunks.remainder() {
        rest = f(rest, *value);
    }
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], chunk[i]);
        }
    }
    f(rest, halve(&lanes, f))
}

/// Folds the lanes, each with the one half of them away. Halves are arrays of their own: they stay in registers.
#[inline(always)]
pub fn halve(lanes: &[f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut eight, mut four) = ([0f32; LANES / 2], [0f32; LANES / 4]);
    for i in 0..LANES / 2 {
        eight[i] = f(lanes[i], lanes[i + LANES / 2]);
    }
    for i in 0..LANES / 4 {
        four[i] = f(eight[i], eight[i + LANES / 4]);
    }
    f(f(four[0], four[2]), f(four[1], four[3]))
}

/// Softmax of `scale * scores`, in place.
#[inline(always)]
pub fn softmax(scores: &mut [f32], scale: f32) {
    let max = reduce(scores, f32::NEG_INFINITY, f32::max);
    for score in scores.iter_mut() {
        *score = exp((*score - max) * scale);
    }
    let inverse = 1.0 / reduce(scores, 0.0, |a, b| a + b);
    for score in scores.iter_mut() {
        *score *= inverse;
    }
}

/// e^x by range reduction and a polynomial (Cephes `expf`), to about 1e-7 relative.
///
/// The power of two is rounded and shifted into the exponent as a float: there is no conversion to an integer, which
/// compilers do one by one.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Added to a number, it leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let mut p = 1.987_569_2e-4f32;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    ((p * r).mul_add(r, r) + 1.0) * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -800..800 {
            let x = i as f32 / 10.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-5, "{x}");
        }
    }

    #[test]
    fn lanes_and_remainders_are_both_counted() {
        for length in [0, 1, 15, 16, 17, 40] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            assert_eq!(reduce(&a, 0.0, |x, y| x + y), a.iter().sum::<f32>());
        }
    }

    #[test]
    fn a_softmax_sums_to_one() {
        let mut scores: Vec<f32> = (0..37).map(|i| (i as f32).sin() * 30.0).collect();
        softmax(&mut scores, 0.5);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
