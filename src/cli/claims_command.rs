//! What `claims` can do beside testing.

use std::path::PathBuf;

use clap::Subcommand;

/// What else to do with claims.
#[derive(Debug, Subcommand)]
pub(crate) enum ClaimsCommand {
    /// Say how many problems and trajectories each claim needs, and what they would cost.
    #[command(after_help = "Example:\n  isocost claims plan quickstart --pilot results/runs/mine")]
    Plan {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// A run that shows how much the numbers vary, what a trajectory takes, and what that costs.
        #[arg(long, value_name = "RUN")]
        pilot: Option<PathBuf>,
    },
}
