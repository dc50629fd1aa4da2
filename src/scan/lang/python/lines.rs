//! Logical lines, without a parser: where they begin and end, how they nest, which of them stand and fall together.

use std::ops::Range;

/// A logical line with what it is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its bytes, with the indentation and the line feed.
    pub(super) range: Range<usize>,
    /// Number of the line that heads the block it is in.
    pub(super) head: Option<usize>,
    /// Number of the first line of the statement that it is a part of: decorators, `if` and its `else`.
    pub(super) lead: usize,
    /// Whether it has a string literal.
    pub(super) string: bool,
    /// Whether it may put literals together: next to each other, by an operator, within a value put into another.
    pub(super) joins: bool,
    /// Names that it may assign.
    pub(super) bound: Vec<Range<usize>>,
}

/// The logical lines of a source; `None`: it is not certain where they are.
///
/// Certain are sources that are indented by spaces, whose brackets, strings and blocks all end, and in which every
/// block has a header. Comments and blank lines are no lines.
pub(super) fn lines(source: &str) -> Option<Vec<Line>> {
    let mut scanner = Scanner { bytes: source.as_bytes(), at: 0 };
    if source.starts_with('\u{feff}') {
        scanner.at = '\u{feff}'.len_utf8();
    }
    let mut lines: Vec<Line> = Vec::new();
    // The last line of each block that is open, with its indentation.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut heads = false;
    while let Some((start, indent)) = scanner.start()? {
        let mut line = Line {
            range: start..start,
            head: None,
            lead: lines.len(),
            string: false,
            joins: false,
            bound: Vec::new(),
        };
        let first = scanner.at;
        let ends = scanner.line(&mut line)?;
        line.range.end = scanner.at;
        while open.last().is_some_and(|(_, deeper)| *deeper > indent) && !heads {
            open.pop();
        }
        match open.last() {
            None if indent == 0 => {}
            Some((before, same)) if *same == indent && !heads => {
                line.head = lines[*before].head;
                if goes_on(&source[first..line.range.end]) || decorates(source, &lines[*before]) {
                    line.lead = lines[*before].lead;
                }
                open.pop();
            }
            Some((before, outer)) if heads && indent > *outer => line.head = Some(*before),
            _ => return None,
        }
        open.push((lines.len(), indent));
        heads = ends;
        lines.push(line);
    }
    (!heads).then_some(lines)
}

