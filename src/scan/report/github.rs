//! Workflow commands that GitHub shows as annotations.

use std::io::{self, Write};

use super::{Document, sentence, verdict};
use crate::finding::Severity;
use crate::report::{github_data, github_property};

pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    for entry in document.findings.iter().filter(|entry| entry.waived.is_none()) {
        let command = match entry.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        writeln!(
            out,
            "::{command} file={},line={},col={},title={}::{}",
            github_property(&entry.file),
            entry.line,
            entry.column,
            github_property(&entry.form),
            github_data(&sentence(entry))
        )?;
    }
    for skipped in &document.skipped {
        let (file, reason) = (github_property(&skipped.file), github_data(&skipped.reason));
        writeln!(out, "::warning file={file},title=not searched::{reason}")?;
    }
    writeln!(out, "{}", verdict(&document.summary))
}
