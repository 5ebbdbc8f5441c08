//! RAPL: the energy counters of Intel and AMD packages, through Linux's powercap files.
//!
//! Each package has a counter in microjoules that starts again at zero after `max_energy_range_uj`; at 200 W
//! that is after about 20 minutes, so it is read often and every step back is one turn. Since 2020 only root may
//! read it (CVE-2020-8694). Memory is a part of its own on servers and counted with its package.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{Absent, Kind, Meter, Reading, Why};

/// Where Linux shows the counters.
pub const SYSFS: &str = "/sys/class/powercap";

/// One package's counter, or its memory's.
struct Domain {
    path: PathBuf,
    range_uj: u64,
    last_uj: u64,
    joules: f64,
}

/// All packages together.
struct Rapl {
    domains: Vec<Domain>,
}

/// The meter under `sysfs`.
///
/// # Errors
/// Why there is none.
pub fn meters(sysfs: &Path) -> Result<Vec<Box<dyn Meter>>, Absent> {
    let missing = |what: &str| {
        let reason = format!("{} {what}", sysfs.display());
        Absent { meter: Kind::Rapl, why: Why::Missing, reason }
    };
    let entries = fs::read_dir(sysfs).map_err(|_| missing("is not there"))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|p| counts(p)).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(missing("holds no package counters"));
    }
    let domains = paths.into_iter().map(Domain::open).collect::<io::Result<_>>().map_err(unread)?;
    Ok(vec![Box::new(Rapl { domains })])
}

/// Whether a powercap zone is a package or memory; cores and graphics are parts of their package.
fn counts(path: &Path) -> bool {
    let name = fs::read_to_string(path.join("name")).unwrap_or_default();
    name.trim().starts_with("package-") || name.trim() == "dram"
}

/// A counter that cannot be read, with the path in its words.
fn unread(error: io::Error) -> Absent {
    let why = if error.kind() == io::ErrorKind::PermissionDenied { Why::Forbidden } else { Why::Missing };
    Absent { meter: Kind::Rapl, why, reason: error.to_string() }
}

fn number(path: &Path) -> io::Result<u64> {
    let failed = |kind, what: String| io::Error::new(kind, format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| failed(e.kind(), e.to_string()))?;
    let text = text.trim();
    text.parse().map_err(|_| failed(io::ErrorKind::InvalidData, format!("`{text}` is not a count")))
}

impl Domain {
    fn open(path: PathBuf) -> io::Result<Self> {
        let last_uj = number(&path.join("energy_uj"))?;
        let range_uj = number(&path.join("max_energy_range_uj"))?;
        Ok(Self { path, range_uj, last_uj, joules: 0.0 })
    }

    fn read(&mut self) -> io::Result<f64> {
        let now_uj = number(&self.path.join("energy_uj"))?;
        let turned = if now_uj < self.last_uj { self.range_uj } else { 0 };
        self.joules += (now_uj + turned).saturating_sub(self.last_uj) as f64 * 1e-6;
        self.last_uj = now_uj;
        Ok(self.joules)
    }
}

impl Meter for Rapl {
    fn name(&self) -> String {
        format!("rapl, {} counters of packages and memory", self.domains.len())
    }

    fn read(&mut self) -> Result<Reading, String> {
        let joules = self.domains.iter_mut().map(Domain::read).sum::<io::Result<f64>>();
        let joules = joules.map_err(|error| error.to_string())?;
        Ok(Reading { joules, doubts: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(sysfs: &Path, zone: &str, name: &str, uj: u64) -> PathBuf {
        let path = sysfs.join(zone);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("name"), format!("{name}\n")).unwrap();
        fs::write(path.join("max_energy_range_uj"), "1000000\n").unwrap();
        fs::write(path.join("energy_uj"), format!("{uj}\n")).unwrap();
        path
    }

    fn set(zone: &Path, uj: u64) {
        fs::write(zone.join("energy_uj"), uj.to_string()).unwrap();
    }

    #[test]
    fn packages_and_memory_are_added_up_and_cores_are_not_counted_twice() {
        let sysfs = tempfile::tempdir().unwrap();
        let package = zone(sysfs.path(), "intel-rapl:0", "package-0", 100_000);
        let cores = zone(sysfs.path(), "intel-rapl:0:0", "core", 50_000);
        let memory = zone(sysfs.path(), "intel-rapl:0:1", "dram", 10_000);
        let mut meter = meters(sysfs.path()).unwrap().remove(0);
        assert_eq!(meter.read().unwrap().joules, 0.0);
        set(&package, 600_000);
        set(&cores, 300_000);
        set(&memory, 110_000);
        assert!((meter.read().unwrap().joules - 0.6).abs() < 1e-12);
    }

    #[test]
    fn a_counter_that_starts_again_at_zero_goes_on_counting() {
        let sysfs = tempfile::tempdir().unwrap();
        let package = zone(sysfs.path(), "intel-rapl:0", "package-0", 900_000);
        let mut meter = meters(sysfs.path()).unwrap().remove(0);
        for (uj, joules) in [(950_000, 0.05), (50_000, 0.15), (900_000, 1.0), (899_999, 1.999_999)] {
            set(&package, uj);
            assert!((meter.read().unwrap().joules - joules).abs() < 1e-9, "{uj}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_absent_with_the_reason() {
        let sysfs = tempfile::tempdir().unwrap();
        let reason = |path: &Path| {
            let absent = meters(path).err().unwrap();
            assert_eq!((absent.meter, absent.why), (Kind::Rapl, Why::Missing), "{absent:?}");
            absent.reason
        };
        assert!(reason(&sysfs.path().join("none")).contains("is not there"));
        assert!(reason(sysfs.path()).contains("no package counters"));
        let package = zone(sysfs.path(), "intel-rapl:0", "package-0", 1);
        fs::remove_file(package.join("energy_uj")).unwrap();
        assert!(reason(sysfs.path()).contains("energy_uj"));
        fs::write(package.join("energy_uj"), "many").unwrap();
        assert!(reason(sysfs.path()).contains("`many` is not a count"));
    }

    #[test]
    fn a_counter_that_only_root_may_read_is_there_and_forbidden() {
        // Tests may run as root, who may read everything.
        assert_eq!(unread(io::ErrorKind::PermissionDenied.into()).why, Why::Forbidden);
        assert_eq!(unread(io::ErrorKind::NotFound.into()).why, Why::Missing);
    }
}
