//! The surface: what a step costs on one device, by how much it has to do.
//!
//! Measured once by `calibrate` and fitted; with it any trajectory can be priced on that device without generating
//! anything again ([`crate::replay`]). A surface belongs to a device, a model's shape, a number type and a version
//! of this engine, says so, and travels as a file. What it was fitted to and how well it predicts loads that it has not
//! seen is part of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model_shape::ModelShape;
use crate::roofline::{Bound, Rates, Traffic};
use crate::statistics::quantile;
use crate::step::{Load, Step};
use crate::step_cost::StepCost;
use crate::step_energy::{Energy, EnergyPoint};

/// Of so many measured workloads one is held out for the error of the fit.
const HELD_OUT: u32 = 3;

/// What a surface was measured for. Two with equal names measure the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The model it was measured with, or the file its shape came from; for the reader.
    pub model: String,
    /// The device.
    pub device: String,
    /// Sizes of the decoder.
    pub shape: ModelShape,
    /// How the weights are stored: `bf16`, `q4k+q6k`.
    pub dtype: String,
    /// Program, version and commit.
    pub engine: String,
    /// The day, `YYYY-MM-DD`.
    pub date: String,
}

/// A measured step: the middle of its repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Number of the workload it was part of; workloads are held out as wholes.
    pub workload: u32,
    /// Its load, and the mean of its seconds without the lowest and highest tenth.
    pub step: Step,
    /// How often it was measured.
    pub repeats: u32,
    /// Half the 95 % interval of the median, relative to it.
    pub half_width: f64,
}

/// How far predictions were from what was measured, relative to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitError {
    /// Steps that were predicted without having been fitted to.
    pub points: usize,
    /// Half of the errors are smaller.
    pub median: f64,
    /// Nine of ten errors are smaller.
    pub p90: f64,
    /// The largest.
    pub max: f64,
}

/// The largest loads that were measured; beyond them the surface extrapolates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Rows.
    pub rows: u32,
    /// Tokens fed in a step.
    pub fed_tokens: u32,
    /// Tokens that a new token attended to, averaged over the step.
    pub context_tokens: u64,
}

/// The fitted cost of steps on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// What it was measured for.
    pub name: Name,
    /// Seconds of a step.
    pub cost: StepCost,
    /// Joules of a step; absent where no meter could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// What was measured.
    pub range: Range,
    /// Error on workloads held out; absent if there were too few to hold any out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<FitError>,
    /// Rates of the device, for the roofline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// What a step must move, for the roofline; in files of before, what numbers of the type would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// The measurements.
    pub points: Vec<Point>,
    /// The measurements of energy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub energy_points: Vec<EnergyPoint>,
}

/// Why there is no surface.
#[derive(Debug, thiserror::Error)]
pub enum SurfaceError {
    /// A file cannot be read or is no file of surfaces.
    #[error("{}: {message}: measure it again with `isocost calibrate`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Nothing was measured.
    #[error("no step was measured within the time limit: raise --time-limit")]
    Nothing,
}

impl Surface {
    /// Fits a surface to measurements.
    ///
    /// # Errors
    /// [`SurfaceError::Nothing`] without measurements of more than 0 seconds.
    pub fn fit(name: Name, mut points: Vec<Point>, rates: Option<Rates>) -> Result<Self, SurfaceError> {
        points.retain(|point| point.step.seconds > 0.0 && point.step.seconds.is_finite());
        if points.is_empty() {
            return Err(SurfaceError::Nothing);
        }
        let all: Vec<&Point> = points.iter().collect();
        let (cost, range, held_out) = (fit_cost(&all), range(&points), held_out(&points));
        Ok(Self {
            name,
            cost,
            energy: None,
            range,
            held_out,
            rates,
            traffic: None,
            points,
            energy_points: vec![],
        })
    }

    /// The same with what a step must move.
    pub fn with_traffic(self, traffic: Traffic) -> Self {
        Self { traffic: Some(traffic), ..self }
    }

    /// The least seconds of a step on this device; absent where its rates were not measured.
    pub fn bound(&self, load: &Load) -> Option<Bound> {
        let Name { shape, dtype, .. } = &self.name;
        let number_bytes = if dtype == "f32" { 4 } else { 2 };
        let traffic = self.traffic.unwrap_or_else(|| Traffic::of_numbers(shape, number_bytes));
        Some(self.rates?.bound(shape, &traffic, load))
    }

    /// The same with joules fitted to windows of calibration.
    pub fn with_energy(self, windows: Vec<EnergyPoint>) -> Self {
        Self { energy: Energy::fit(&windows), energy_points: windows, ..self }
    }

    /// Whether a load lies within what was measured.
    pub fn covers(&self, load: &Load) -> bool {
        load.rows <= self.range.rows
            && load.fed_tokens <= self.range.fed_tokens
            && mean_context(load) <= self.range.context_tokens as f64
    }
}

fn mean_context(load: &Load) -> f64 {
    load.attended_tokens as f64 / f64::from(load.fed_tokens.max(1))
}

fn fit_cost(points: &[&Point]) -> StepCost {
    let measured: Vec<(Load, f64)> = points.iter().map(|p| (p.step.load, p.step.seconds)).collect();
    StepCost::fit(&measured)
}

fn range(points: &[Point]) -> Range {
    points.iter().fold(Range::default(), |range, point| {
        let load = &point.step.load;
        Range {
            rows: range.rows.max(load.rows),
            fed_tokens: range.fed_tokens.max(load.fed_tokens),
            context_tokens: range.context_tokens.max(mean_context(load).ceil() as u64),
        }
    })
}

