//! isocost: measures what reasoning costs.
//!
//! This crate only wires: it turns a command line into calls of [`isocost_harness`] (what is measured and
//! concluded) and [`isocost_models`] (what generates). Data goes to stdout, progress to stderr. Exit codes:
//! 0 done, 1 some trials failed or the run was interrupted, 2 usage or environment.

mod claims;
mod cli;
mod plan;
mod progress;
mod report;
mod run;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use cli::{ClaimsCommand, Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { sweep, out } => run::run(&sweep, out),
        Command::Plan { sweep, no_pilot } => plan::plan(&sweep, no_pilot),
        Command::Claims { plan: Some(ClaimsCommand::Plan { sweep, pilot }), .. } => {
            claims::plan_claims(&sweep, pilot.as_deref())
        }
        Command::Claims { runs, claim, plan: None } => claims::claims_of_runs(&runs, claim.as_deref()),
        Command::Report { run, price } => report::report(&run, &price).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("isocost: {error:#}");
        ExitCode::from(2)
    })
}
