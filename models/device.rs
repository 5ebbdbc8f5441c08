//! Names of devices, as a person writes them.

use candle_core::Device;

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name means nothing.
    #[error("no device `{name}`: there are cpu, cuda, cuda:INDEX and metal")]
    Unknown {
        /// What was asked for.
        name: String,
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
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") => Ok(Device::Cpu),
        ("cuda", index) => Device::new_cuda(index.parse().map_err(|_| unknown())?).map_err(absent("cuda")),
        ("metal", "0") => Device::new_metal(0).map_err(absent("metal")),
        _ => Err(unknown()),
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
        assert!(open("cpu").unwrap().is_cpu());
    }
}
