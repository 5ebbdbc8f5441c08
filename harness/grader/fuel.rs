//! A bound on the work one comparison may do.
//!
//! Grading runs on whatever a model wrote, so no answer may cost more than a few milliseconds: `9^{9^{9^9}}`
//! must not be expanded. Every operation pays from one tank, in rough nanoseconds; when it is empty the
//! comparison ends undecided, which counts as unequal.

use std::cell::Cell;

/// What one comparison may spend.
const TANK: u64 = 3_000_000;

/// The tank of one comparison.
pub(crate) struct Fuel(Cell<u64>);

impl Fuel {
    pub(crate) fn full() -> Fuel {
        Fuel(Cell::new(TANK))
    }

    /// Pays, or tells that the tank is empty.
    pub(crate) fn pay(&self, cost: u64) -> Option<()> {
        match self.0.get().checked_sub(cost) {
            Some(left) => {
                self.0.set(left);
                Some(())
            }
            None => {
                self.0.set(0);
                None
            }
        }
    }
}
