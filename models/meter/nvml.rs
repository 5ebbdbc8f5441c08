//! NVIDIA GPUs, through the driver's own library, which is loaded at run time: a machine without one simply has no
//! such meter.
//!
//! GPUs since Volta count millijoules in hardware, updated about ten times a second. Older ones only report power,
//! which is summed up by trapezoids and therefore worse: it is an average over up to a second, and on some GPUs sees only a
//! part of the time (Yang et al. 2024). Both are of the whole GPU: with another process on it, or
//! with the GPU split up, joules cannot be told apart. While it is throttled, seconds and joules are of a hotter or
//! capped device and not comparable; that is noted too.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::error::NvmlError;

use super::{Meter, Reading};
use crate::device::GpuPlace;

/// What is asked of a GPU.
trait Gpu: Send {
    fn name(&self) -> String;
    /// The hardware counter; `None` on GPUs that have none.
    fn counter_mj(&self) -> Option<u64>;
    fn power_mw(&self) -> Result<u32, String>;
    fn throttled_by(&self) -> ThrottleReasons;
    /// Processes that compute on it.
    fn processes(&self) -> Vec<u32>;
}

struct Real {
    nvml: Arc<Nvml>,
    index: u32,
}

/// A GPU being metered.
struct GpuMeter {
    gpu: Box<dyn Gpu>,
    /// The counter's first value; `None` where power is summed up.
    start_mj: Option<u64>,
    /// Last power reading, watts.
    last: Option<(Instant, f64)>,
    joules: f64,
}

/// A meter for each GPU whose place `is_metered`.
///
/// # Errors
/// Why there is none.
pub(super) fn meters(is_metered: impl Fn(GpuPlace) -> bool) -> Result<Vec<Box<dyn Meter>>, String> {
    let nvml = Arc::new(Nvml::init().map_err(|e| match e {
        // The loader's own words name files that nobody asked for.
        NvmlError::LibloadingError(_) => "no NVIDIA driver".to_owned(),
        other => format!("no NVIDIA driver ({other})"),
    })?);
    let count = nvml.device_count().map_err(|e| e.to_string())?;
    if count == 0 {
        return Err("the driver sees no GPU".into());
    }
    let gpus = (0..count).map(|index| Real { nvml: nvml.clone(), index });
    let chosen = chosen(gpus.map(|gpu| (gpu.place(), gpu)), is_metered)?;
    Ok(chosen.into_iter().map(|gpu| Box::new(GpuMeter::new(Box::new(gpu))) as Box<dyn Meter>).collect())
}

/// Those of some GPUs that are metered: NVML numbers them otherwise than CUDA does, so their places tell which is which.
fn chosen<G>(
    gpus: impl Iterator<Item = (Option<GpuPlace>, G)>,
    is_metered: impl Fn(GpuPlace) -> bool,
) -> Result<Vec<G>, String> {
    let chosen: Vec<G> =
        gpus.filter_map(|(place, gpu)| place.is_some_and(&is_metered).then_some(gpu)).collect();
    if chosen.is_empty() { Err("the driver does not say which GPU is the run's".into()) } else { Ok(chosen) }
}

impl Real {
    fn ask<T>(&self, question: impl Fn(&nvml_wrapper::Device) -> Result<T, NvmlError>) -> Result<T, String> {
        self.nvml.device_by_index(self.index).and_then(|device| question(&device)).map_err(|e| e.to_string())
    }

    fn place(&self) -> Option<GpuPlace> {
        let pci = self.ask(|gpu| gpu.pci_info()).ok()?;
        Some(GpuPlace { domain: pci.domain, bus: pci.bus, device: pci.device })
    }
}

impl Gpu for Real {
    fn name(&self) -> String {
        let name = self.ask(|gpu| gpu.name()).unwrap_or_else(|_| "of unknown name".into());
        format!("GPU {} {name}", self.index)
    }