/// Errors of predictions for every third workload by a fit to the others, in turn, so that each is predicted once.
fn held_out(points: &[Point]) -> Option<FitError> {
    let mut errors = Vec::new();
    for fold in 0..HELD_OUT {
        let (out, kept): (Vec<&Point>, Vec<&Point>) =
            points.iter().partition(|p| p.workload % HELD_OUT == fold);
        if kept.is_empty() {
            return None;
        }
        let (cost, within) = (fit_cost(&kept), range(&kept.into_iter().cloned().collect::<Vec<_>>()));
        // Beyond what is kept the fit would extrapolate, which the surface with all points does not.
        let predicted = out.iter().filter(|p| p.step.load.fed_tokens <= within.fed_tokens);
        errors.extend(predicted.map(|p| (cost.seconds(&p.step.load) / p.step.seconds - 1.0).abs()));
    }
    FitError::of(errors)
}

impl FitError {
    /// Summary of relative errors; `None` if there are none.
    pub fn of(mut errors: Vec<f64>) -> Option<Self> {
        errors.sort_by(f64::total_cmp);
        let at = |share: f64| quantile(&errors, share);
        Some(Self { points: errors.len(), median: at(0.5)?, p90: at(0.9)?, max: at(1.0)? })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model_shape::tests::qwen_1_5b;
    use crate::step::StepKind;

    pub(crate) fn name() -> Name {
        let text = |text: &str| text.to_owned();
        Name {
            model: text("m"),
            device: text("d"),
            shape: qwen_1_5b(),
            dtype: text("f32"),
            engine: text("isocost"),
            date: text("2026-01-01"),
        }
    }

    /// Decode and prefill steps on a device whose true cost is `seconds`.
    pub(crate) fn points(seconds: impl Fn(&Load) -> f64) -> Vec<Point> {
        let mut points = Vec::new();
        let mut add = |workload: u32, load: Load| {
            let step = Step { kind: StepKind::Decode, load, seconds: seconds(&load), ..Step::default() };
            points.push(Point { workload, step, repeats: 9, half_width: 0.01 });
        };
        let mut workload = 0;
        for context in [16u64, 64, 256, 1024] {
            for rows in [1u32, 2, 4, 8, 12, 16, 32, 64] {
                let mut prompt = Load::default();
                prompt.add_row(0, context as u32);
                add(workload, prompt);
                for (fed, forks) in [(1, rows), (1, 0), (6, 0)] {
                    let mut load = Load { forks, sampled_tokens: rows + forks, ..Load::default() };
                    (0..rows).for_each(|_| load.add_row(context, fed));
                    add(workload, load);
                }
                workload += 1;
            }
        }
        points
    }

    /// Overhead, staircase in tokens, attention, sampling, forks: shaped like a real device.
    pub(crate) fn truth(load: &Load) -> f64 {
        let matrices = f64::from(load.fed_tokens).max(16.0) * 2e-5;
        let attention = load.attended_tokens as f64 * 3e-8;
        3e-4 + matrices + attention + f64::from(load.sampled_tokens) * 4e-6 + f64::from(load.forks) * 2e-5
    }

    #[test]
    fn a_device_with_a_flat_start_and_a_slope_is_predicted_within_a_few_percent() {
        let surface = Surface::fit(name(), points(truth), None).unwrap();
        let error = surface.held_out.unwrap();
        assert!(error.median < 0.02 && error.max < 0.15, "{error:?}");
        assert!(error.points > 100);
    }

    #[test]
    fn an_error_that_is_there_is_reported() {
        let crooked = |load: &Load| truth(load) * if load.rows == 12 { 2.0 } else { 1.0 };
        let error = Surface::fit(name(), points(crooked), None).unwrap().held_out.unwrap();
        assert!(error.max > 0.3, "{error:?}");
    }

    #[test]
    fn loads_beyond_the_measured_ones_are_known_as_such() {
        let surface = Surface::fit(name(), points(truth), None).unwrap();
        let load = |rows: u32, context| {
            let mut load = Load::default();
            (0..rows).for_each(|_| load.add_row(context, 1));
            load
        };
        assert!(surface.covers(&load(64, 1000)));
        assert!(!surface.covers(&load(65, 10)) && !surface.covers(&load(2, 2000)));
    }

    #[test]
    fn a_step_is_bound_by_the_bytes_that_its_weights_take_and_in_old_files_by_those_of_their_type() {
        let rates = Rates { copy_bytes_per_s: 1e9, matrix_flop_per_s: 1e15 };
        let surface = Surface::fit(name(), points(truth), Some(rates)).unwrap();
        let bytes = |surface: &Surface| surface.bound(&Load::default()).unwrap().bytes;
        let shape = qwen_1_5b();
        assert_eq!(bytes(&surface), (4 * (shape.layer_parameters() + shape.head_parameters())) as f64);
        assert_eq!(bytes(&surface.with_traffic(Traffic { weights_bytes: 7, kv_bytes_per_token: 3 })), 7.0);
        assert!(Surface::fit(name(), points(truth), None).unwrap().bound(&Load::default()).is_none());
    }

    #[test]
    fn nothing_measured_is_an_error_and_not_a_surface_of_zeros() {
        assert!(matches!(Surface::fit(name(), vec![], None), Err(SurfaceError::Nothing)));
        assert!(matches!(Surface::fit(name(), points(|_| 0.0), None), Err(SurfaceError::Nothing)));
    }
}
