//! What `tasks` can do.

use clap::Subcommand;

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// The built-in tasks, with the number of their problems where those are on this machine.
    #[command(after_help = "Example:\n  isocost tasks list")]
    List,
    /// A task as its file would have it, defaults filled in.
    #[command(after_help = "Example:\n  isocost tasks show gsm8k > tasks/my-gsm8k.toml")]
    Show {
        /// A built-in task, or a TOML file.
        name: String,
    },
    /// Some problems as a model is asked them, with their reference answers.
    #[command(after_help = "Example:\n  isocost tasks preview chain --limit 1")]
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
