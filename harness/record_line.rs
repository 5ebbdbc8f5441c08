//! A record as a line of `trajectories.jsonl`: JSON that ends with its own checksum.
//!
//! A flipped bit in a text or a digit is still JSON, and would be believed. So the last field of a line, `crc32`, is the CRC-32 of
//! everything before it, and a line that does not fit its checksum is no record. Contract: a line without that field was
//! written by another tool, or edited by a person, and is taken as it is. This finds accidents and not forgery.

use serde_json::from_slice;

use crate::trajectory::Trajectory;

/// Between the record and its checksum.
const MARK: &[u8] = b",\"crc32\":\"";
/// Hexadecimal digits of a checksum.
const DIGITS: usize = 8;

/// The record's line, with its checksum and its end.
pub(crate) fn sealed(record: &Trajectory) -> String {
    let mut line = serde_json::to_string(record).expect("a record is plain data");
    line.pop();
    let checksum = crc32fast::hash(line.as_bytes());
    line + &format!(",\"crc32\":\"{checksum:08x}\"}}\n")
}

/// The record of a line.
///
/// # Errors
/// What is damaged, in words that follow the line's number.
pub(crate) fn record(line: &[u8]) -> Result<Trajectory, String> {
    let read = match seal(line.trim_ascii_end()) {
        Seal::Fits(body) => from_slice(&[body, b"}"].concat()),
        Seal::Absent => from_slice(line),
        Seal::Broken => return Err("does not fit its checksum".into()),
    };
    let record: Trajectory = read.map_err(|error| error.to_string())?;
    if record.is_timed() { Ok(record) } else { Err("has not one time for each answer".into()) }
}

/// Whether a line's checksum, if it has one, fits; the line may be no record for other reasons.
pub(crate) fn is_intact(line: &[u8]) -> bool {
    !matches!(seal(line.trim_ascii_end()), Seal::Broken)
}

enum Seal<'a> {
    /// The record without its last brace.
    Fits(&'a [u8]),
    Absent,
    Broken,
}

/// A record without a checksum ends in two braces; what ends in a text should be a checksum.
fn seal(line: &[u8]) -> Seal<'_> {
    let Some(open) = line.strip_suffix(b"\"}") else { return Seal::Absent };
    let Some((body, seal)) = open.split_at_checked(open.len().saturating_sub(MARK.len() + DIGITS)) else {
        return Seal::Broken;
    };
    let checksum = format!("{:08x}", crc32fast::hash(body));
    let fits = seal.strip_prefix(MARK).is_some_and(|digits| digits == checksum.as_bytes());
    if fits { Seal::Fits(body) } else { Seal::Broken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::{Thought, Timing};

    fn example() -> Trajectory {
        Trajectory {
            schema: crate::trajectory::SCHEMA,
            model: "m".into(),
            task: "t".into(),
            problem: "p".into(),
            trajectory: 3,
            waits: 0,
            question: "2 + 2?".into(),
            gold: "4".into(),
            variant_of: None,
            grader: "2".into(),
            prompt_tokens: 5,
            reasoning: "größe \u{1b}".into(),
            reasoning_tokens: 1,
            thought: Thought::Closed,
            answers: vec![],
            timing: Timing { prompt_s: 0.25, chain_s: 0.5, reasoning_s: vec![], answer_s: vec![] },
        }
    }

    #[test]
    fn a_line_reads_back_as_its_record_with_its_checksum_and_without() {
        let line = sealed(&example());
        assert_eq!(record(line.as_bytes()), Ok(example()));
        let plain = serde_json::to_vec(&example()).unwrap();
        assert_eq!(record(&plain), Ok(example()));
        assert!(is_intact(line.as_bytes()) && is_intact(&plain));
    }

    /// For readers, too, that skip what they do not know.
    fn bad_for_all(line: &[u8]) -> bool {
        !is_intact(line) || from_slice::<serde_json::Value>(line).is_err()
    }

    #[test]
    fn no_flipped_bit_of_a_line_is_believed() {
        let line = sealed(&example()).into_bytes();
        for bit in 0..(line.len() - 1) * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = record(&flipped);
            assert!(
                read.is_err() && bad_for_all(&flipped),
                "bit {bit}: {}",
                String::from_utf8_lossy(&flipped)
            );
        }
    }
}
