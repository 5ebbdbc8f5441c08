//! Energy meters: joules by device, over windows of seconds.
//!
//! A [`Meter`] counts joules since it was started. A [`Watch`] reads all meters ten times a second on a
//! thread of its own, and cuts what they counted into windows; a window says whether its joules can be trusted and if
//! not, why. A meter that a machine does not have, or that this user may not read, is [`Absent`] with its reason.
//! Joules of a single token are never measured: counters are updated about ten times a second.

pub mod nvml;
pub mod rapl;
mod watch;

use std::fmt;
use std::path::Path;

use candle_core::Device;

use crate::device;
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
    pub meter: Kind,
    /// What kind of reason there is.
    pub why: Why,
    /// The reason in words.
    pub reason: String,
}

/// Kinds of meters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The counters of NVIDIA's driver.
    Nvidia,
    /// The counters of processors' packages.
    Rapl,
    /// Those of Apple's processors.
    Apple,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvidia => "NVIDIA GPU (NVML)",
            Self::Rapl => "CPU (RAPL)",
            Self::Apple => "Apple silicon",
        })
    }
}

/// Why a meter is not there: what can be done about it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Only other systems have it.
    OtherSystem,
    /// It is there, and this user may not read it.
    Forbidden,
    /// The machine has none, or what reads it is lacking.
    Missing,
}

/// Meters, and those that are absent.
pub type Found = (Vec<Box<dyn Meter>>, Vec<Absent>);

/// All meters of this machine.
pub fn meters() -> Found {
    with_gpus(Some(nvml::meters(|_| true)))
}

/// The meters of what runs on `device`: those of the processor, which serves every device, and of this GPU alone. Others
/// are idle, or at somebody else's work.
pub fn meters_of(device: &Device) -> Found {
    with_gpus(match device {
        Device::Cuda(_) => {
            let place = device::gpu_place(device);
            Some(nvml::meters(|gpu| Some(gpu) == place))
        }
        _ => None,
    })
}

fn with_gpus(gpus: Option<Result<Vec<Box<dyn Meter>>, String>>) -> Found {
    let (mut meters, mut absent) = (Vec::new(), Vec::new());
    let mut add = |found: Result<Vec<Box<dyn Meter>>, Absent>| match found {
        Ok(found) => meters.extend(found),
        Err(missing) => absent.push(missing),
    };
    gpus.into_iter().for_each(|gpus| {
        add(gpus.map_err(|reason| Absent { meter: Kind::Nvidia, why: Why::Missing, reason }))
    });
    add(rapl::meters(Path::new(rapl::SYSFS)));
    add(Err(apple()));
    (meters, absent)
}

/// Why there is no meter for Apple silicon.
fn apple() -> Absent {
    let (why, reason) = if cfg!(target_os = "macos") {
        (Why::Forbidden, "its counters can only be read by root (`sudo powermetrics`)")
    } else {
        (Why::OtherSystem, "this is not a Mac")
    };
    Absent { meter: Kind::Apple, why, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_on_the_processor_is_not_charged_for_idle_gpus() {
        let ((meters, absent), (all, absent_of_all)) = (meters_of(&Device::Cpu), meters());
        assert!(meters.iter().all(|meter| !meter.name().contains("GPU")));
        assert!(absent.iter().all(|absent| absent.meter != Kind::Nvidia), "{absent:?}");
        let gpus = all.iter().filter(|meter| meter.name().contains("GPU")).count();
        assert!(gpus > 0 || absent_of_all.iter().any(|absent| absent.meter == Kind::Nvidia));
    }
}