/// Whether a line is a clause of the statement before it.
fn goes_on(line: &str) -> bool {
    ["elif", "else", "except", "finally"].iter().any(|word| {
        let rest = line.strip_prefix(word);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn decorates(source: &str, line: &Line) -> bool {
    source[line.range.clone()].trim_start_matches(['\u{feff}', ' ']).starts_with('@')
}

/// Whether a byte may be part of a name.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Bytes that mean something to the scanner.
const TELLING: [bool; 256] = {
    let mut table = [false; 256];
    let telling = b"\n\r\x0b\x0c\0#\\'\"()[]{}=:;+%";
    let mut at = 0;
    while at < telling.len() {
        table[telling[at] as usize] = true;
        at += 1;
    }
    table
};

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Goes to where the next logical line has its first word: its start and indentation.
    #[expect(clippy::option_option, reason = "uncertain, and no more lines")]
    fn start(&mut self) -> Option<Option<(usize, usize)>> {
        loop {
            let start = if self.at == '\u{feff}'.len_utf8() && self.bytes[0] == 0xef { 0 } else { self.at };
            let before = self.at;
            while self.byte(0) == Some(b' ') {
                self.at += 1;
            }
            match self.byte(0) {
                None => return Some(None),
                Some(b'\n') => self.at += 1,
                Some(b'\r') if self.byte(1) == Some(b'\n') => self.at += 2,
                Some(b'#') => self.comment(),
                Some(b'\t' | b'\r' | b'\\' | 0x0b | 0x0c) => return None,
                Some(_) => return Some(Some((start, self.at - before))),
            }
        }
    }

    fn comment(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    /// Goes to the end of a logical line; whether that heads a block.
    fn line(&mut self, line: &mut Line) -> Option<bool> {
        let mut brackets = Vec::new();
        // Where the statement, or what is behind its last `=`, begins; and what is behind its last `:`.
        let (mut part, mut value) = (self.at, None);
        let mut last = self.at;
        // Where the last string ended.
        let mut text = 0;
        while let Some(byte) = self.byte(0) {
            if !TELLING[usize::from(byte)] {
                if byte != b' ' && byte != b'\t' {
                    last = self.at;
                }
                self.at += 1;
                continue;
            }
            match byte {
                b'\n' if brackets.is_empty() => {
                    self.at += 1;
                    break;
                }
                b'\n' => {}
                b'\r' if self.byte(1) == Some(b'\n') => {}
                b'\\' if self.byte(1) == Some(b'\n') => self.at += 1,
                b'\\' if self.byte(1) == Some(b'\r') && self.byte(2) == Some(b'\n') => self.at += 2,
                b'\r' | b'\\' | 0x0b | 0x0c | 0 => return None,
                b'#' => {
                    self.comment();
                    continue;
                }
                b'\'' | b'"' => {
                    line.joins |= self.follows(text) | self.string(byte)?;
                    line.string = true;
                    text = self.at;
                    last = self.at - 1;
                    continue;
                }
                b'(' | b'[' | b'{' => brackets.push(byte),
                b')' | b']' | b'}' => {
                    let opened = if byte == b')' { b'(' } else { byte - 2 };
                    if brackets.pop() != Some(opened) {
                        return None;
                    }
                    last = self.at;
                }
                b'=' if brackets.is_empty() && self.assigns() => {
                    line.bound.extend(self.target(part, value));
                    (part, value) = (self.at + 1, None);
                    last = self.at;
                }
                b'+' | b'%' => {
                    line.joins = true;
                    last = self.at;
                }
                b';' if brackets.is_empty() => (part, value) = (self.at + 1, None),
                b':' if brackets.is_empty() => {
                    value = Some(self.at + 1);
                    last = self.at;
                }
                _ => last = self.at,
            }
            self.at += 1;
        }
        brackets.is_empty().then_some(self.bytes[last] == b':')
    }

    /// Whether the `=` here is that of an assignment.
    fn assigns(&self) -> bool {
        let before = self.at.checked_sub(1).map(|at| self.bytes[at]);
        self.byte(1) != Some(b'=') && !matches!(before, Some(b'=' | b'!' | b'<' | b'>'))
    }

    /// The name that the `=` here assigns, if it is one: `a =`, `a: str =`, `else: a =`, `self.a =`.
    fn target(&self, part: usize, value: Option<usize>) -> Option<Range<usize>> {
        let (name, next) = self.dotted(part)?;
        let clause = matches!(&self.bytes[name.clone()], b"else" | b"try" | b"finally");
        if next == self.at || self.bytes[next] == b':' && !clause {
            return Some(name);
        }
        let (name, next) = self.dotted(value?)?;
        (next == self.at).then_some(name)
    }

    /// The last word of the dotted name that begins at `at`, or behind the space there, and where the next one begins.
    fn dotted(&self, at: usize) -> Option<(Range<usize>, usize)> {
        let (mut name, mut next) = self.word(at)?;
        while self.bytes[next] == b'.' {
            (name, next) = self.word(next + 1)?;
        }
        Some((name, next))
    }

    /// The word that begins at `at`, or behind the space there, and where the next one begins.
    fn word(&self, at: usize) -> Option<(Range<usize>, usize)> {
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\\' | b'\r' | b'\n');
        let start = at + self.bytes[at..].iter().position(|byte| !space(byte))?;
        let length = self.bytes[start..].iter().take_while(|byte| is_word(**byte)).count();
        let end = start + length;
        let next = end + self.bytes[end..].iter().position(|byte| !space(byte))?;
        (length > 0).then_some((start..end, next))
    }

    /// The letters right before a quote.
    fn prefix(&self) -> &[u8] {
        let letters = self.bytes[..self.at].iter().rev().take(3).take_while(|byte| is_word(**byte)).count();
        &self.bytes[self.at - letters..self.at]
    }

    /// Whether nothing but space and comments is between the end of the last string and the string here.
    fn follows(&self, text: usize) -> bool {
        let between = &self.bytes[text..self.at - self.prefix().len()];
        text > 0 && between.trim_ascii_start().first().is_none_or(|byte| matches!(byte, b'#' | b'\\'))
    }

    /// Goes behind a string; whether there is one within it.
    fn string(&mut self, quote: u8) -> Option<bool> {
        let prefix = self.prefix();
        let formatted =
            prefix.len() < 3 && prefix.iter().any(|byte| matches!(byte.to_ascii_lowercase(), b'f' | b't'));
        let triple = self.byte(1) == Some(quote) && self.byte(2) == Some(quote);
        let (mut depth, mut within) = (0_usize, false);
        self.at += if triple { 3 } else { 1 };
        loop {
            match self.byte(0)? {
                b'\\' if self.byte(1) == Some(b'\r') && self.byte(2) == Some(b'\n') => self.at += 2,
                b'\\' => self.at += 1,
                b'\n' | b'\r' if !triple => return None,
                byte if byte == quote
                    && (!triple || self.byte(1) == Some(quote) && self.byte(2) == Some(quote)) =>
                {
                    // A quote within a value may as well begin a string of its own.
                    self.at += if triple { 3 } else { 1 };
                    return (depth == 0).then_some(within);
                }
                b'\'' | b'"' if depth > 0 => within = true,
                b'{' if formatted && depth == 0 && self.byte(1) == Some(b'{') => self.at += 1,
                b'{' if formatted => depth += 1,
                b'}' if formatted => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        lines(source).unwrap().into_iter().map(|line| &source[line.range]).collect()
    }

    #[test]
    fn a_line_goes_on_in_brackets_strings_and_after_a_backslash() {
        assert_eq!(texts("a = (1, # )\n 2)\nb\n"), ["a = (1, # )\n 2)\n", "b\n"]);
        assert_eq!(texts("a = '''\n# '\n'''\nb"), ["a = '''\n# '\n'''\n", "b"]);
        assert_eq!(texts("a = 1 + \\\n  2\nb\n"), ["a = 1 + \\\n  2\n", "b\n"]);
        assert_eq!(texts("\u{feff}a\r\n\r\n# c\r\n  # d\r\nb\r\n"), ["\u{feff}a\r\n", "b\r\n"]);
        assert_eq!(texts("a = '\\''\nb = r'\\'' '#'\n"), ["a = '\\''\n", "b = r'\\'' '#'\n"]);
        assert_eq!(texts("a = f'{x[\"(\"]}'\nb\n"), ["a = f'{x[\"(\"]}'\n", "b\n"]);
        assert_eq!(texts(""), [""; 0]);
    }

    #[test]
    fn blocks_have_heads_and_statements_have_clauses() {
        let source = "@a\n@b(\n)\ndef f():\n    if x:\n        y\n    # c\n    elif z: w\n    else:\n        v\n\nelsewhere\n";
        let shape: Vec<_> = lines(source).unwrap().into_iter().map(|line| (line.head, line.lead)).collect();
        let inner = Some(2);
        assert_eq!(
            shape,
            [
                (None, 0),
                (None, 0),
                (None, 0),
                (inner, 3),
                (Some(3), 4),
                (inner, 3),
                (inner, 3),
                (Some(6), 7),
                (None, 8)
            ]
        );
    }

    #[test]
    fn names_that_are_assigned_are_told_from_arguments() {
        let source = "a = b = f(c=1)\nd: str = 'e'\nelse_: int\nif g == h: i = 1; j = 2\nk.l = m\nn[o] = 1\n";
        let bound: Vec<_> = lines(source)
            .unwrap()
            .into_iter()
            .flat_map(|line| line.bound)
            .map(|name| &source[name])
            .collect();
        assert_eq!(bound, ["a", "b", "d", "i", "j", "l"]);
    }

    #[test]
    fn literals_that_may_be_put_together_are_told_from_others() {
        for (source, joins) in [
            ("f(a, 'b')", false),
            ("f('a', \"b\")", false),
            ("'a' \"b\"", true),
            ("('a'  # b\n rb'c')", true),
            ("'a' \\\n 'b'", true),
            ("'''a''' ''", true),
            ("'a' + b", true),
            ("f('a' % b)", true),
            ("f'{\"a\"}b'", true),
            ("f'{a}b'", false),
        ] {
            let line = &lines(source).unwrap()[0];
            assert_eq!((line.string, line.joins), (true, joins), "{source}");
        }
    }

    #[test]
    fn what_is_uncertain_is_said_to_be() {
        for source in [
            "if a:\n\tb\n",
            "if a:\n",
            "if a:\nb\n",
            "a\n  b\n",
            "  a\n",
            "if a:\n    b\n  c\n",
            "(a\n",
            "a)\n",
            "(a]\n",
            "a = 'b\n",
            "a = '''b\n",
            "a \\ b\n",
            "a\rb\n",
            "a\x0cb\n",
            "f'{a['b']}'\n",
            "=\\",
        ] {
            assert!(lines(source).is_none(), "{source:?}");
        }
    }
}
