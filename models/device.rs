//! Names of devices and number types, as a person writes them.

use candle_core::{DType, Device};

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name means nothing.
    #[error("no {what} `{name}`: there are {known}")]
    Unknown {
        /// Device or type.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: &'static str,
    },
    /// It is not in this machine, or not in this build.
    #[error("device {name}: {message}; a build with it is `cargo build --release --features {feature}`")]
    Absent {
        /// What was asked for.
        name: String,
        /// What the library says.
        message: String,
        /// The feature of this program.
        feature: &'static str,
    },
}

/// The device called `cpu`, `cuda`, `cuda:1` or `metal`.
///
/// # Errors
/// [`DeviceError`].
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let absent = |feature| {
        move |error: candle_core::Error| {
            let message = error.to_string().lines().next().unwrap_or_default().to_owned();
            DeviceError::Absent { name: name.to_owned(), message, feature }
        }
    };
    let known = "cpu, cuda, cuda:INDEX and metal";
    let unknown = || DeviceError::Unknown { what: "device", name: name.to_owned(), known };
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") => Ok(Device::Cpu),
        ("cuda", index) => Device::new_cuda(index.parse().map_err(|_| unknown())?).map_err(absent("cuda")),
        ("metal", "0") => Device::new_metal(0).map_err(absent("metal")),
        _ => Err(unknown()),
    }
}

/// The number type called `f32`, `f16` or `bf16`.
///
/// # Errors
/// [`DeviceError::Unknown`].
pub fn dtype(name: &str) -> Result<DType, DeviceError> {
    match name {
        "f32" => Ok(DType::F32),
        "f16" => Ok(DType::F16),
        "bf16" => Ok(DType::BF16),
        _ => Err(DeviceError::Unknown { what: "type", name: name.to_owned(), known: "f32, f16 and bf16" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_nothing_is_answered_with_those_that_do() {
        for name in ["gpu", "cuda:x", "cpu:1", ""] {
            assert!(open(name).unwrap_err().to_string().contains("there are cpu"), "{name}");
        }
        assert!(dtype("int4").unwrap_err().to_string().contains("bf16"));
        assert!(open("cpu").unwrap().is_cpu());
    }
}
