//! `completions` and `man`: the command line as shells and `man` want it, from its one description in [`Cli`].

use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Prints a shell's completions.
pub(crate) fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "isocost", &mut script);
    print!("{}", String::from_utf8(script)?);
    Ok(())
}

/// Writes a manual page for the program and each command.
pub(crate) fn manual(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(|| folder.display().to_string())
}
