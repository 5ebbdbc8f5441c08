//! Energy by windows of seconds, as meters measured it.
//!
//! `energy.jsonl` of a run has one line for each window and meter. Joules are gross: what flows while the device idles is
//! in them, and is given beside them. A window whose joules cannot be trusted says so and why; it is kept, and not
//! counted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json_lines;
use crate::run_error::RunError;

/// One meter over one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// What was read, with the device.
    pub meter: String,
    /// How long it was.
    pub seconds: f64,
    /// Joules, idle power included; absent if the meter measured nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
    /// Watts measured before the run, while nothing was done; absent if that could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<f64>,
    /// Whether the joules can be trusted.
    pub energy_valid: bool,
    /// If not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// A window with whose it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedWindow {
    /// The model's name in the sweep.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The window.
    pub window: Window,
}

/// Appends windows to a run's `energy.jsonl`.
///
/// # Errors
/// [`RunError::File`].
pub fn append_energy(run: &Path, model: &str, task: &str, windows: Vec<Window>) -> Result<(), RunError> {
    let logged = |window| LoggedWindow { model: model.to_owned(), task: task.to_owned(), window };
    json_lines::append(&run.join("energy.jsonl"), windows.into_iter().map(logged))
}

/// All windows of a run.
///
/// # Errors
/// [`RunError::File`] if the file is there and cannot be read.
pub fn read_energy(run: &Path) -> Result<Vec<LoggedWindow>, RunError> {
    json_lines::read(&run.join("energy.jsonl"))
}

/// Watts of each model on each task: of each meter joules over seconds of its valid windows, the meters added up. Absent
/// unless every meter that was read has a valid window: a part of the watts would pass for all of them.
pub fn mean_watts(windows: &[LoggedWindow]) -> BTreeMap<(String, String), f64> {
    /// Joules and seconds of each meter.
    type Sums<'a> = BTreeMap<&'a str, (f64, f64)>;
    let mut meters: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for LoggedWindow { model, task, window } in windows {
        let sum = meters.entry((model, task)).or_default().entry(&window.meter).or_default();
        if let (true, Some(joules)) = (window.energy_valid, window.joules) {
            *sum = (sum.0 + joules, sum.1 + window.seconds);
        }
    }
    let watts = |(joules, seconds): &(f64, f64)| (*seconds > 0.0).then(|| joules / seconds);
    let of_all = |((model, task), sums): (&(&str, &str), &Sums)| {
        let sum = sums.values().map(watts).sum::<Option<f64>>()?;
        Some((((*model).to_owned(), (*task).to_owned()), sum))
    };
    meters.iter().filter_map(of_all).collect()
}

/// Joules of one cut, all its meters together; absent unless those of each can be trusted, and without meters.
pub fn joules_of_all(windows: &[Window]) -> Option<f64> {
    let trusted = |window: &Window| window.joules.filter(|_| window.energy_valid);
    let sum = windows.iter().map(trusted).sum::<Option<f64>>();
    sum.filter(|_| !windows.is_empty())
}

/// What the windows of a run say, in sentences for its report.
pub fn summary(windows: &[LoggedWindow]) -> Vec<String> {
    let mut meters: Vec<&str> = windows.iter().map(|w| w.window.meter.as_str()).collect();
    meters.sort_unstable();
    meters.dedup();
    meters.iter().map(|meter| sentence(meter, windows)).collect()
}

fn sentence(meter: &str, windows: &[LoggedWindow]) -> String {
    let of_meter: Vec<&Window> = windows.iter().map(|w| &w.window).filter(|w| w.meter == meter).collect();
    let valid: Vec<&&Window> = of_meter.iter().filter(|w| w.energy_valid).collect();
    let joules: f64 = valid.iter().filter_map(|w| w.joules).sum();
    let seconds: f64 = valid.iter().map(|w| w.seconds).sum();
    if seconds == 0.0 {
        let reasons = of_meter.iter().flat_map(|w| &w.reasons).cloned().collect::<Vec<_>>().join("; ");
        return format!("Energy by {meter}: no window is valid ({reasons}).");
    }
    let idle = of_meter.iter().find_map(|w| w.idle_watts);
    let idle = idle.map_or(String::new(), |watts| format!(", {watts:.1} W when idle"));
    format!(
        "Energy by {meter}: {joules:.0} J in {seconds:.0} s ({:.1} W{idle}); {} of {} windows valid.",
        joules / seconds,
        valid.len(),
        of_meter.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(joules: f64, reasons: &[&str]) -> Window {
        Window {
            meter: "rapl".into(),
            seconds: 2.0,
            joules: Some(joules),
            idle_watts: Some(10.0),
            energy_valid: reasons.is_empty(),
            reasons: reasons.iter().map(|r| (*r).to_owned()).collect(),
        }
    }

    fn logged(meter: &str, joules: f64, reasons: &[&str]) -> LoggedWindow {
        let window = Window { meter: meter.into(), ..window(joules, reasons) };
        LoggedWindow { model: "m".into(), task: "t".into(), window }
    }

    #[test]
    fn a_meter_without_a_valid_window_leaves_no_watts_of_the_others() {
        let windows = [logged("rapl", 40.0, &[]), logged("nvml", 900.0, &["throttled"])];
        assert!(mean_watts(&windows).is_empty());
        let other = LoggedWindow { task: "u".into(), ..logged("nvml", 10.0, &[]) };
        let windows = [&windows[..], &[other]].concat();
        assert_eq!(mean_watts(&windows), BTreeMap::from([(("m".to_owned(), "u".to_owned()), 5.0)]));
    }

    #[test]
    fn joules_of_several_meters_are_known_where_those_of_each_are() {
        let (whole, doubted) = (window(40.0, &[]), window(2.0, &["throttled"]));
        let unread = Window { joules: None, ..whole.clone() };
        assert_eq!(joules_of_all(&[whole.clone(), whole.clone()]), Some(80.0));
        for partial in [vec![whole.clone(), doubted], vec![whole, unread], vec![]] {
            assert_eq!(joules_of_all(&partial), None);
        }
    }

    #[test]
    fn the_watts_of_two_meters_add_up_and_windows_that_are_not_valid_do_not_count() {
        let windows = [
            logged("rapl", 40.0, &[]),
            logged("rapl", 60.0, &[]),
            logged("nvml", 10.0, &[]),
            logged("nvml", 1e9, &["no"]),
        ];
        let watts = mean_watts(&windows);
        assert_eq!(watts.get(&("m".to_owned(), "t".to_owned())), Some(&30.0));
        assert!(mean_watts(&windows[3..]).is_empty());
    }

    #[test]
    fn windows_are_kept_with_their_doubts_and_only_valid_ones_count() {
        let run = tempfile::tempdir().unwrap();
        append_energy(run.path(), "m", "t", vec![window(100.0, &[]), window(999.0, &["throttled"])]).unwrap();
        append_energy(run.path(), "m", "t", vec![]).unwrap();
        let windows = read_energy(run.path()).unwrap();
        assert_eq!(windows.len(), 2);
        let line = "Energy by rapl: 100 J in 2 s (50.0 W, 10.0 W when idle); 1 of 2 windows valid.";
        assert_eq!(summary(&windows), [line]);
    }

    #[test]
    fn a_run_without_meters_has_no_energy_and_does_not_say_zero() {
        let run = tempfile::tempdir().unwrap();
        append_energy(run.path(), "m", "t", vec![]).unwrap();
        assert!(!run.path().join("energy.jsonl").exists());
        assert!(summary(&read_energy(run.path()).unwrap()).is_empty());
    }
}
