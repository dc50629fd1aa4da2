//! Writes lines that keep to the width, in the colours that are wanted.

use std::io::{self, Write};

use owo_colors::{OwoColorize, Style};
use unicode_width::UnicodeWidthStr;

use super::layout;

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    /// Use colours.
    pub(super) color: bool,
    /// Columns that a line may fill.
    pub(super) width: usize,
}

impl Pen {
    /// A text in a style.
    pub(super) fn paint(&self, text: &str, style: Style) -> String {
        if self.color && !text.is_empty() { text.style(style).to_string() } else { text.to_owned() }
    }

    /// A text that matters less.
    pub(super) fn dim(&self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }

    /// A heading after an empty line.
    pub(super) fn heading(&self, text: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{}", self.paint(text, style.bold()))
    }

    /// A text at `indent`, wrapped.
    pub(super) fn prose(
        &self,
        indent: usize,
        text: &str,
        style: Style,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for line in layout::wrap(text, self.width.saturating_sub(indent)) {
            writeln!(out, "{:indent$}{}", "", self.paint(&line, style))?;
        }
        Ok(())
    }

    /// A rule's id and a text, on two lines where one is too short.
    pub(super) fn titled(
        &self,
        indent: usize,
        id: (&str, Style),
        text: (&str, Style),
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let name = self.paint(id.0, id.1);
        if indent + id.0.width() + 2 + text.0.width() <= self.width {
            return writeln!(out, "{:indent$}{name}  {}", "", self.paint(text.0, text.1));
        }
        writeln!(out, "{:indent$}{name}", "")?;
        self.prose(indent + 4, text.0, text.1, out)
    }

    /// A text with a label before it, wrapped beside the label.
    pub(super) fn labelled(
        &self,
        (indent, label, width): (usize, &str, usize),
        text: &str,
        styles: (Style, Style),
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let column = indent + width + 2;
        for (number, line) in layout::wrap(text, self.width.saturating_sub(column)).iter().enumerate() {
            let label = layout::pad(if number == 0 { label } else { "" }, width);
            writeln!(out, "{:indent$}{}  {}", "", self.paint(&label, styles.0), self.paint(line, styles.1))?;
        }
        Ok(())
    }

    /// A table, or where it does not fit each of its cells on a line.
    pub(super) fn table(
        &self,
        indent: usize,
        titles: &[&str],
        rows: &[Vec<String>],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if let Some(lines) = layout::table(titles, rows, self.width.saturating_sub(indent)) {
            for (number, line) in lines.iter().enumerate() {
                let line = if number == 0 { self.dim(line) } else { line.clone() };
                writeln!(out, "{:indent$}{line}", "")?;
            }
            return Ok(());
        }
        let width = titles.iter().map(|title| title.len()).max().unwrap_or_default();
        for row in rows {
            for (title, cell) in titles.iter().zip(row) {
                self.labelled((indent, title, width), cell, (Style::new().dimmed(), Style::new()), out)?;
            }
        }
        Ok(())
    }
}
