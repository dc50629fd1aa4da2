//! `man`.

use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;

use super::failure::Failure;
use super::session::Session;
use super::{Cli, exit};

/// Prints the manual page, one section for each command
#[derive(Debug, Args)]
pub(super) struct Man {}

impl Man {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let Self {} = self;
        let mut command = Cli::command();
        command.build();
        Page::new(command.clone()).render(&mut session.out)?;
        for verb in command.get_subcommands() {
            let page = Page::new(verb.clone());
            page.render_synopsis_section(&mut session.out)?;
            page.render_description_section(&mut session.out)?;
            page.render_options_section(&mut session.out)?;
        }
        Ok(exit::CLEAN)
    }
}
