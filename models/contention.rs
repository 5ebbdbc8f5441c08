//! Who else used the processors: other programs, and other machines where this one is virtual.
//!
//! Seconds mean little on a machine that somebody else is using. Linux counts its processors' ticks by use in `/proc/stat`, with
//! those that the host gave to others (*steal*), and a program's own in `/proc/self/stat`. Elsewhere nothing is known.

/// Ticks of all processors since some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    /// All, idle ones included.
    all: u64,
    /// Used by others than this program.
    others: u64,
}

/// A stretch of time that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Contention(Option<Ticks>);

impl Contention {
    /// Watches from now on.
    pub fn start() -> Self {
        Self(read())
    }

    /// Share of the processors' time that went to others since the start; `None` where it is not known.
    pub fn share(self) -> Option<f64> {
        let (start, now) = (self.0?, read()?);
        let all = now.all.checked_sub(start.all).filter(|all| *all > 0)?;
        Some(now.others.saturating_sub(start.others) as f64 / all as f64)
    }
}

fn read() -> Option<Ticks> {
    ticks(&std::fs::read_to_string("/proc/stat").ok()?, &std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// From the two files: `cpu user nice system idle iowait irq softirq steal ...` in the first line of the one,
/// `utime stime` in places 14 and 15 of the other, whose second place is a name in parentheses.
fn ticks(machine: &str, program: &str) -> Option<Ticks> {
    let counts: Vec<u64> =
        machine.lines().next()?.split_whitespace().skip(1).take(8).map_while(|n| n.parse().ok()).collect();
    let [user, nice, system, idle, waiting, irq, softirq, steal] = counts[..] else { return None };
    let own: Vec<&str> = program.rsplit_once(')')?.1.split_whitespace().collect();
    let own = own.get(11)?.parse::<u64>().ok()? + own.get(12)?.parse::<u64>().ok()?;
    let busy = user + nice + system + irq + softirq + steal;
    Some(Ticks { all: busy + idle + waiting, others: busy.saturating_sub(own) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "7 (a) b) S 1 7 7 0 -1 4194304 90 0 0 0 30 12 0 0 20 0 4 0 100 1 1";

    #[test]
    fn others_are_all_that_is_busy_without_the_program() {
        let machine = "cpu  100 5 20 800 3 1 2 40 0 0\ncpu0 1 1 1 1\n";
        assert_eq!(ticks(machine, PROGRAM), Some(Ticks { all: 971, others: 168 - 42 }));
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        assert_eq!(ticks("cpu 1 2 3\n", PROGRAM), None);
        assert_eq!(ticks("cpu  100 5 20 800 3 1 2 40\n", "7"), None);
        assert_eq!(Contention(None).share(), None);
    }
}
