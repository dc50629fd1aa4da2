//! GitHub Flavored Markdown, for comments and job summaries.

use std::io::{self, Write};

use super::markup::{TITLES, cells, why};
use super::{Comparison, Entry, Failed, Reporter, Summary, fold};
use crate::text::count;

/// Writes a heading and a table for each comparison.
#[derive(Debug, Default)]
pub struct Markdown;

/// A text as a code span in a cell of a table.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

/// A text as plain text.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '&') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn table(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "| {} | why |\n|{}", TITLES.join(" | "), "---|".repeat(TITLES.len() + 1))?;
    for row in fold::rows(entries.iter()) {
        for (at, cell) in cells(&row).iter().enumerate() {
            write!(out, "| {} ", if at == 0 { plain(cell) } else { code(cell) })?;
        }
        writeln!(out, "| {} |", plain(why(&row)))?;
    }
    writeln!(out)
}

impl Reporter for Markdown {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "### {}\n\n{}\n", plain(&comparison.label), comparison.summary().sentence())?;
        table(&comparison.entries, out)
    }

    fn failed(&mut self, failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
        let line = failed.line.map_or_else(String::new, |line| format!("line {line}: "));
        writeln!(out, "### {}\n\nNOT checked: {line}{}\n", plain(&failed.file), plain(&failed.message))
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        if !closing.is_empty() {
            writeln!(out, "### Waivers\n")?;
            table(closing, out)?;
        }
        writeln!(out, "**{}** ({})", summary.sentence(), count(summary.compared, "comparison"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_cannot_leave_its_cell() {
        for (text, shown) in [
            ("", ""),
            ("a", "`a`"),
            ("a|b", "`a\\|b`"),
            ("a`b", "``a`b``"),
            ("``", "``` `` ```"),
            ("<b>", "`<b>`"),
        ] {
            assert_eq!(code(text), shown);
        }
        assert_eq!(plain("a|b <b> `c` [d](e)"), "a\\|b \\<b\\> \\`c\\` \\[d\\](e)");
    }
}
