//! isocost: measures what reasoning costs.
//!
//! This crate only wires: it turns a command line into calls of [`isocost_harness`] (what is measured and
//! concluded) and [`isocost_models`] (what generates). Data goes to stdout, progress to stderr. Exit codes:
//! 0 done, 1 some trials failed or the run was interrupted, 2 usage or environment.

mod cli;
mod generate;
mod grade;
mod import;
mod plan;
mod progress;
mod report;
mod run;
mod score;
mod tasks;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use isocost_harness::import::Names;
use isocost_harness::source::Library;

use cli::{Cli, Command, TasksCommand};

fn main() -> ExitCode {
    let Cli { command, data } = Cli::parse();
    let library = tasks::library(data);
    let done = match command {
        Command::Run { sweep, out, limit } => run::run(&sweep, out, limit, &library),
        Command::Plan { sweep, no_pilot, limit } => plan::plan(&sweep, no_pilot, limit, &library),
        Command::Generate(args) => generate::generate(&args),
        Command::Report { run } => report::report(&run).map(|()| ExitCode::SUCCESS),
        Command::Score { run, show_disagreements } => score::score(&run, show_disagreements),
        Command::Import { format, files, out, model, task } => {
            let names = Names { model, task: task.clone() };
            import::import(format.into(), &files, &out, &names, task.as_deref())
        }
        Command::Grade { task } => grade::grade(task.as_deref()),
        Command::Tasks { command } => asked_of_tasks(command, &library).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("isocost: {error:#}");
        ExitCode::from(2)
    })
}

fn asked_of_tasks(command: TasksCommand, library: &Library) -> anyhow::Result<()> {
    match command {
        TasksCommand::List => tasks::list(library),
        TasksCommand::Show { name } => tasks::show(&name, library),
        TasksCommand::Preview { name, limit, seed } => tasks::preview(&name, limit, seed, library),
    }
}
