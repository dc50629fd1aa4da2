//! `schema plan|map|report|scan|config`.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::exit;
use super::failure::Failure;
use super::session::Session;
use crate::{config, report};

/// Prints a JSON Schema
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Document that the schema describes
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// Plans, as `render` and `diff` read them
    Plan,
    /// Map files, as `--map` reads them
    Map,
    /// Output of `diff --format json`
    Report,
    /// Output of `scan-tests --format json`
    Scan,
    /// bottle-migrate.toml
    Config,
}

impl Schema {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let schema = match self.of {
            Of::Plan => bottle_model::plan::schema(),
            Of::Map => crate::view::map_schema(),
            Of::Report => report::schema(),
            Of::Scan => report::scan::schema(),
            Of::Config => config::schema(),
        };
        serde_json::to_writer_pretty(&mut session.out, &schema).map_err(std::io::Error::from)?;
        writeln!(session.out)?;
        Ok(exit::CLEAN)
    }
}
