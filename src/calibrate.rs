//! `calibrate`: what steps cost on this device, as a surface that travels.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use isocost_harness::calibration_report::{roofline_table, summary};
use isocost_harness::engine::Sampling;
use isocost_harness::run_directory::write_whole;
use isocost_harness::surface::{Name, Surface};
use isocost_models::calibrate::{Bench, Grid};
use isocost_models::engine::{DType, LocalEngine};
use isocost_models::meter::Watch;
use isocost_models::random_model::RandomModel;
use isocost_models::{device, device_rates};

use crate::cli::CalibrateArgs;
use crate::energy::start_meters;
use crate::output;
use crate::progress::Downloads;
use crate::workload::{date, host};

/// Calibrates a model, or a shape with random weights, and prints what was found.
pub(crate) fn calibrate(options: &CalibrateArgs) -> Result<ExitCode> {
    output::check_writable(options.out.as_deref().unwrap_or(Path::new("results/surfaces/a.json")))?;
    let device = options.device.open()?;
    let dtype = options.dtype.map(DType::from);
    let mut watch = start_meters(&device);
    let grid = |context| Grid::up_to(options.rows, context, plain(), options.time_limit);
    let surface = match (&options.model, &options.shape) {
        (Some(model), None) => {
            let source = Downloads::resolve(model)?;
            let mut engine = LocalEngine::load(&source, &device, dtype, options.rows)?;
            let grid = grid(options.context.min(engine.config().context));
            of_engine(&mut engine, model, &grid, &mut watch)?
        }
        (None, Some(config)) => {
            let dtype = dtype.unwrap_or(DType::F32);
            let mut random = RandomModel::new(config, &device, dtype, options.context)?;
            let grid = grid(options.context.min(random.config().context));
            let name = config.display().to_string();
            measure(random.bench(), &name, &grid, &mut watch)?
        }
        _ => bail!("give either a MODEL or --shape config.json"),
    };
    let out = options.out.clone().unwrap_or_else(|| default_path(&surface));
    print(&surface);
    write_surface(&out, &surface)?;
    Ok(ExitCode::SUCCESS)
}

/// Sampling without filters, as the bundled sweeps do.
fn plain() -> Sampling {
    Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None }
}

/// Measures a loaded model's steps.
pub(crate) fn of_engine(
    engine: &mut LocalEngine,
    model: &str,
    grid: &Grid,
    watch: &mut Watch,
) -> Result<Surface> {
    measure(engine.bench(), model, grid, watch)
}

fn measure(
    (decoder, cache): (&isocost_models::decoder::Decoder, &mut isocost_models::cache::Cache),
    model: &str,
    grid: &Grid,
    watch: &mut Watch,
) -> Result<Surface> {
    let name = Name {
        model: model.to_owned(),
        device: device::describe(decoder.device()),
        shape: decoder.config().shape(),
        dtype: decoder.stored_as(),
        engine: concat!("isocost ", env!("CARGO_PKG_VERSION"), " ", env!("ISOCOST_COMMIT")).to_owned(),
        date: date(),
    };
    let rates = device_rates::measure(decoder).context("measuring the device")?;
    let traffic = decoder.traffic();
    let mut bench = Bench::new(decoder, cache, grid);
    let mut said = 0;
    let points = bench.measure(&mut |share| {
        let tenths = (share * 10.0) as u32;
        if tenths > said {
            eprintln!("calibrating {model}: {} % of the time limit", tenths * 10);
            said = tenths;
        }
    })?;
    let windows = bench.measure_energy(watch)?;
    let surface = Surface::fit(name, points, Some(rates))?.with_traffic(traffic);
    Ok(if windows.is_empty() { surface } else { surface.with_energy(windows) })
}

fn print(surface: &Surface) {
    println!("{}", roofline_table(surface).terminal());
    for line in summary(surface) {
        println!("{line}");
    }
}

fn default_path(surface: &Surface) -> PathBuf {
    let plain = |text: &str| -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        text.chars().map(kept).collect()
    };
    let file = format!("{}-{}-{}-{}.json", date(), host(), plain(&surface.name.model), surface.name.dtype);
    Path::new("results/surfaces").join(file)
}

fn write_surface(out: &Path, surface: &Surface) -> Result<()> {
    write_whole(out, &Surface::write_all(std::slice::from_ref(surface)))?;
    eprintln!("wrote {}", out.display());
    Ok(())
}
