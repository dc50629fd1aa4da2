//! Wraps lines and tables to the width of a terminal.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

/// Columns between two cells.
const GAP: usize = 2;

/// Smallest width of a column.
const NARROW: usize = 14;

/// Breaks a text into lines of at most `width` columns, at spaces where there are some.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width.max(1))
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

/// Pads a text with spaces to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// A table whose first line has the titles; `None` if `width` is too small.
pub(super) fn table(titles: &[&str], rows: &[Vec<String>], width: usize) -> Option<Vec<String>> {
    let mut widths: Vec<usize> = titles.iter().map(|title| title.width()).collect();
    let floors: Vec<usize> = widths.iter().map(|title| NARROW.max(*title)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let gaps = GAP * titles.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let wide = (0..widths.len()).filter(|at| widths[*at] > floors[*at]).max_by_key(|at| widths[*at])?;
        widths[wide] -= 1;
    }
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let mut lines = Vec::with_capacity(rows.len() + 1);
    for row in std::iter::once(&titles).chain(rows) {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| wrap(cell, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            let parts = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| pad(cell.get(line).map_or("", String::as_str), *width));
            lines.push(parts.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned());
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_and_long_ones_break() {
        for (text, width, lines) in [
            ("", 5, &[""][..]),
            ("one two", 7, &["one two"]),
            ("one two", 6, &["one", "two"]),
            ("abcdefgh", 3, &["abc", "def", "gh"]),
            ("a bcdefgh", 4, &["a", "bcde", "fgh"]),
            ("größer größer", 6, &["größer", "größer"]),
            ("日本語", 4, &["日本", "語"]),
            ("日", 1, &["日"]),
        ] {
            assert_eq!(wrap(text, width), lines, "{text} {width}");
        }
    }

    #[test]
    fn a_table_shrinks_its_widest_column() {
        let rows = vec![vec!["a".to_owned(), "some words that are many".to_owned()]];
        let table = |width| table(&["x", "title"], &rows, width);
        assert_eq!(table(40).unwrap(), ["x  title", "a  some words that are many"]);
        assert_eq!(table(18).unwrap(), ["x  title", "a  some words that", "   are many"]);
        assert_eq!(table(10), None);
    }
}
