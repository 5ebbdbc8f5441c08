//! `worker`: a model on one of several devices, asked by the process that started it.

use std::io::{self, BufReader};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, anyhow, bail};
use isocost_models::checkpoint::Checkpoint;
use isocost_models::crew::Crew;
use isocost_models::device::DeviceChoice;
use isocost_models::engine::LocalEngine;
use isocost_models::worker::{Load, Reply, Request, read_request, serve, write_reply};
use serde_json::json;

use crate::log;

/// Loads the model that the first line names and samples whatever the next ones ask.
pub(crate) fn worker(device: DeviceChoice) -> Result<ExitCode> {
    // Ctrl-C reaches the whole group; it is for the process that started this one to say when to stop.
    ctrlc::set_handler(|| {})?;
    let (mut input, mut output) = (BufReader::new(io::stdin()), io::stdout());
    let Some(Request::Load(load)) = read_request(&mut input).map_err(|e| anyhow!(e))? else {
        bail!("a worker is started by isocost run --device A,B and not by hand");
    };
    match open(device, &load) {
        Ok((mut engine, rows)) => {
            write_reply(&mut output, &Reply::Loaded(rows))?;
            serve(&mut engine, &mut input, &mut output).map_err(|e| anyhow!(e))?;
        }
        Err(error) => write_reply(&mut output, &Reply::Failed(format!("{error:#}")))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn open(device: DeviceChoice, load: &Load) -> Result<(LocalEngine, usize)> {
    let device = device.open()?;
    let checkpoint = Checkpoint::open(&load.source, None, &device)?;
    let memory = LocalEngine::plan_memory(&checkpoint, &device, (load.rows, load.row_tokens))?;
    if memory.batch() == 0 {
        bail!("the model does not fit ({memory})");
    }
    Ok((LocalEngine::new(checkpoint, &device, memory.batch())?, memory.batch()))
}

/// Checks that several devices can be used together.
pub(crate) fn check(devices: &[DeviceChoice]) -> Result<()> {
    let is_twice = |at: usize| devices[..at].contains(&devices[at]) && devices[at] != DeviceChoice::Cpu;
    if let Some(twice) = (0..devices.len()).find(|at| is_twice(*at)) {
        bail!("--device lists {} twice: name each device once", devices[twice]);
    }
    if devices.len() > 1 && devices.contains(&DeviceChoice::Auto) {
        bail!("--device auto is one device: name them all, as in cuda:0,cuda:1");
    }
    Ok(())
}

/// Starts a worker on each device; processors are shared out among those that run on them.
pub(crate) fn crew(devices: &[DeviceChoice], load: &Load) -> Result<Crew> {
    let program = std::env::current_exe().context("finding this program")?;
    let on_cpu = devices.iter().filter(|device| **device == DeviceChoice::Cpu).count();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) / on_cpu.max(1);
    let command = |device: &str| {
        let mut command = Command::new(&program);
        command.args(["worker", "--device", device]);
        if device == "cpu" && std::env::var_os("RAYON_NUM_THREADS").is_none() {
            command.env("RAYON_NUM_THREADS", threads.max(1).to_string());
        }
        command
    };
    let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let crew = Crew::start(&names, command, load)?;
    for (device, id) in crew.workers() {
        let text = || format!("worker on {device}: process {id}");
        log::event("worker", json!({ "device": device, "process": id }), text);
    }
    Ok(crew)
}
