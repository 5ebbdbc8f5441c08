//! The command line, as a person types it.

mod bench_args;
mod claims_command;
mod compare_args;
mod generate_args;
mod import_args;
mod measure_args;
mod models_command;
mod number;
mod publish_args;
mod run_args;
mod table_args;
mod tasks_command;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use isocost_models::device::DeviceChoice;

pub(crate) use bench_args::{BenchArgs, BenchOutput};
pub(crate) use claims_command::ClaimsCommand;
pub(crate) use compare_args::{CompareArgs, CompareOutput};
pub(crate) use generate_args::{GenerateArgs, Output};
pub(crate) use import_args::ImportArgs;
pub(crate) use measure_args::{CalibrateArgs, EconomyArgs, ReplayArgs, VerifyArgs};
pub(crate) use models_command::ModelsCommand;
pub(crate) use number::Number;
pub(crate) use publish_args::PublishArgs;
pub(crate) use run_args::RunArgs;
pub(crate) use table_args::{TableArgs, TableOutput};
pub(crate) use tasks_command::TasksCommand;

use crate::store::Access;

/// Measures what reasoning costs: accuracy per token, second and dollar, with honest intervals.
#[derive(Debug, Parser)]
#[command(name = "isocost", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Folder of data sets that are looked for before anything is fetched [default: $ISOCOST_DATA].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Carry a sweep out, or go on with one that was interrupted.
    ///
    /// Samples every trajectory once to the largest budget and answers at each smaller budget on a fork,
    /// so one pass yields the whole grid. Stop it at any time; the same command goes on where it stopped.
    #[command(
        after_help = "Examples:\n  isocost run quickstart\n  isocost run my-sweep.toml --out results/runs/mine\n  isocost run quickstart --limit 2 --log-format json 2> events.jsonl"
    )]
    Run(RunArgs),
    /// Sample what another process asks on stdin; started by `run` with several devices.
    #[command(hide = true)]
    Worker {
        /// Where.
        #[arg(long)]
        device: DeviceChoice,
    },
    /// Put the shards of a run together, as if one machine had sampled them, and report on the whole.
    ///
    /// Refused unless all shards are there, finished, and of one sweep, with the same models and version of this program.
    #[command(
        after_help = "Example, the first line on one machine and the second on another:\n  isocost run sweep.toml --shard 1/2 --out a\n  isocost run sweep.toml --shard 2/2 --out b\n  isocost merge a b --out whole"
    )]
    Merge {
        /// The run directory of every shard, in any order.
        #[arg(required = true)]
        shards: Vec<PathBuf>,
        /// Where the whole run goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Say what a sweep would do: cells, trajectories, tokens and time.
    ///
    /// Samples a few trajectories of each model for the estimate; `--no-pilot` gives upper bounds only.
    #[command(after_help = "Example:\n  isocost plan quickstart")]
    Plan {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// Load no model and sample nothing: upper bounds only.
        #[arg(long)]
        no_pilot: bool,
        /// Where the models would run: `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one.
        #[arg(long, default_value_t)]
        device: DeviceChoice,
        /// At most so many problems of each task: a random subset, determined by the sweep's seed.
        #[arg(long, value_name = "K", value_parser = number::count)]
        limit: Option<usize>,
    },
    /// Which models there are, what is known of one, and fetching it from the hub.
    #[command(
        after_help = "Examples:\n  isocost models list\n  isocost models show qwen3-0.6b\n  isocost models fetch hub:Qwen/Qwen3-0.6B\n\nHF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE are honoured."
    )]
    Models {
        /// What to do.
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Measure what steps cost on a device: the surface that prices any run on it.
    ///
    /// Times prefill and decode over rows and context, fits seconds (and joules, where a meter can be read), and shows the
    /// roofline beside it. With `--shape` the weights are random, so no checkpoint is needed.
    #[command(
        after_help = "Examples:\n  isocost calibrate bundled:reason-l\n  isocost calibrate --shape config.json --dtype bf16 --device cuda"
    )]
    Calibrate(CalibrateArgs),
    /// Time how fast prompts are read and tokens written, as llama-bench does.
    ///
    /// Lists and ranges (`1,8,16`, `64-512*2`) are run in every combination, a row for each. Wants an idle machine.
    #[command(
        after_help = "Examples:\n  isocost bench -m ./Qwen3-0.6B\n  isocost bench -m ./Qwen3-0.6B -p 512 -n 64 -b 1,8,16 -d 64,2048 --dtype bf16 -o json\n  isocost bench -m model-q4_k_m.gguf -b 1-16*2"
    )]
    Bench(BenchArgs),
    /// Say what every cell's users would wait on a device, from a run's records and a surface.
    ///
    /// Nothing is generated: the records say how long completions are, the surface what their steps cost.
    #[command(
        after_help = "Examples:\n  isocost replay results/runs/2026-11-22-host-quickstart --surface surface.json\n  isocost replay RUN --surface surface.json --saturated 64 --itl-limit 0.05"
    )]
    Replay(ReplayArgs),
    /// Run some cells of a run alone for real: tokens, accuracy, seconds and joules, predicted against measured.
    ///
    /// Calibrates each model right before its cells. Wants an idle machine.
    #[command(after_help = "Example:\n  isocost verify results/runs/2026-11-22-host-quickstart")]
    Verify(VerifyArgs),
    /// Measure what sampling once saves: a sweep's grid from one pass, against every cell by itself.
    #[command(after_help = "Example:\n  isocost economy quickstart --problems 16")]
    Economy(EconomyArgs),
    /// Make tables, report and pictures of a run again, from its records alone.
    #[command(
        after_help = "Examples:\n  isocost report results/runs/2026-11-22-host-quickstart\n  isocost report RUN --price h100-owned --price mine.toml"
    )]
    Report {
        /// The run directory.
        run: PathBuf,
        /// A further price: built in, or a TOML file. May be repeated.
        #[arg(long, value_name = "PRICE")]
        price: Vec<String>,
    },
    /// Print a run's cells as tables: for a terminal, Markdown, LaTeX, CSV, JSON, Parquet, or a card for the hub.
    ///
    /// Rounded to what each interval supports in text, Markdown and LaTeX, with the conditions under every table; all
    /// digits in CSV, JSON and Parquet.
    #[command(
        after_help = "Examples:\n  isocost table RUN\n  isocost table RUN --leading -o md\n  isocost table RUN -o latex > cells.tex\n  isocost table RUN -o parquet --price h100-owned > cells.parquet"
    )]
    Table(TableArgs),
    /// Publish a finished run: check it, copy it into results/, and make the pages and tables that people link to.
    ///
    /// Refuses a run that is not whole, whose records do not obey the schema, or whose build no commit holds. Writes
    /// results/NAME/, results/index.html, results/README.md, and the leading table into README.md between its markers.
    #[command(
        after_help = "Examples:\n  isocost publish results/runs/2026-11-22-host-quickstart --name quickstart\n  isocost publish RUN --without-trajectories --hub OWNER/NAME\n  isocost publish"
    )]
    Publish(PublishArgs),
    /// Compare runs of other machines, models or versions with a first one: what differs, and what it did.
    ///
    /// Accuracies by difference, tokens, seconds, joules and dollars by ratio, each with its interval, paired by problem where
    /// the runs asked the same questions. Exit code 1 if a gate fails, 2 if the runs cannot be compared.
    #[command(
        after_help = "Examples:\n  isocost compare results/runs/before results/runs/after\n  isocost compare SMALL LARGE --pair reason-s=reason-l --only n=1 -o md\n  isocost compare BEFORE AFTER --fail-on 'accuracy<-2 ci' --fail-on 'seconds>1.5 ci'"
    )]
    Compare(CompareArgs),
    /// Say which registered claims a run supports, contradicts, leaves open or cannot test.
    ///
    /// A verdict needs the 95 % interval wholly on one side of the claim's threshold. What a run lacks for a claim
    /// is named. Everything is left in the run's `claims.json`.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  isocost claims results/runs/2026-11-22-host-quickstart\n  isocost claims RUN --claim best-of-n\n  isocost claims plan quickstart"
    )]
    Claims {
        /// The run directories.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Only this claim.
        #[arg(long, value_name = "ID")]
        claim: Option<String>,
        /// What to do instead.
        #[command(subcommand)]
        plan: Option<ClaimsCommand>,
    },
    /// Continue a prompt, for trying a model by hand.
    ///
    /// A chat model gets its own template, thinks if it can, and answers. `--raw` and `--token-ids` are continued as
    /// they are.
    #[command(
        after_help = "Examples:\n  isocost generate bundled:reason-l --prompt 'make 24 from 2 4 3' --budget 64 --seed 2\n  \
                      isocost generate ./Qwen3-0.6B --prompt 'What is 17 * 23?' --n 4 -o json\n  \
                      isocost generate model-q4_k_m.gguf --raw --prompt 'Once upon' --temperature 0 --max-tokens 32"
    )]
    Generate(GenerateArgs),
    /// Grade JSON lines from stdin: is each answer right, and what was found in it?
    ///
    /// Each line is {"id", "gold", "answer"} or {"id", "gold", "completion"}, and may name a "task" for its conventions.
    /// Each comes back with `equal`, `outcome`, `extracted`, `rule` and `method`. Exit code 1 if a line could not be read.
    #[command(
        after_help = "Example:\n  echo '{\"gold\": \"1/2\", \"completion\": \"So it is \\\\boxed{0.5}\"}' | isocost grade"
    )]
    Grade {
        /// Task whose conventions hold for lines that name none: a built-in one, or a TOML file.
        #[arg(long)]
        task: Option<String>,
    },
    /// Grade a stored run again, without generating, and say what changed.
    ///
    /// The old grading is kept beside the new. Works on imported runs too.
    #[command(
        after_help = "Example:\n  isocost score results/runs/2026-11-22-host-quickstart --show-disagreements"
    )]
    Score {
        /// The run directory.
        run: PathBuf,
        /// Print every answer whose outcome changed, with its text, for a person to read.
        #[arg(long)]
        show_disagreements: bool,
    },
    /// Make a run of completions that another tool sampled, so that its statistics can be had.
    ///
    /// Several completions of one problem are its trajectories. They are graded by this program; what the other tool said
    /// stands beside it, and disagreements are counted. Formats: lm-eval (samples_*.jsonl), lighteval (details_*.parquet),
    /// inspect (eval logs in JSON), jsonl (lines of {"problem_id", "gold", "completion" or "answer" or "correct"}, and
    /// where known "model", "task", "sample" (its number among the problem's, from 0), "complete", "score",
    /// "reasoning_tokens", "answer_tokens" (the completion's tokens are known where both are), "seconds", "usd").
    #[command(
        after_help = "Example:\n  isocost import --format jsonl answers.jsonl --out results/runs/theirs && isocost report results/runs/theirs"
    )]
    Import(ImportArgs),
    /// List the tasks, show one, or preview what a model is asked.
    #[command(
        after_help = "Examples:\n  isocost tasks list\n  isocost tasks show gsm8k\n  isocost tasks preview word-problems --limit 3"
    )]
    Tasks {
        /// What to do.
        #[command(subcommand)]
        command: TasksCommand,
    },
    /// Say what this machine and this build have, and what to do about what is missing.
    ///
    /// Device, instructions, memory, energy meters, the hub and its cache, bundled models, room for runs. Exit code 2 if
    /// something is broken that a run needs.
    #[command(after_help = "Examples:\n  isocost doctor\n  isocost doctor -o json")]
    Doctor {
        /// What is printed.
        #[arg(short, long, value_enum, default_value_t)]
        output: DoctorOutput,
    },
    /// Print a shell's completions of this command line.
    #[command(
        after_help = "Examples:\n  isocost completions bash > ~/.local/share/bash-completion/completions/isocost\n  isocost completions zsh > ~/.zfunc/_isocost\n  isocost completions fish > ~/.config/fish/completions/isocost.fish"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages: one for the program and one for each command.
    #[command(after_help = "Examples:\n  isocost man --out man\n  man -l man/isocost-run.1")]
    Man {
        /// The folder they go to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

impl Command {
    /// The run directories that it is given, which may be places in a store, and what it does with them.
    pub(crate) fn run_directories(&mut self) -> Vec<(&mut PathBuf, Access)> {
        let read = |run| (run, Access::Read);
        let append = |run| (run, Access::Append);
        match self {
            Self::Run(args) => args.out.iter_mut().map(append).collect(),
            Self::Import(args) => vec![append(&mut args.out)],
            Self::Merge { shards, out } => shards.iter_mut().map(read).chain([append(out)]).collect(),
            Self::Score { run, .. } => vec![(run, Access::Rewrite)],
            Self::Replay(args) => vec![read(&mut args.run)],
            Self::Verify(args) => vec![read(&mut args.run)],
            Self::Report { run, .. } => vec![read(run)],
            Self::Table(args) => vec![read(&mut args.run)],
            Self::Compare(args) => [&mut args.base].into_iter().chain(&mut args.others).map(read).collect(),
            Self::Claims { runs, .. } => runs.iter_mut().map(read).collect(),
            Self::Publish(args) => args.run.iter_mut().map(read).collect(),
            _ => vec![],
        }
    }
}

/// How the doctor speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorOutput {
    /// Lines for a person.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command that is shown, with its path, `isocost tasks list`.
    fn commands(path: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            commands(&path, sub, found);
            found.push((path, sub.clone()));
        }
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_understood() {
        Cli::command().debug_assert();
        let mut found = Vec::new();
        commands("isocost", &Cli::command(), &mut found);
        assert!(found.len() > 20);
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter(|line| line.contains("isocost ")).collect();
            assert!(!examples.is_empty() || command.has_subcommands(), "{path} has no example");
            examples.into_iter().for_each(understood);
        }
    }

    /// What follows `isocost` in a line, up to the shell's own words.
    fn understood(line: &str) {
        for call in line.split("&&").filter_map(|part| part.split_once("isocost ")) {
            let words = call.1.split([' ', '\'']).filter(|word| !word.is_empty());
            let words = words.take_while(|word| !matches!(*word, ">" | "2>" | "|"));
            let quoted = call.1.contains('\'');
            let parsed = Cli::try_parse_from(std::iter::once("isocost").chain(words));
            assert!(quoted || parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }
}
