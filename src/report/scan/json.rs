//! One JSON document, a finding to a line.

use std::io::{self, Write};

use super::Document;

pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"schema\":{},\n\"findings\":[", serde_json::to_string(&document.schema)?)?;
    lines(&document.findings, out)?;
    out.write_all(b"],\n\"skipped\":[")?;
    lines(&document.skipped, out)?;
    writeln!(out, "],\n\"summary\":{}}}", serde_json::to_string(&document.summary)?)
}

fn lines<T: serde::Serialize>(values: &[T], out: &mut dyn Write) -> io::Result<()> {
    for (number, value) in values.iter().enumerate() {
        out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, value)?;
    }
    if values.is_empty() { Ok(()) } else { out.write_all(b"\n") }
}
