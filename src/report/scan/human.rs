//! For a terminal: each line with its names marked, and what to write instead.

use std::io::{self, Write};

use owo_colors::Style;
use unicode_width::UnicodeWidthStr;

use super::super::Verbosity;
use super::super::pen::Pen;
use super::{Document, Entry, RenderOptions, order, verdict};
use crate::scan::{Certainty, Zone};

pub(super) fn write(document: &Document, options: RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let summary = &document.summary;
    let style = if summary.findings == 0 { Style::new().green().bold() } else { Style::new().red().bold() };
    let pen = Pen { color: options.color, width: options.width };
    if options.verbosity != Verbosity::Quiet {
        for zone in Zone::ALL {
            in_zone(document, zone, options, &pen, out)?;
        }
        totals(document, &pen, out)?;
    }
    for skipped in &document.skipped {
        writeln!(
            out,
            "{} {}: {}",
            pen.paint("not searched:", Style::new().yellow()),
            skipped.file,
            skipped.reason
        )?;
    }
    writeln!(out, "{}", pen.paint(&verdict(summary), style))
}

fn in_zone(
    document: &Document,
    zone: Zone,
    options: RenderOptions,
    pen: &Pen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let shown = |entry: &&Entry| {
        entry.zone == zone && (entry.waived.is_none() || options.verbosity == Verbosity::Loud)
    };
    let entries: Vec<&Entry> = document.findings.iter().filter(shown).collect();
    if entries.is_empty() {
        return Ok(());
    }
    let title = match zone {
        Zone::Test => "Tests",
        Zone::Code => "Code",
        Zone::Doc => "Documents",
    };
    writeln!(out, "{}\n", pen.paint(title, Style::new().bold().underline()))?;
    for group in entries.chunk_by(|one, other| one.file == other.file) {
        writeln!(out, "{}", pen.paint(&group[0].file, Style::new().bold()))?;
        let width = group.iter().map(|entry| entry.line.to_string().len()).max().unwrap_or(1);
        for same in group.chunk_by(|one, other| one.line == other.line) {
            line(same, width, options, pen, out)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// One line of a file with everything that is found on it.
fn line(
    entries: &[&Entry],
    width: usize,
    options: RenderOptions,
    pen: &Pen,
    out: &mut dyn Write,
) -> io::Result<()> {
    let first = entries[0];
    let indent = first.text.chars().take_while(|c| *c == ' ').count();
    let room = options.width.saturating_sub(width + 5).max(20);
    // The window begins where the first name is still seen.
    let end = entries.iter().map(|entry| entry.column - 1 + entry.width).max().unwrap_or_default();
    let start = if end.saturating_sub(indent) <= room {
        indent
    } else {
        (first.column - 1).saturating_sub(12).max(indent)
    };
    let window: String = first.text.chars().skip(start).take(room).collect();
    let (lead, tail) = (
        if start > indent { "…" } else { "" },
        if first.text.chars().count() > start + room { "…" } else { "" },
    );
    writeln!(out, "  {:>width$} │ {lead}{}{tail}", first.line, window.trim_end())?;
    for entry in entries {
        let before: String =
            first.text.chars().skip(start).take((entry.column - 1).saturating_sub(start)).collect();
        let left = before.width() + lead.width();
        let marks = "^".repeat(entry.width.min(room.saturating_sub(left).max(1)));
        let service = entry.service.as_ref().map_or_else(String::new, |service| format!(" {service}"));
        let unsure = if entry.certainty == Certainty::Unsure { ", unsure: may be the agent's" } else { "" };
        let (tone, note) = match (&entry.waived, entry.safe) {
            (Some(reason), _) => (Style::new().dimmed(), format!(", accepted: {reason}")),
            (None, true) => (Style::new().red(), ", --fix".to_owned()),
            (None, false) => (Style::new().red(), String::new()),
        };
        let label = format!("{}{service}{unsure}{note}", entry.rule);
        writeln!(
            out,
            "  {:>width$} │ {:left$}{} {}",
            "",
            "",
            pen.paint(&marks, tone),
            pen.paint(&label, tone)
        )?;
        writeln!(out, "  {:>width$} │ {:left$}→ {}", "", "", entry.suggestion)?;
    }
    Ok(())
}

fn totals(document: &Document, pen: &Pen, out: &mut dyn Write) -> io::Result<()> {
    let summary = &document.summary;
    if summary.findings == 0 {
        return Ok(());
    }
    let mut forms: Vec<_> = summary.forms.iter().collect();
    forms.sort_by_key(|(form, _)| order(form));
    let width = forms.iter().map(|(form, _)| form.len()).max().unwrap_or_default();
    writeln!(out, "{}", pen.paint("By form", Style::new().bold()))?;
    for (form, count) in forms {
        writeln!(out, "  {form:width$}  {count:>4}")?;
    }
    let zones: Vec<_> =
        summary.zones.iter().map(|(zone, count)| format!("{} {count}", zone.name())).collect();
    writeln!(out, "By zone: {}\n", zones.join(", "))
}
