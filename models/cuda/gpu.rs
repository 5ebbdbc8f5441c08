//! A GPU: opened, and given work.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cublas::sys as blas;
use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{CudaDevice, DType, Device, Error, Result, Storage, Tensor};

/// The kernels, compiled by `build.rs`.
const KERNELS: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));
/// The library's own scratch memory; without it, captured products would allocate.
const WORKSPACE_BYTES: usize = 32 << 20;
/// Dynamic shared memory that a kernel may use without asking.
pub(super) const UNASKED_SHARED_BYTES: usize = 48 << 10;
/// Sums are not rounded to 16 bits where a product is cut along its inner dimension.
const FULL_SUMS: blas::cublasMath_t = blas::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
/// The oldest GPUs whose tensor cores know bf16, as in `build.rs`.
const LEAST_CAPABILITY: i32 = 80;
/// The oldest GPUs on which a kernel can wait for the one before it, as in `build.rs`.
const WAITING_CAPABILITY: i32 = 90;
/// What the library's kernels were compiled for, and the toolkit's version in thousands; empty if the build does not say.
const CAPABILITY: &str = env!("ISOCOST_CUDA_CAPABILITY");
const TOOLKIT: &str = env!("ISOCOST_CUDA_TOOLKIT");

/// Opens the GPU of this number for the rest of the program.
///
/// # Errors
/// If there is none, its driver fails, or driver or GPU cannot run what this program was built for.
pub fn open(index: usize) -> Result<Device> {
    check_driver()?;
    // A stream of its own: the default one differs from thread to thread.
    let device = Device::new_cuda_with_stream(index)?;
    let cuda = device.as_cuda_device()?;
    check_capability(cuda)?;
    // SAFETY: everything is given to this one stream, so nothing need be waited for.
    unsafe { cuda.disable_event_tracking() };
    // Some virtual GPUs have no pools: memory is then fetched and given back each time.
    let _ = keep_freed_memory(cuda);
    // SAFETY: the handle is the device's own.
    unsafe { blas::cublasSetMathMode(*cuda.cublas_handle().handle(), FULL_SUMS) }
        .result()
        .map_err(Error::wrap)?;
    // SAFETY: it is written before it is read, by the library.
    let workspace = unsafe { Tensor::empty(WORKSPACE_BYTES, DType::U8, &device)? };
    let at = address(&workspace)?;
    // SAFETY: the memory is never freed.
    unsafe { blas::cublasSetWorkspace_v2(*cuda.cublas_handle().handle(), at as *mut _, WORKSPACE_BYTES) }
        .result()
        .map_err(Error::wrap)?;
    std::mem::forget(workspace);
    Ok(device)
}

/// A driver must know the instructions that the kernels were written in.
fn check_driver() -> Result<()> {
    let mut version = 0;
    // SAFETY: the version is written through a pointer to what it expects.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().w()?;
    let Some(built) = TOOLKIT.parse::<i32>().ok().filter(|built| version / 1000 < built / 1000) else {
        return Ok(());
    };
    candle_core::bail!(
        "the driver is for CUDA {}, this program was built with CUDA {}: install a newer driver",
        version / 1000,
        built / 1000
    )
}

/// Whether a kernel may be started while the one before it still runs: unless `ISOCOST_CUDA_IN_TURN` is set, to see whether it
/// matters.
fn starts_early() -> bool {
    CAPABILITY.parse().is_ok_and(|capability: i32| capability >= WAITING_CAPABILITY)
        && std::env::var_os("ISOCOST_CUDA_IN_TURN").is_none()
}

/// From Hopper on the library's kernels are compiled for one capability alone.
fn check_capability(cuda: &CudaDevice) -> Result<()> {
    let (major, minor) = cuda.cuda_stream().context().compute_capability().w()?;
    let has = 10 * major + minor;
    let needed = CAPABILITY.parse().unwrap_or(LEAST_CAPABILITY);
    let runs = if needed < 90 { has >= needed.max(LEAST_CAPABILITY) } else { has == needed };
    if runs {
        return Ok(());
    }
    candle_core::bail!(
        "the GPU has compute capability {major}.{minor}, this program was built for {}.{}: build it with \
         CUDA_COMPUTE_CAP={has} (at least {LEAST_CAPABILITY})",
        needed / 10,
        needed % 10
    )
}

/// By default what is freed goes back to the system whenever the stream is waited for, to be fetched again.
fn keep_freed_memory(cuda: &CudaDevice) -> Result<()> {
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the attribute is such a number.
    unsafe { sys::cuMemPoolSetAttribute(pool(cuda)?, attribute, (&raw mut threshold).cast()) }.result().w()
}

/// What memory comes from.
fn pool(cuda: &CudaDevice) -> Result<sys::CUmemoryPool> {
    let mut pool = std::ptr::null_mut();
    // SAFETY: it is written before it is read.
    unsafe { sys::cuDeviceGetDefaultMemPool(&mut pool, cuda.cuda_stream().context().cu_device()) }
        .result()
        .w()?;
    Ok(pool)
}

