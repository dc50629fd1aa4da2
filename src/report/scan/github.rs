//! Workflow commands that GitHub shows as annotations.

use std::io::{self, Write};

use super::super::github::{Annotation, command};
use super::{Document, sentence, verdict};

pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    for entry in document.findings.iter().filter(|entry| entry.waived.is_none()) {
        let annotation = Annotation {
            command: command(entry.severity),
            file: Some(&entry.file),
            line: Some(entry.line),
            column: Some(entry.column),
            title: entry.rule.as_str(),
            text: &sentence(entry),
        };
        annotation.write(out)?;
    }
    for skipped in &document.skipped {
        let annotation = Annotation {
            command: "warning",
            file: Some(&skipped.file),
            line: None,
            column: None,
            title: "not searched",
            text: &skipped.reason,
        };
        annotation.write(out)?;
    }
    writeln!(out, "{}", verdict(&document.summary))
}
