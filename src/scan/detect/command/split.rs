//! The words of the commands in a text.

use super::{Word, program};

/// Splits a text into the words of its commands; each inner list is one command.
pub(in crate::scan) fn split(text: &str, base: usize) -> Vec<Vec<Word>> {
    let mut splitter = Splitter { text, base, commands: vec![Vec::new()], start: None };
    splitter.run();
    splitter.commands.retain(|words| !words.is_empty());
    splitter.commands
}

struct Splitter<'a> {
    text: &'a str,
    base: usize,
    commands: Vec<Vec<Word>>,
    /// Where the word that is read begins.
    start: Option<usize>,
}

impl Splitter<'_> {
    /// Ends the word that is read.
    fn close(&mut self, end: usize) {
        if let Some(begin) = self.start.take() {
            let outer = self.base + begin..self.base + end;
            let (begin, end) = trim(self.text, begin, end);
            let span = self.base + begin..self.base + end;
            if let Some(last) = self.commands.last_mut() {
                last.push(Word { text: self.text[begin..end].to_owned(), span, outer });
            }
        }
    }

    /// Ends the command that is read.
    fn end(&mut self, at: usize) {
        self.close(at);
        self.commands.push(Vec::new());
    }

    fn run(&mut self) {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut depth = 0_usize;
        // The quote of a string that is a command by itself.
        let mut quote = None;
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match byte {
                b'{' if depth == 0 && self.start.is_none() && is_block(&text[at..]) => self.end(at),
                b'{' => {
                    self.start.get_or_insert(at);
                    depth += 1;
                }
                b'}' if depth == 0 => self.end(at),
                b'}' => depth -= 1,
                b'\n' if goes_on(text, at) => self.close(at),
                // Braces that never close end with their line.
                b'\n' => {
                    depth = 0;
                    self.end(at);
                }
                _ if depth > 0 => {}
                b'\\' if bytes.get(at + 1) == Some(&b'\n') => {
                    self.close(at);
                    at += 1;
                }
                // A line's end as strings write it.
                b'\\' if bytes.get(at + 1) == Some(&b'n') && self.escapes(at) => {
                    self.end(at);
                    at += 1;
                }
                b' ' | b'\t' | b'\r' | b',' => self.close(at),
                // `$(PROJECT)` of a Makefile is a word, `$(command …)` is not.
                b'(' if at > 0 && bytes[at - 1] == b'$' && variable(&text[at..]).is_some() => {
                    at += variable(&text[at..]).unwrap_or_default();
                }
                b')' if argument(&text[at..]).is_some() => {
                    self.close(at);
                    at += argument(&text[at..]).unwrap_or_default();
                }
                b'`' if element(text, at).is_some() => {
                    self.start.get_or_insert(at);
                    at = element(text, at).unwrap_or(at);
                }
                b';' | b'&' | b'|' | b'(' | b')' | b'`' => self.end(at),
                _ if quote == Some(byte) => {
                    quote = None;
                    self.end(at);
                }
                b'"' | b'\'' if begins_with_program(&text[at + 1..], byte) => {
                    quote = Some(byte);
                    self.end(at);
                }
                _ => {
                    self.start.get_or_insert(at);
                }
            }
            at += 1;
        }
        self.close(bytes.len());
    }

    /// Whether a backslash before an `n` is an escape: at the end of a word, and of no path.
    fn escapes(&self, at: usize) -> bool {
        let after = self.text[at + 2..].chars().next();
        let word = |start: usize| &self.text.as_bytes()[start.max(at.saturating_sub(NEAR))..at];
        let path =
            self.start.is_some_and(|start| word(start).iter().any(|byte| matches!(byte, b':' | b'\\')));
        !path && after.is_none_or(|c| !c.is_ascii_lowercase() || self.text[at + 2..].starts_with("docker"))
    }
}

/// Whether a brace opens a block or an object, and no value that is put in later: `{ docker …`, `{"key": …`.
fn is_block(text: &str) -> bool {
    let inner = &text[1..];
    let key = || {
        let rest = inner.strip_prefix('"')?;
        let (key, after) = rest.split_once('"')?;
        (!key.contains('\n') && after.trim_start().starts_with(':')).then_some(())
    };
    inner.starts_with([' ', '\t', '\n']) || key().is_some()
}

/// Bytes around a line feed that are looked at.
const NEAR: usize = 256;

/// Whether a list goes on in the line behind the line feed at `at`.
fn goes_on(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let before =
        bytes[at.saturating_sub(NEAR)..at].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    let after = bytes[at..].iter().take(NEAR).find(|byte| !byte.is_ascii_whitespace());
    matches!(before, Some(b',' | b'[' | b'(')) && matches!(after, Some(b'"' | b'\''))
}

/// Whether what a `quote` opens is a command with words of its own.
fn begins_with_program(text: &str, quote: u8) -> bool {
    let rest = text.trim_start_matches([' ', '!', '@']);
    let rest = rest.strip_prefix("sudo ").unwrap_or(rest);
    let length = rest.find([' ', char::from(quote), '\n']).unwrap_or(rest.len());
    rest[length..].starts_with(' ') && program(&rest[..length])
}

/// Length up to the parenthesis of the next argument of a builder, `).arg(` or `).args(`.
fn argument(text: &str) -> Option<usize> {
    let next = text[1..].trim_start();
    let rest = next.strip_prefix(".args(").or_else(|| next.strip_prefix(".arg("))?;
    Some(text.len() - rest.len() - 1)
}

/// The closing backquote of a string without spaces that is an element of a list.
fn element(text: &str, at: usize) -> Option<usize> {
    let end = at + 1 + text[at + 1..].find('`')?;
    let before = text[..at].trim_end_matches([' ', '\t']);
    let after = text[end + 1..].trim_start();
    let listed = before.ends_with([',', '[', '(']) && after.starts_with([',', ']', ')']);
    (listed && !text[at..end].contains(char::is_whitespace)).then_some(end)
}

/// Length up to the closing parenthesis of a variable, `(NAME)`.
fn variable(text: &str) -> Option<usize> {
    let name = text[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    (name > 0 && text[1 + name..].starts_with(')')).then_some(1 + name)
}

/// Bounds of a word without quotes, `$(` and the like around it.
fn trim(text: &str, begin: usize, end: usize) -> (usize, usize) {
    let word = &text[begin..end];
    let left = word.len() - word.trim_start_matches(['"', '\'', '`', '[', '@', '\\', '&']).len();
    let right = word.trim_end_matches(['"', '\'', '`', ']', '\\']).len();
    if left >= right { (begin, end) } else { (begin + left, begin + right) }
}
