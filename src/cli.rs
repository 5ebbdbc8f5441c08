//! The command line, as a person types it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use isocost_harness::cell::Budget;
use isocost_harness::import::Format;

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
        after_help = "Examples:\n  isocost run quickstart\n  isocost run my-sweep.toml --out results/runs/mine"
    )]
    Run {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// Run directory [default: results/runs/DATE-HOST-SWEEP].
        #[arg(long)]
        out: Option<PathBuf>,
        /// At most so many problems of each task: a random subset, determined by the sweep's seed.
        #[arg(long, value_name = "K")]
        limit: Option<usize>,
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
        /// At most so many problems of each task: a random subset, determined by the sweep's seed.
        #[arg(long, value_name = "K")]
        limit: Option<usize>,
    },
    /// Make tables, report and pictures of a run again, from its records alone.
    #[command(after_help = "Example:\n  isocost report results/runs/2026-11-22-host-quickstart")]
    Report {
        /// The run directory.
        run: PathBuf,
    },
    /// Continue a prompt, for trying a model by hand.
    ///
    /// A chat model gets its own template, thinks if it can, and answers. `--raw` and `--token-ids` are continued as
    /// they are.
    #[command(
        after_help = "Examples:\n  isocost generate bundled:reason-l --prompt '3 7 25 -> 46' --budget 64\n  \
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
    /// where known "model", "task", "sample", "complete", "score", "reasoning_tokens", "answer_tokens", "seconds", "usd").
    #[command(
        after_help = "Example:\n  isocost import --format jsonl answers.jsonl --out results/runs/theirs && isocost report results/runs/theirs"
    )]
    Import {
        /// What wrote the files.
        #[arg(long, value_enum)]
        format: ImportFormat,
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Where the run goes.
        #[arg(long)]
        out: PathBuf,
        /// The model's name, where the files do not say.
        #[arg(long)]
        model: Option<String>,
        /// Task whose conventions hold, and whose name is used where the files do not say one.
        #[arg(long)]
        task: Option<String>,
    },
    /// List the tasks, show one, or preview what a model is asked.
    #[command(
        after_help = "Examples:\n  isocost tasks list\n  isocost tasks show gsm8k\n  isocost tasks preview word-problems --limit 3"
    )]
    Tasks {
        /// What to do.
        #[command(subcommand)]
        command: TasksCommand,
    },
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// The built-in tasks, with the number of their problems where those are on this machine.
    List,
    /// A task as its file would have it, defaults filled in.
    Show {
        /// A built-in task, or a TOML file.
        name: String,
    },
    /// Some problems as a model is asked them, with their reference answers.
    Preview {
        /// A built-in task, or a TOML file.
        name: String,
        /// How many: a random subset.
        #[arg(long, value_name = "K", default_value_t = 3)]
        limit: usize,
        /// Seed of the subset.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

/// What wrote the files of an import.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ImportFormat {
    /// lm-evaluation-harness.
    LmEval,
    /// lighteval.
    Lighteval,
    /// inspect_ai.
    Inspect,
    /// Plain JSON lines.
    Jsonl,
}

impl From<ImportFormat> for Format {
    fn from(format: ImportFormat) -> Self {
        match format {
            ImportFormat::LmEval => Self::LmEval,
            ImportFormat::Lighteval => Self::Lighteval,
            ImportFormat::Inspect => Self::Inspect,
            ImportFormat::Jsonl => Self::Jsonl,
        }
    }
}

/// Arguments of `generate`.
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// `bundled:NAME`, a model folder, or a .gguf file.
    pub(crate) model: String,
    /// What to ask.
    #[arg(long, required_unless_present = "token_ids")]
    pub(crate) prompt: Option<String>,
    /// Token ids to continue, separated by commas.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["prompt", "raw"])]
    pub(crate) token_ids: Vec<u32>,
    /// Continue the prompt as it is, without the chat template.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Most reasoning tokens, or `max`; at the budget the thought is closed and an answer forced. 0: do not think.
    #[arg(long)]
    pub(crate) budget: Option<Budget>,
    /// Completions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) n: u32,
    /// 0 takes the most probable token each time.
    #[arg(long, default_value_t = 0.6, value_parser = temperature)]
    pub(crate) temperature: f64,
    /// Draw only from the so many most probable tokens.
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Draw only from the most probable tokens that together reach this probability.
    #[arg(long, value_parser = probability)]
    pub(crate) top_p: Option<f64>,
    /// Most tokens of the answer, and of the thought where --budget sets none.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: u32,
    /// Seed of the random draws.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print each token with the logarithm of its probability (JSON always has them).
    #[arg(long)]
    pub(crate) logprobs: bool,
    /// Type of the numbers [default: as the weights are stored; quantised weights stay quantised].
    #[arg(long)]
    pub(crate) dtype: Option<Number>,
    /// What to print on stdout.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Number {
    /// 32 bits.
    F32,
    /// 16 bits, of which 10 are fraction.
    F16,
    /// 16 bits, of which 7 are fraction.
    Bf16,
}

/// What to print on stdout.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Output {
    /// Thoughts and answers.
    Text,
    /// One JSON document.
    Json,
}

fn temperature(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must be 0 or more".into()) }
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("must be between 0 and 1".into()) }
}
