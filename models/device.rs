//! Where a model runs: the processor, an NVIDIA GPU, or an Apple one.
//!
//! The choice is a person's, and it is said in the output and in the manifest; nothing falls back silently. Only `auto` looks
//! for itself: the first GPU that this build can use, else the processor.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::instructions;

/// What a person asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if this build and this machine have one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The program lacks the part that drives it.
    #[error(
        "--device {choice}: this build has no {feature}: build it with: cargo build --release --features {feature}"
    )]
    NotBuilt {
        /// What was asked for.
        choice: DeviceChoice,
        /// The cargo feature.
        feature: &'static str,
    },
    /// The machine lacks it, or its driver fails.
    #[error(
        "--device {choice}: cannot be opened ({message}): check the GPU's number and driver, or take --device cpu"
    )]
    Unusable {
        /// What was asked for.
        choice: DeviceChoice,
        /// The driver's message.
        message: String,
    },
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`DeviceError`]; `auto` and `cpu` cannot fail.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Auto => Ok(Self::Cuda(0).open().or_else(|_| Self::Metal.open()).unwrap_or(Device::Cpu)),
            Self::Cpu => Ok(Device::Cpu),
            Self::Metal if !cfg!(feature = "metal") => self.not_built("metal"),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => crate::cuda::open(index).map_err(|e| self.unusable(&e)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => self.not_built("cuda"),
            Self::Metal => Device::new_metal(0).map_err(|e| self.unusable(&e)),
        }
    }

    fn not_built(self, feature: &'static str) -> Result<Device, DeviceError> {
        Err(DeviceError::NotBuilt { choice: self, feature })
    }

    fn unusable(self, error: &candle_core::Error) -> DeviceError {
        let message = error.to_string();
        let message = match message.lines().next().unwrap_or_default() {
            text if text.contains("NO_DEVICE") => "there is no NVIDIA GPU or no driver",
            text if text.contains("INVALID_DEVICE") => "there is no GPU of this number",
            text => text,
        };
        DeviceError::Unusable { choice: self, message: message.to_owned() }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => {
                let index = text.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                index.map(Self::Cuda).ok_or_else(|| "choose cpu, cuda, cuda:INDEX, metal or auto".into())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Metal => write!(f, "metal"),
        }
    }
}

/// The device in words, with the model of its hardware: `cuda:0, NVIDIA H200`.
pub fn describe(device: &Device) -> String {
    match device {
        Device::Cpu => processor(),
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            let stream = cuda.cuda_stream();
            let name = stream.context().name().unwrap_or_else(|_| "an unnamed GPU".into());
            format!("cuda:{}, {name}", stream.context().ordinal())
        }
        #[cfg(feature = "metal")]
        Device::Metal(metal) => format!("metal, {}", metal.metal_device().architecture_name()),
        #[cfg(not(all(feature = "cuda", feature = "metal")))]
        other => format!("{:?}", other.location()).to_lowercase(),
    }
}

/// Where a GPU is plugged in, which all of a driver's libraries agree on; the numbers they give GPUs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GpuPlace {
    pub(crate) domain: u32,
    pub(crate) bus: u32,
    pub(crate) device: u32,
}

/// The place of an NVIDIA GPU; none of other devices, or if the driver does not say.
pub(crate) fn gpu_place(device: &Device) -> Option<GpuPlace> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute as Attribute;
            let stream = cuda.cuda_stream();
            let ask = |which| stream.context().attribute(which).ok()?.try_into().ok();
            Some(GpuPlace {
                domain: ask(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?,
                bus: ask(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?,
                device: ask(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?,
            })
        }
        _ => None,
    }
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, n)| n.trim()));
    format!("cpu, {cores} cores, {}{}", name.unwrap_or(std::env::consts::ARCH), instructions::limit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_as_it_is_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3", "metal"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "CUDA"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_which_command_builds_it() {
        let message = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(message.contains("cargo build --release --features cuda"), "{message}");
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu() || cfg!(feature = "metal"));
    }
}