    fn counter_mj(&self) -> Option<u64> {
        self.ask(|gpu| gpu.total_energy_consumption()).ok()
    }

    fn power_mw(&self) -> Result<u32, String> {
        self.ask(|gpu| gpu.power_usage())
    }

    fn throttled_by(&self) -> ThrottleReasons {
        self.ask(|gpu| gpu.current_throttle_reasons()).unwrap_or(ThrottleReasons::empty())
    }

    fn processes(&self) -> Vec<u32> {
        let processes = self.ask(|gpu| gpu.running_compute_processes()).unwrap_or_default();
        processes.into_iter().map(|process| process.pid).collect()
    }
}

impl GpuMeter {
    fn new(gpu: Box<dyn Gpu>) -> Self {
        let start_mj = gpu.counter_mj();
        Self { gpu, start_mj, last: None, joules: 0.0 }
    }

    /// Adds the trapezoid between the last power reading and this one.
    fn integrate(&mut self, now: Instant) -> Result<(), String> {
        let watts = f64::from(self.gpu.power_mw()?) * 1e-3;
        if let Some((then, before)) = self.last {
            self.joules += (before + watts) / 2.0 * now.duration_since(then).as_secs_f64();
        }
        self.last = Some((now, watts));
        Ok(())
    }

    fn read_at(&mut self, now: Instant) -> Result<Reading, String> {
        match self.start_mj {
            Some(start) => {
                let counter = self.gpu.counter_mj().ok_or("the energy counter is gone")?;
                self.joules = counter.saturating_sub(start) as f64 * 1e-3;
            }
            None => self.integrate(now)?,
        }
        let own = std::process::id();
        let is_visible = |pid: u32| Path::new(&format!("/proc/{pid}")).exists();
        let others = others(&self.gpu.processes(), own, is_visible);
        let doubts = throttling(self.gpu.throttled_by()).map(str::to_owned).into_iter().chain(others);
        Ok(Reading { joules: self.joules, doubts: doubts.collect() })
    }
}

impl Meter for GpuMeter {
    fn name(&self) -> String {
        let how = if self.start_mj.is_some() { "nvml counter" } else { "nvml power, summed up" };
        format!("{how}, {}", self.gpu.name())
    }

    fn read(&mut self) -> Result<Reading, String> {
        self.read_at(Instant::now())
    }
}

/// Why the GPU runs slower than it could, if it does; an idle GPU and clocks that a person set are no reason.
fn throttling(reasons: ThrottleReasons) -> Option<&'static str> {
    let heat = ThrottleReasons::SW_THERMAL_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN;
    let brake = ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN;
    [
        (heat, "the GPU was throttled by its temperature"),
        (ThrottleReasons::SW_POWER_CAP, "the GPU was throttled by its power limit"),
        (brake, "the GPU was slowed down by its hardware"),
    ]
    .into_iter()
    .find_map(|(mask, reason)| reasons.intersects(mask).then_some(reason))
}

