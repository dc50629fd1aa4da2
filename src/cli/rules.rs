//! `rules`.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::session::Session;
use crate::rule::{Law, RuleId, Severity};

/// Lists every rule
#[derive(Debug, Args)]
pub(super) struct Rules {
    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Human,
    Json,
}

#[derive(Serialize)]
struct Row {
    id: RuleId,
    law: Option<Law>,
    severity: Severity,
    summary: &'static str,
}

impl Rules {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let out = &mut session.out;
        let rows = RuleId::ALL.iter().map(|id| id.description()).map(|rule| Row {
            id: rule.id,
            law: rule.law,
            severity: rule.severity,
            summary: rule.summary,
        });
        let rows: Vec<Row> = rows.collect();
        match self.format {
            Format::Human => {
                let width = rows.iter().map(|row| row.id.as_str().len()).max().unwrap_or_default();
                for row in rows {
                    let (id, severity, law) = (row.id, row.severity.name(), row.law.map_or("", Law::name));
                    writeln!(out, "{id:width$}  {severity:7}  {law:12}  {}", row.summary)?;
                }
            }
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &rows).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(exit::CLEAN)
    }
}
