//! isocost: measures what reasoning costs.
//!
//! This crate only wires: it turns a command line into calls of [`isocost_harness`] (what is measured and
//! concluded) and [`isocost_models`] (what generates). Data goes to stdout, progress to stderr. Exit codes:
//! 0 done, 1 some trials failed, a gate failed or the run was interrupted, 2 usage or environment.

// First, so that its macros are everywhere.
#[macro_use]
mod output;

mod allocator;
mod bench;
mod calibrate;
mod claims;
mod cli;
mod closed_stdout;
mod command_line;
mod compare;
mod complete;
mod doctor;
mod economy;
mod energy;
mod failure;
mod fetch;
mod generate;
mod grade;
mod import;
mod live;
mod log;
mod merge;
mod models;
mod plan;
mod progress;
mod publish;
mod replay;
mod report;
mod run;
mod score;
mod so_far;
mod store;
mod table;
mod tasks;
mod verify;
mod worker;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use isocost_harness::source::Library;
use isocost_models::instructions;
use serde_json::json;

use store::WorkingCopies;

use cli::{ClaimsCommand, Cli, Command, ModelsCommand, TasksCommand};

fn main() -> ExitCode {
    allocator::keep_freed_pages();
    let Cli { mut command, data } = Cli::parse();
    // Before anything is said: errors are events too.
    if let Command::Run(args) = &command {
        log::set_format(args.log_format);
    }
    let mut copies = WorkingCopies::default();
    let done = instructions::last().map_err(anyhow::Error::msg);
    let done = done.and_then(|_| copies.check_out(command.run_directories()));
    let done = done.and_then(|()| carried_out(command, &tasks::library(data)?, &copies));
    // Where a store failed, that is why the command stopped.
    copies.check_in().and(done).unwrap_or_else(|error| {
        let message = failure::said(&error);
        log::event("error", json!({ "message": message }), || format!("isocost: {message}"));
        ExitCode::from(2)
    })
}

fn carried_out(command: Command, library: &Library, copies: &WorkingCopies) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args, library, copies),
        Command::Worker { device } => worker::worker(device),
        Command::Merge { shards, out } => merge::merge(&shards, &out, library).map(|()| ExitCode::SUCCESS),
        Command::Plan { sweep, no_pilot, limit, device } => {
            plan::plan(&sweep, no_pilot, limit, library, device)
        }
        Command::Models { command } => asked_of_models(&command).map(|()| ExitCode::SUCCESS),
        Command::Tasks { command } => asked_of_tasks(command, library).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::generate(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Calibrate(args) => calibrate::calibrate(&args),
        Command::Replay(args) => replay::replay(&args).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::verify(&args, library),
        Command::Economy(args) => economy::economy(&args, library),
        Command::Claims { plan: Some(ClaimsCommand::Plan { sweep, pilot }), .. } => {
            claims::plan_claims(&sweep, pilot.as_deref(), library)
        }
        Command::Claims { runs, claim, plan: None } => claims::claims_of_runs(&runs, claim.as_deref()),
        Command::Report { run, price } => report::report(&run, &price).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => compare::compare(&args),
        Command::Publish(args) => publish::publish(&args, library).map(|()| ExitCode::SUCCESS),
        Command::Table(args) => table::table(&args).map(|()| ExitCode::SUCCESS),
        Command::Score { run, show_disagreements } => score::score(&run, show_disagreements),
        Command::Import(args) => import::import(&args),
        Command::Grade { task } => grade::grade(task.as_deref()),
        Command::Doctor { output } => doctor::doctor(output, library),
        Command::Completions { shell } => complete::completions(shell).map(|()| ExitCode::SUCCESS),
        Command::Man { out } => complete::manual(&out).map(|()| ExitCode::SUCCESS),
    }
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
