//! Places in texts.

/// Line and column, both from 1 and columns in characters, of the byte `offset` of a text; an offset that is not the
/// start of a character counts as the end of the text before it.
#[must_use]
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::line_and_column;

    #[test]
    fn lines_and_columns_start_at_1_and_count_characters() {
        let text = "a\nöb\n";
        for (offset, expected) in
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (3, (2, 1)), (4, (2, 2)), (6, (3, 1)), (99, (3, 1))]
        {
            assert_eq!(line_and_column(text, offset), expected, "{offset}");
        }
    }
}
