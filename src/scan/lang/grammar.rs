//! Parsing within bounds: no text makes a grammar slow, large or abort.
//!
//! A grammar's scanner keeps the open blocks in a buffer of fixed size and asserts that they fit, so that nesting is
//! measured before a text is parsed. The work of the parser is counted, and the depth of its tree is measured, because
//! what walks the tree calls itself for every level.

use std::ops::ControlFlow;

use tree_sitter::{Language, ParseOptions, Parser, Range, Tree};

/// Most blocks within each other.
const BLOCKS: usize = 64;

/// Most brackets within each other.
const BRACKETS: usize = 200;

/// Most lines that a backslash joins to the next.
const JOINED: usize = 4096;

/// Deepest tree that is searched.
const DEPTH: usize = 400;

/// Calls of the parser's progress function for each byte of a text, and for any text.
const WORK: (usize, usize) = (1, 4096);

/// What is reported of a text that is not parsed.
pub(in crate::scan) const REFUSED: &str = "nested too deeply or too costly to parse: searched as plain text";

/// Parses a text, or the `ranges` of it if there are any; `None`: it is beyond the bounds.
pub(super) fn parse(language: &Language, source: &str, ranges: &[Range]) -> Option<Tree> {
    if !is_shallow(source) {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(language).ok()?;
    parser.set_included_ranges(ranges).ok()?;
    let mut left = source.len() * WORK.0 + WORK.1;
    let mut progress = |_: &_| match left.checked_sub(1) {
        Some(less) => {
            left = less;
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let mut bytes = |at: usize, _| source.as_bytes().get(at..).unwrap_or_default();
    let tree = parser.parse_with_options(&mut bytes, None, Some(options))?;
    is_flat(&tree).then_some(tree)
}

/// Whether no more blocks and brackets are open at once than the grammars can keep.
fn is_shallow(source: &str) -> bool {
    let mut columns: Vec<usize> = Vec::new();
    let (mut brackets, mut joined) = (0_usize, 0_usize);
    for line in source.lines() {
        let mut rest = line.trim_start_matches([' ', '\t']);
        joined += usize::from(line.ends_with('\\'));
        if rest.is_empty() {
            continue;
        }
        // `- - a` opens a block at each dash.
        loop {
            let column = line.len() - rest.len();
            while columns.last().is_some_and(|open| *open >= column) {
                columns.pop();
            }
            columns.push(column);
            if columns.len() > BLOCKS || joined > JOINED {
                return false;
            }
            match rest.strip_prefix(['-', '?', ':']) {
                Some(inner) if inner.starts_with([' ', '\t']) && !inner.trim().is_empty() => {
                    rest = inner.trim_start_matches([' ', '\t']);
                }
                _ => break,
            }
        }
        for byte in line.bytes() {
            match byte {
                b'(' | b'[' | b'{' => brackets += 1,
                b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            if brackets > BRACKETS {
                return false;
            }
        }
    }
    true
}

/// Whether a tree is no deeper than what walks it may be.
fn is_flat(tree: &Tree) -> bool {
    let mut cursor = tree.walk();
    loop {
        if cursor.depth() as usize > DEPTH {
            return false;
        }
        if cursor.goto_first_child() || cursor.goto_next_sibling() {
            continue;
        }
        loop {
            if !cursor.goto_parent() {
                return true;
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_overrun_a_scanner_is_not_given_to_it() {
        let nested = |unit: &str, count: usize| unit.repeat(count);
        let blocks = |count: usize| {
            (0..count).flat_map(|depth| [" ".repeat(depth), "if 1:\n".to_owned()]).collect::<String>()
        };
        for (text, shallow) in [
            (nested("- ", 300) + "a", false),
            (nested("- ", 20) + "a", true),
            (nested("? ", 300) + "a", false),
            (blocks(512), false),
            (blocks(20), true),
            (nested("(", 32_000), false),
            (nested("(", 100), true),
            (nested("[", 32_000), false),
            (nested("x \\\n", 65_000), false),
            (nested("(x)\n", 32_000), true),
            (nested("- a\n", 32_000), true),
        ] {
            assert_eq!(is_shallow(&text), shallow, "{}", &text[..40.min(text.len())]);
        }
    }

    #[test]
    fn a_deep_tree_is_refused_and_a_wide_one_is_not() {
        let python = tree_sitter_python::LANGUAGE.into();
        assert!(parse(&python, &format!("x = {}1", "1 + ".repeat(32_000)), &[]).is_none());
        assert!(parse(&python, &"x = 1\n".repeat(32_000), &[]).is_some());
    }
}
