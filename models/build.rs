//! With the feature `cuda`: compiles the kernels to PTX, which the driver compiles on for the GPU it finds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The oldest GPUs whose tensor cores know bf16.
const LEAST_CAPABILITY: u32 = 80;
/// The oldest ones on which a kernel can wait for the one before it.
const WAITING_CAPABILITY: u32 = 90;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cuda/kernels");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in ["NVCC", "NVCC_CCBIN", "CUDA_HOME", "CUDA_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-env-changed=CUDA_COMPUTE_CAP");
    // What the library's kernels are compiled for: what the build was told, or else the GPU that is here.
    let capability = env::var("CUDA_COMPUTE_CAP").ok().or_else(capability_here).unwrap_or_default();
    println!("cargo:rustc-env=ISOCOST_CUDA_CAPABILITY={capability}");
    println!("cargo:rustc-env=ISOCOST_CUDA_TOOLKIT={}", toolkit().unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where")).join("kernels.ptx");
    let source = Path::new("cuda/kernels/kernels.cu");
    compile(source, &out, &architecture(&capability)).unwrap_or_else(|message| panic!("{message}"));
}

/// What the kernels are written for: any GPU that can run them, or, where more is to be had, any from there on.
fn architecture(capability: &str) -> String {
    let waits = capability.parse().is_ok_and(|capability: u32| capability >= WAITING_CAPABILITY);
    format!("compute_{}", if waits { WAITING_CAPABILITY } else { LEAST_CAPABILITY })
}

/// That of the GPU of this machine, which is what the library's kernels are compiled for.
fn capability_here() -> Option<String> {
    let asked =
        Command::new("nvidia-smi").args(["--query-gpu=compute_cap", "--format=csv,noheader"]).output();
    let said = String::from_utf8(asked.ok()?.stdout).ok()?;
    let digits = said.lines().next()?.trim().replace('.', "");
    digits.parse::<u32>().ok().map(|capability| capability.to_string())
}

fn compile(source: &Path, out: &Path, architecture: &str) -> Result<(), String> {
    let nvcc = nvcc();
    let mut command = Command::new(&nvcc);
    command.args(["-ptx", "-O3", "-std=c++17", "-arch", architecture, "-o"]).arg(out).arg(source);
    if let Some(compiler) = env::var_os("NVCC_CCBIN") {
        command.arg("-ccbin").arg(compiler);
    }
    let result = command.output().map_err(|e| {
        let nvcc = nvcc.display();
        format!("{nvcc}: {e}: set NVCC or CUDA_HOME, or see scripts/cuda-toolkit.sh")
    })?;
    let said = String::from_utf8_lossy(&result.stderr).into_owned();
    if !result.status.success() || fs::metadata(out).is_err() {
        return Err(format!("{}: {said}", source.display()));
    }
    Ok(())
}

/// The toolkit's version in thousands, as drivers say theirs: 13.0 is 13000.
fn toolkit() -> Option<String> {
    let said = Command::new(nvcc()).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.split_once("release ")?.1.split(',').next()?.split_once('.')?;
    Some((1000 * major.parse::<u32>().ok()? + 10 * minor.trim().parse::<u32>().ok()?).to_string())
}

fn nvcc() -> PathBuf {
    let home = ["CUDA_HOME", "CUDA_PATH"].into_iter().find_map(env::var_os);
    env::var_os("NVCC")
        .map(PathBuf::from)
        .or_else(|| home.map(|home| Path::new(&home).join("bin/nvcc")).filter(|path| path.exists()))
        .unwrap_or_else(|| "nvcc".into())
}
