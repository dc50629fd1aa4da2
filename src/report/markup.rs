//! What the formats with markup share.

use super::Entry;
use super::fold::Row;
use crate::finding::Severity;

/// A text as character data or attribute value of XML and HTML.
///
/// What XML 1.0 allows in no document is left out (XML 1.0, "Char").
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// Titles of [`cells`].
pub(super) const TITLES: [&str; 7] = ["severity", "rule", "who", "what", "before", "after", "where"];

/// A row of findings as the cells of a table; absent ones are empty.
pub(super) fn cells(row: &Row<'_>) -> [String; 7] {
    let entry = row.entry;
    let severity = match (&entry.waived, entry.severity) {
        (Some(_), _) => "waived",
        (None, Severity::Error) => "error",
        (None, Severity::Warning) => "warning",
        (None, Severity::Note) => "note",
    };
    [
        severity.to_owned(),
        entry.rule.id.to_string(),
        row.principals(),
        entry.subject.clone(),
        entry.before.clone().unwrap_or_default(),
        entry.after.clone().unwrap_or_default(),
        place(entry),
    ]
}

fn place(entry: &Entry) -> String {
    match (&entry.file, entry.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        _ => String::new(),
    }
}

/// Why a row is there: the reason of its waiver, or what the finding says.
pub(super) fn why<'a>(row: &Row<'a>) -> &'a str {
    let entry = row.entry;
    entry.waived.as_deref().unwrap_or_else(|| row.message().unwrap_or(entry.rule.summary))
}
