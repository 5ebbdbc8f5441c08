//! Which vector instructions the engine uses: all that it is written for and the processor has, or fewer, where `ISOCOST_INSTRUCTIONS` names
//! the last that may be used. What is computed is the same to the last bit (a test holds a whole run to that), so another processor's
//! speed can be looked at on this one.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use pulp::Arch;

/// The environment variable.
const VARIABLE: &str = "ISOCOST_INSTRUCTIONS";

/// Instructions that the engine is written for, from what every processor has to what few have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// What all processors of the architecture have.
    Baseline,
    /// AVX2 and FMA: vectors of 256 bits.
    Avx2,
    /// AVX-VNNI: sums of products of bytes, in such vectors.
    AvxVnni,
    /// AVX-512: vectors of 512 bits.
    Avx512,
    /// AVX512-VNNI: sums of products of bytes, in such vectors.
    Avx512Vnni,
    /// AVX512-BF16: sums of products of bf16.
    Avx512Bf16,
}

use Instructions::{Avx2, Avx512, Avx512Bf16, Avx512Vnni, AvxVnni, Baseline};

/// Their names.
const NAMES: [(&str, Instructions); 6] = [
    ("baseline", Baseline),
    ("avx2", Avx2),
    ("avx-vnni", AvxVnni),
    ("avx512", Avx512),
    ("avx512-vnni", Avx512Vnni),
    ("avx512-bf16", Avx512Bf16),
];

/// The last that may be used; none if nothing was said.
static LAST: LazyLock<Option<Instructions>> = LazyLock::new(|| last().ok().flatten());

/// What the environment says.
///
/// # Errors
/// One line, if it names no instructions.
pub fn last() -> Result<Option<Instructions>, String> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
    text.to_string_lossy().parse().map(Some).map_err(|message| format!("{VARIABLE}: {message}"))
}

impl Instructions {
    /// The last ones that are used here.
    pub fn used() -> Self {
        NAMES.into_iter().rev().map(|(_, set)| set).find(|set| set.are_used()).unwrap_or(Baseline)
    }

    /// Whether the processor has them, and they may be used.
    pub(crate) fn are_used(self) -> bool {
        LAST.is_none_or(|last| self <= last) && self.are_native()
    }

    #[cfg(target_arch = "x86_64")]
    fn are_native(self) -> bool {
        use pulp::x86::{V3, V4};
        match self {
            Baseline => true,
            Avx2 => V3::try_new().is_some(),
            AvxVnni => Avx2.are_native() && is_x86_feature_detected!("avxvnni"),
            Avx512 => V4::try_new().is_some(),
            Avx512Vnni => Avx512.are_native() && is_x86_feature_detected!("avx512vnni"),
            Avx512Bf16 => Avx512.are_native() && is_x86_feature_detected!("avx512bf16"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn are_native(self) -> bool {
        self == Baseline
    }
}

/// What inner loops are dispatched to.
pub(crate) fn arch() -> Arch {
    static ARCH: LazyLock<Arch> = LazyLock::new(widest);
    *ARCH
}

#[cfg(target_arch = "x86_64")]
fn widest() -> Arch {
    use pulp::x86::{V3, V4};
    let v4 = V4::try_new().filter(|_| Avx512.are_used()).map(Arch::V4);
    v4.or_else(|| V3::try_new().filter(|_| Avx2.are_used()).map(Arch::V3)).unwrap_or(Arch::Scalar)
}

#[cfg(not(target_arch = "x86_64"))]
fn widest() -> Arch {
    Arch::new()
}

/// What is said beside the processor where not all that it has may be used.
pub(crate) fn limit() -> String {
    LAST.map_or_else(String::new, |last| format!(", {VARIABLE}={last}"))
}

impl FromStr for Instructions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, set)| set);
        let names = NAMES.map(|(name, _)| name).join(", ");
        named.ok_or_else(|| format!("there are no instructions {text:?}: choose one of {names}"))
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = NAMES.into_iter().find(|(_, set)| set == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_read_as_it_is_written_and_another_name_is_refused() {
        for (name, set) in NAMES {
            assert_eq!((name.parse(), set.to_string()), (Ok(set), name.to_owned()));
        }
        assert!("avx1024".parse::<Instructions>().unwrap_err().contains("avx2, avx-vnni"));
        assert!(NAMES.is_sorted_by_key(|(_, set)| set));
    }

    #[test]
    fn what_is_used_is_what_inner_loops_are_dispatched_to() {
        let is_scalar = matches!(arch(), Arch::Scalar);
        assert!(!cfg!(target_arch = "x86_64") || is_scalar == (Instructions::used() == Baseline));
    }
}
