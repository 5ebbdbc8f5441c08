//! isocost: measures what reasoning costs.
//!
//! This crate only wires: it turns a command line into calls of [`isocost_harness`] (what is measured and
//! concluded) and [`isocost_models`] (what generates). Data goes to stdout, progress to stderr. Exit codes:
//! 0 done, 1 some trials failed or the run was interrupted, 2 usage or environment.

mod bench;
mod calibrate;
mod claims;
mod cli;
mod economy;
mod energy;
mod fetch;
mod generate;
mod grade;
mod import;
mod merge;
mod models;
mod plan;
mod progress;
mod replay;
mod report;
mod run;
mod score;
mod tasks;
mod verify;
mod worker;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use isocost_harness::escape::visible;
use isocost_harness::import::Names;
use isocost_harness::source::Library;

use cli::{ClaimsCommand, Cli, Command, ModelsCommand, TasksCommand};

fn main() -> ExitCode {
    let Cli { command, data } = Cli::parse();
    let library = tasks::library(data);
    let done = match command {
        Command::Run { sweep, out, limit, device, shard } => {
            run::run(&sweep, out, limit, &library, &device, shard)
        }
        Command::Worker { device } => worker::worker(device),
        Command::Merge { shards, out } => merge::merge(&shards, &out, &library).map(|()| ExitCode::SUCCESS),
        Command::Plan { sweep, no_pilot, limit, device } => {
            plan::plan(&sweep, no_pilot, limit, &library, device)
        }
        Command::Models { command } => asked_of_models(&command).map(|()| ExitCode::SUCCESS),
        Command::Tasks { command } => asked_of_tasks(command, &library).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::generate(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Calibrate(options) => calibrate::calibrate(&options),
        Command::Replay { run, surface, saturated, itl_limit } => {
            replay::replay(&run, surface, saturated, itl_limit).map(|()| ExitCode::SUCCESS)
        }
        Command::Verify { run, cells, problems, repeats, time_limit, device } => {
            verify::verify(&run, &verify::Effort { cells, problems, repeats, time_limit }, &library, device)
        }
        Command::Economy { sweep, problems, models, out, device } => {
            economy::economy(&sweep, problems, &models, out, &library, device)
        }
        Command::Claims { plan: Some(ClaimsCommand::Plan { sweep, pilot }), .. } => {
            claims::plan_claims(&sweep, pilot.as_deref(), &library)
        }
        Command::Claims { runs, claim, plan: None } => claims::claims_of_runs(&runs, claim.as_deref()),
        Command::Report { run, price } => report::report(&run, &price).map(|()| ExitCode::SUCCESS),
        Command::Score { run, show_disagreements } => score::score(&run, show_disagreements),
        Command::Import { format, files, out, model, task } => {
            let names = Names { model, task: task.clone() };
            import::import(format.into(), &files, &out, &names, task.as_deref())
        }
        Command::Grade { task } => grade::grade(task.as_deref()),
    };
    done.unwrap_or_else(|error| {
        // A message may quote a file from anywhere.
        eprintln!("isocost: {}", visible(&format!("{error:#}")));
        ExitCode::from(2)
    })
}

fn asked_of_models(command: &ModelsCommand) -> anyhow::Result<()> {
    match command {
        ModelsCommand::List => models::list(),
        ModelsCommand::Show { model } => models::show(model),
        ModelsCommand::Export { gguf: _, model, file } => models::export(model, file),
        ModelsCommand::Fetch { model } => models::fetch(model),
    }
}

fn asked_of_tasks(command: TasksCommand, library: &Library) -> anyhow::Result<()> {
    match command {
        TasksCommand::List => tasks::list(library),
        TasksCommand::Show { name } => tasks::show(&name, library),
        TasksCommand::Preview { name, limit, seed } => tasks::preview(&name, limit, seed, library),
    }
}
