//! `rules`.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use super::{exit, pipeline};
use crate::finding::{Law, Severity};

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
    id: &'static str,
    law: Law,
    severity: Severity,
    summary: &'static str,
}

/// Name of a severity.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Name of a law.
pub(super) const fn law(law: Law) -> &'static str {
    match law {
        Law::Conservation => "conservation",
        Law::Containment => "containment",
    }
}

impl Rules {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let out = &mut session.out;
        let rows = pipeline::rules().map(|rule| Row {
            id: rule.id,
            law: rule.law,
            severity: rule.severity,
            summary: rule.summary,
        });
        let rows: Vec<Row> = rows.collect();
        match self.format {
            Format::Human => {
                let width = rows.iter().map(|row| row.id.len()).max().unwrap_or_default();
                for row in rows {
                    let (id, severity, law) = (row.id, severity(row.severity), law(row.law));
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