/// Whether somebody else computes on the GPU. In a container this process may be listed under a number that it
/// does not know; one such process is taken for it.
fn others(processes: &[u32], own: u32, is_visible: impl Fn(u32) -> bool) -> Option<String> {
    let mut others: Vec<u32> = processes.iter().copied().filter(|pid| *pid != own).collect();
    if others.len() == processes.len()
        && let Some(at) = others.iter().position(|pid| !is_visible(*pid))
    {
        others.remove(at);
    }
    match others[..] {
        [] => None,
        [pid] => Some(format!("process {pid} computes on the GPU too")),
        _ => Some(format!("{} other processes compute on the GPU too", others.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration;

    /// A GPU that says what it is told to.
    #[derive(Clone, Default)]
    struct Fake {
        counter_mj: Arc<Mutex<Option<u64>>>,
        power_mw: Arc<Mutex<u32>>,
    }

    impl Gpu for Fake {
        fn name(&self) -> String {
            "GPU 0".into()
        }
        fn counter_mj(&self) -> Option<u64> {
            *self.counter_mj.lock().unwrap()
        }
        fn power_mw(&self) -> Result<u32, String> {
            Ok(*self.power_mw.lock().unwrap())
        }
        fn throttled_by(&self) -> ThrottleReasons {
            ThrottleReasons::GPU_IDLE
        }
        fn processes(&self) -> Vec<u32> {
            vec![std::process::id()]
        }
    }

    #[test]
    fn the_counter_counts_from_where_it_stood_at_the_start() {
        let fake = Fake::default();
        *fake.counter_mj.lock().unwrap() = Some(7_000_000);
        let mut meter = GpuMeter::new(Box::new(fake.clone()));
        assert_eq!(meter.read().unwrap(), Reading { joules: 0.0, doubts: vec![] });
        *fake.counter_mj.lock().unwrap() = Some(7_012_500);
        assert_eq!(meter.read().unwrap().joules, 12.5);
        assert_eq!(meter.name(), "nvml counter, GPU 0");
        *fake.counter_mj.lock().unwrap() = None;
        assert!(meter.read().unwrap_err().contains("gone"));
    }

    #[test]
    fn without_a_counter_power_is_summed_up_by_trapezoids() {
        let fake = Fake::default();
        let mut meter = GpuMeter::new(Box::new(fake.clone()));
        assert_eq!(meter.name(), "nvml power, summed up, GPU 0");
        let start = Instant::now();
        for (second, watts, joules) in [(0, 100, 0.0), (1, 300, 200.0), (3, 300, 800.0)] {
            *fake.power_mw.lock().unwrap() = watts * 1000;
            let reading = meter.read_at(start + Duration::from_secs(second)).unwrap();
            assert!((reading.joules - joules).abs() < 1e-9, "{second} {reading:?}");
        }
    }

    #[test]
    fn heat_and_power_limits_cast_doubt_and_an_idle_gpu_does_not() {
        let reason = |reasons| throttling(reasons).unwrap_or("none");
        assert_eq!(reason(ThrottleReasons::GPU_IDLE | ThrottleReasons::APPLICATIONS_CLOCKS_SETTING), "none");
        assert!(reason(ThrottleReasons::SW_POWER_CAP).contains("power limit"));
        assert!(
            reason(ThrottleReasons::GPU_IDLE | ThrottleReasons::HW_THERMAL_SLOWDOWN).contains("temperature")
        );
        assert!(reason(ThrottleReasons::HW_SLOWDOWN).contains("hardware"));
    }

    #[test]
    fn other_processes_are_noticed_and_ourselves_under_a_strange_number_are_not() {
        let hidden = |pid| pid != 4242;
        assert_eq!(others(&[7], 7, hidden), None);
        assert_eq!(others(&[4242], 7, hidden), None, "this process, seen from outside its container");
        assert_eq!(others(&[7, 9], 7, hidden).unwrap(), "process 9 computes on the GPU too");
        assert!(others(&[4242, 8, 9], 7, hidden).unwrap().starts_with("2 other"));
    }

    #[test]
    fn of_several_gpus_only_the_runs_own_is_metered_however_they_are_numbered() {
        let place = |bus| GpuPlace { domain: 0, bus, device: 0 };
        let eight = || (0..8).map(|index| (Some(place(0x90 - index)), index));
        assert_eq!(chosen(eight(), |gpu| gpu == place(0x8d)), Ok(vec![3]));
        assert_eq!(chosen(eight(), |_| true).unwrap().len(), 8);
        let nowhere = [(None, 0)];
        assert!(chosen(nowhere.into_iter(), |_| true).unwrap_err().contains("which GPU"));
        assert!(chosen(eight(), |gpu| gpu == place(0x10)).is_err());
    }

    #[test]
    fn a_machine_without_a_driver_says_so() {
        if let Err(reason) = meters(|_| true) {
            assert!(reason.contains("driver"), "{reason}");
        }
    }
}