/// Memory that nothing uses: what the system has, and what was freed and kept.
///
/// # Errors
/// If the driver fails.
pub(crate) fn free_bytes(cuda: &CudaDevice) -> Result<u64> {
    use sys::CUmemPool_attribute::{CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, CU_MEMPOOL_ATTR_USED_MEM_CURRENT};
    let pool = pool(cuda)?;
    let ask = |attribute| {
        let mut bytes = 0u64;
        // SAFETY: the attributes are such numbers.
        unsafe { sys::cuMemPoolGetAttribute(pool, attribute, (&raw mut bytes).cast()) }.result().w()?;
        Ok::<u64, Error>(bytes)
    };
    let (free, _) = cuda.cuda_stream().context().mem_get_info().w()?;
    let kept =
        ask(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?.saturating_sub(ask(CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?);
    Ok(free as u64 + kept)
}

/// Where a tensor's numbers begin. It must be contiguous.
pub(super) fn address(tensor: &Tensor) -> Result<u64> {
    use candle_core::cuda_backend::CudaStorageSlice as Slice;
    use candle_core::cuda_backend::cudarc::driver::DevicePtr;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(cuda) = &*storage else { candle_core::bail!("a tensor is not on the GPU") };
    if !layout.is_contiguous() {
        candle_core::bail!("a tensor is not contiguous")
    }
    let stream = cuda.device.cuda_stream();
    let start = match &cuda.slice {
        Slice::U8(s) => s.device_ptr(&stream).0,
        Slice::U32(s) => s.device_ptr(&stream).0,
        Slice::F32(s) => s.device_ptr(&stream).0,
        Slice::F16(s) => s.device_ptr(&stream).0,
        Slice::BF16(s) => s.device_ptr(&stream).0,
        _ => candle_core::bail!("no kernel takes {:?}", tensor.dtype()),
    };
    Ok(start + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64)
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    /// An address; 0 for none.
    At(u64),
    Number(u32),
    Real(f32),
}

impl Arg {
    /// Where its value is.
    fn place(&self) -> *mut std::ffi::c_void {
        match self {
            Self::At(address) => std::ptr::from_ref(address).cast_mut().cast(),
            Self::Number(number) => std::ptr::from_ref(number).cast_mut().cast(),
            Self::Real(number) => std::ptr::from_ref(number).cast_mut().cast(),
        }
    }
}

/// How many threads in how many blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub(super) grid: [usize; 2],
    pub(super) threads: usize,
    pub(super) shared_bytes: usize,
}

impl Blocks {
    pub(super) fn of(grid: [usize; 2], threads: usize) -> Self {
        Self { grid, threads, shared_bytes: 0 }
    }
}

/// A GPU that runs this project's kernels.
pub(super) struct Gpu {
    device: CudaDevice,
    pub(super) processors: usize,
    /// Shared memory that a block may have at most.
    pub(super) most_shared_bytes: usize,
    /// Whether the kernels were compiled to wait for one another.
    starts_early: bool,
}

impl Gpu {
    pub(super) fn new(device: &Device) -> Result<Self> {
        use sys::CUdevice_attribute as Attribute;
        let device = device.as_cuda_device()?.clone();
        let stream = device.cuda_stream();
        let ask = |attribute| stream.context().attribute(attribute).w();
        let shared = Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        Ok(Self {
            processors: ask(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize,
            most_shared_bytes: ask(shared)? as usize,
            starts_early: starts_early(),
            device,
        })
    }

    pub(super) fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// Memory that holds anything until it is written.
    pub(super) fn empty(&self, shape: (usize, usize), dtype: DType) -> Result<Tensor> {
        // An allocation of nothing is an error.
        let shape = (shape.0.max(1), shape.1.max(1));
        // SAFETY: every kernel writes what later ones read.
        unsafe { Tensor::empty(shape, dtype, &Device::Cuda(self.device.clone())) }
    }

    /// Starts a kernel behind everything before it.
    pub(super) fn launch(&self, name: &str, blocks: Blocks, args: &[Arg]) -> Result<()> {
        self.start(name, blocks, args, false)
    }

    /// Starts a kernel behind another one, if the GPU can before that one has ended: both wait for what they read
    /// (`wait_for_previous` in `number.cuh`).
    pub(super) fn follow(&self, name: &str, blocks: Blocks, args: &[Arg]) -> Result<()> {
        self.start(name, blocks, args, self.starts_early)
    }

    fn start(&self, name: &str, blocks: Blocks, args: &[Arg], starts_early: bool) -> Result<()> {
        let function = self.device.get_or_load_custom_func(name, "isocost", KERNELS)?;
        if blocks.shared_bytes > UNASKED_SHARED_BYTES {
            use sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST;
            function.set_attribute(MOST, blocks.shared_bytes as i32).w()?;
        }
        let stream = self.device.cuda_stream();
        stream.context().bind_to_thread().w()?;
        let mut early = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let config = sys::CUlaunchConfig {
            gridDimX: blocks.grid[0] as u32,
            gridDimY: blocks.grid[1] as u32,
            gridDimZ: 1,
            blockDimX: blocks.threads as u32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: blocks.shared_bytes as u32,
            hStream: stream.cu_stream(),
            attrs: &raw mut early,
            numAttrs: u32::from(starts_early),
        };
        let mut args: Vec<*mut std::ffi::c_void> = args.iter().map(Arg::place).collect();
        // SAFETY: callers give each kernel what its source asks for; `tests/cuda` runs them all. Arguments are copied.
        unsafe {
            sys::cuLaunchKernelEx(&config, function.cu_function(), args.as_mut_ptr(), std::ptr::null_mut())
        }
        .result()
        .w()
    }
}
