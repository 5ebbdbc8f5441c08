//! Energy meters: joules by device, over windows of seconds.
//!
//! A [`Meter`] counts joules since it was started. A [`Watch`] reads all meters ten times a second on a
//! thread of its own, and cuts what they counted into windows; a window says whether its joules can be trusted and if
//! not, why. A meter that a machine does not have, or that this user may not read, is [`Absent`] with its reason.
//! Joules of a single token are never measured: counters are updated about ten times a second.

pub mod nvml;
pub mod rapl;
mod watch;

use std::path::Path;

pub use watch::Watch;

/// Counts joules.
pub trait Meter: Send {
    /// What it reads, with the device: `nvml counter, GPU 0 NVIDIA H200`.
    fn name(&self) -> String;

    /// Reads now. Called about ten times a second.
    ///
    /// # Errors
    /// What went wrong; the window is then not valid.
    fn read(&mut self) -> Result<Reading, String>;
}

/// What a meter says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Joules since the meter was started.
    pub joules: f64,
    /// Reasons why energy read now says little: throttled, shared with another process.
    pub doubts: Vec<String>,
}

/// A meter that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Which.
    pub meter: String,
    /// Why.
    pub reason: String,
}

/// All meters of this machine, and those that are absent.
pub fn meters() -> (Vec<Box<dyn Meter>>, Vec<Absent>) {
    let (mut meters, mut absent) = (Vec::new(), Vec::new());
    let mut add = |name: &str, found: Result<Vec<Box<dyn Meter>>, String>| match found {
        Ok(found) => meters.extend(found),
        Err(reason) => absent.push(Absent { meter: name.into(), reason }),
    };
    add("NVIDIA GPU (NVML)", nvml::meters());
    add("CPU (RAPL)", rapl::meters(Path::new(rapl::SYSFS)));
    add("Apple silicon", Err(apple().into()));
    (meters, absent)
}

/// Why there is no meter for Apple silicon.
fn apple() -> &'static str {
    if cfg!(target_os = "macos") {
        "its counters can only be read by root (`sudo powermetrics`)"
    } else {
        "this is not a Mac"
    }
}
