//! `completions SHELL`.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::Failure;
use super::session::Session;
use super::{Cli, exit};

/// Prints a completion script
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell that reads it
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        // The generator panics when its writer fails, and a reader may well go away.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "bottle-migrate", &mut script);
        session.out.write_all(&script)?;
        Ok(exit::CLEAN)
    }
}
