//! Patterns that are compiled when a text first needs them: to compile them all takes longer than a scan.

use std::sync::OnceLock;

use regex::{Captures, Match, Regex};

/// A pattern, and a literal that every match of it holds.
#[derive(Debug)]
pub(in crate::scan) struct Pattern {
    source: String,
    literal: &'static str,
    regex: OnceLock<Regex>,
}

impl Pattern {
    /// A pattern whose words and their bounds are those of ASCII: tables of all letters cost more than a scan.
    pub(in crate::scan) fn new(literal: &'static str, source: &str) -> Self {
        let source = source.replace(r"\w", "[0-9A-Za-z_]").replace(r"\b", r"(?-u:\b)");
        Self { source, literal, regex: OnceLock::new() }
    }

    fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            #[expect(
                clippy::expect_used,
                reason = "patterns are constants around escaped text; a test compiles them"
            )]
            Regex::new(&self.source).expect("the pattern is well formed")
        })
    }

    /// The regular expression, if `text` may match at all.
    fn for_text(&self, text: &str) -> Option<&Regex> {
        text.contains(self.literal).then(|| self.regex())
    }

    /// Whether the pattern is anywhere in `text`.
    pub(in crate::scan) fn is_match(&self, text: &str) -> bool {
        self.for_text(text).is_some_and(|regex| regex.is_match(text))
    }

    /// The first match.
    pub(in crate::scan) fn find<'t>(&self, text: &'t str) -> Option<Match<'t>> {
        self.for_text(text)?.find(text)
    }

    /// Every match.
    pub(in crate::scan) fn find_iter<'t>(&self, text: &'t str) -> impl Iterator<Item = Match<'t>> {
        self.for_text(text).map(|regex| regex.find_iter(text)).into_iter().flatten()
    }

    /// The first match with its groups.
    pub(in crate::scan) fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.for_text(text)?.captures(text)
    }

    /// Every match with its groups.
    pub(in crate::scan) fn captures_iter<'t>(&self, text: &'t str) -> impl Iterator<Item = Captures<'t>> {
        self.for_text(text).map(|regex| regex.captures_iter(text)).into_iter().flatten()
    }
}

#[cfg(test)]
impl Pattern {
    /// Whether the pattern is well formed, and not looked for in `text` in vain only for want of its literal.
    pub(in crate::scan) fn compiles(&self, text: &str) -> bool {
        self.for_text(text).is_some()
    }
}
