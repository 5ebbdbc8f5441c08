//! isocost: measures what reasoning costs.
//!
//! This crate only wires: it turns a command line into calls of [`isocost_harness`] (what is measured and
//! concluded) and [`isocost_models`] (what generates). Data goes to stdout, progress to stderr. Exit codes:
//! 0 done, 1 some trials failed or the run was interrupted, 2 usage or environment.

mod calibrate;
mod cli;
mod economy;
mod energy;
mod generate;
mod plan;
mod progress;
mod replay;
mod report;
mod run;
mod verify;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { sweep, out } => run::run(&sweep, out),
        Command::Plan { sweep, no_pilot } => plan::plan(&sweep, no_pilot),
        Command::Calibrate(options) => calibrate::calibrate(&options),
        Command::Replay { run, surface, saturated, itl_limit } => {
            replay::replay(&run, surface, saturated, itl_limit).map(|()| ExitCode::SUCCESS)
        }
        Command::Verify { run, cells, problems, repeats, time_limit } => {
            verify::verify(&run, &verify::Effort { cells, problems, repeats, time_limit })
        }
        Command::Economy { sweep, problems, models, out } => economy::economy(&sweep, problems, &models, out),
        Command::Generate(args) => generate::generate(&args),
        Command::Report { run } => report::report(&run).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("isocost: {error:#}");
        ExitCode::from(2)
    })
}
