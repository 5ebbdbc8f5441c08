//! The file in which surfaces travel.
//!
//! It may be anybody's, so it is checked as it is read: every number that can be made of a surface that was read is finite.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::step_cost::is_amount;
use crate::surface::{Surface, SurfaceError};

/// Version of the file's form.
const SCHEMA: u32 = 1;

/// A file of surfaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SurfaceFile {
    schema: u32,
    surfaces: Vec<Surface>,
}

impl Surface {
    /// Reads a file of surfaces.
    ///
    /// # Errors
    /// [`SurfaceError::File`].
    pub fn read_all(path: &Path) -> Result<Vec<Self>, SurfaceError> {
        let error = |message: String| SurfaceError::File { path: path.to_owned(), message };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        let file: SurfaceFile = serde_json::from_str(&text).map_err(|e| error(e.to_string()))?;
        if file.schema != SCHEMA {
            return Err(error(format!("is of version {}, not {SCHEMA}", file.schema)));
        }
        file.surfaces.iter().try_for_each(Self::check).map_err(error)?;
        Ok(file.surfaces)
    }

    /// Whether numbers can be made of it: the file may be anybody's.
    fn check(&self) -> Result<(), String> {
        let wrong =
            |what: &str| format!("the surface of {} on {}: {what}", self.name.model, self.name.device);
        if !self.name.shape.is_sound() {
            return Err(wrong("no network has the sizes of its shape"));
        }
        self.cost.check().map_err(|message| wrong(&message))?;
        if !self.energy.is_none_or(|energy| energy.is_sound()) {
            return Err(wrong("a price of its energy is below 0 or beyond all devices"));
        }
        let is_rate = |rate: f64| rate > 0.0 && rate.is_finite();
        if self.rates.is_some_and(|r| !is_rate(r.copy_bytes_per_s) || !is_rate(r.matrix_flop_per_s)) {
            return Err(wrong("a rate of the device is not above 0"));
        }
        if self.traffic.is_some_and(|traffic| traffic.weights_bytes == 0) {
            return Err(wrong("its steps read no weights"));
        }
        if !self.points.iter().all(|p| p.step.seconds > 0.0 && is_amount(p.step.seconds)) {
            return Err(wrong("a step was measured to take no time, or too much"));
        }
        Ok(())
    }

    /// The text of a file of surfaces.
    pub fn write_all(surfaces: &[Self]) -> String {
        let file = SurfaceFile { schema: SCHEMA, surfaces: surfaces.to_vec() };
        serde_json::to_string(&file).expect("a surface is plain data") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roofline::{Rates, Traffic};
    use crate::step_energy::Energy;
    use crate::surface::tests::{name, points, truth};

    #[test]
    fn a_surface_survives_its_file_and_an_unknown_field_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("surface.json");
        let surface = Surface::fit(name(), points(truth), None).unwrap();
        std::fs::write(&path, Surface::write_all(std::slice::from_ref(&surface))).unwrap();
        let read = Surface::read_all(&path).unwrap().remove(0);
        assert_eq!((&read.name, read.range, read.points.len()), (&surface.name, surface.range, 128));
        for point in &surface.points {
            let (wrote, read) = (surface.cost.seconds(&point.step.load), read.cost.seconds(&point.step.load));
            assert!((read / wrote - 1.0).abs() < 1e-12);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("null") && !text.contains("NaN"));
        std::fs::write(&path, text.replacen("\"name\"", "\"colour\": 1, \"name\"", 1)).unwrap();
        assert!(Surface::read_all(&path).unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn a_surface_that_no_device_has_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("surface.json");
        let mut surface = Surface::fit(name(), points(truth), None).unwrap();
        surface.energy =
            Some(Energy { watts: 1.0, joules_per_fed_token: 0.0, joules_per_attended_token: 0.0 });
        surface.rates = Some(Rates { copy_bytes_per_s: 1e10, matrix_flop_per_s: 1e11 });
        surface.traffic = Some(Traffic { weights_bytes: 1, kv_bytes_per_token: 1 });
        let read = |place: &str, value: f64| {
            let mut file: serde_json::Value =
                serde_json::from_str(&Surface::write_all(std::slice::from_ref(&surface))).unwrap();
            let found = file.pointer_mut(&format!("/surfaces/0/{place}")).unwrap();
            *found = if found.is_u64() { (value as u64).into() } else { value.into() };
            std::fs::write(&path, file.to_string()).unwrap();
            Surface::read_all(&path)
        };
        read("energy/watts", 2.0).unwrap();
        for place in ["points/0/step/load/context_tokens", "traffic/kv_bytes_per_token"] {
            let surface = read(place, 1.8e19).unwrap().remove(0);
            let bound = surface.bound(&surface.points[0].step.load).unwrap();
            assert!(bound.bytes.is_finite() && bound.seconds.is_finite(), "{place}");
        }
        for (place, value, complaint) in [
            ("cost/base/1/fed_tokens", 1.0, "do not ascend"),
            ("cost/base/0/fed_tokens", 4e9, "do not ascend"),
            ("cost/base/0/seconds", -1.0, "between 0"),
            ("cost/per_attended_token_s", 1e300, "between 0"),
            ("energy/watts", -1.0, "energy"),
            ("rates/copy_bytes_per_s", 0.0, "rate"),
            ("points/0/step/seconds", 0.0, "no time"),
            ("name/shape/layers", 1e19, "no network"),
            ("traffic/weights_bytes", 0.0, "no weights"),
        ] {
            let message = read(place, value).unwrap_err().to_string();
            assert!(message.contains("surface.json: ") && message.contains(complaint), "{message}");
            assert!(message.ends_with("measure it again with `isocost calibrate`"), "{message}");
        }
    }
}
