//! Texts that are put together from parts, each with its place in the file.

use std::ops::Range;

use crate::scan::detect::{self, Context};
use crate::scan::finding::Match;
use crate::scan::patterns::Patterns;
use crate::scan::rules;

/// A text with the place of each of its parts.
pub(in crate::scan) struct SourceMap<'a> {
    source: &'a str,
    pub(in crate::scan) text: String,
    parts: Vec<(usize, Range<usize>)>,
    /// Starts of the parts that are constants, and reported where they are written.
    constants: Vec<usize>,
    /// Starts of the parts that name a container which is reported where it is assigned.
    names: Vec<usize>,
}

impl<'a> SourceMap<'a> {
    /// An empty text of parts of `source`.
    pub(in crate::scan) fn new(source: &'a str) -> Self {
        Self { source, text: String::new(), parts: Vec::new(), constants: Vec::new(), names: Vec::new() }
    }

    /// Whether the text has several parts.
    pub(in crate::scan) fn is_mixed(&self) -> bool {
        self.parts.len() > 1
    }

    /// Adds what stands at `place`, or takes the place of what does.
    pub(in crate::scan) fn push(&mut self, text: &str, place: Range<usize>) {
        self.parts.push((self.text.len(), place));
        self.text.push_str(text);
    }

    /// Adds the value of a constant that is named at `place`.
    pub(in crate::scan) fn push_constant(&mut self, value: &str, place: Range<usize>) {
        self.constants.push(self.text.len());
        self.push(value, place);
    }

    /// Adds the name of a container for the variable at `place`: what a command does to it is reported there.
    pub(in crate::scan) fn push_name(&mut self, value: &str, place: Range<usize>) {
        self.names.push(self.text.len());
        self.push(value, place);
    }

    /// Finds the references in the text, each where its own part stands in the file.
    pub(in crate::scan) fn search(
        &self,
        patterns: &Patterns,
        context: Context<'_>,
        matches: &mut Vec<Match>,
    ) {
        let before = matches.len();
        let inner = Context { command: None, ..context };
        detect::search(patterns, &self.text, 0..self.text.len(), inner, matches);
        let found = matches.split_off(before);
        for mut matched in found {
            // The daemon's name is what a reader looks for.
            let name =
                patterns.service.find(&self.text[matched.span.clone()]).map_or(0, |found| found.start());
            let at = matched.span.start + name;
            let assigned = self.part(at).is_some_and(|(start, _)| self.names.binary_search(start).is_ok());
            if assigned && ![rules::DOCKER_CLI.id, rules::SERVICE_LABEL.id].contains(&matched.rule.id) {
                continue;
            }
            match self.exact(matched.span.clone()) {
                Some(span) => matched.span = span,
                // A constant that is an address by itself is reported where it is written.
                None if self.substituted(at) && matched.rule.id == rules::URL_HOST.id => continue,
                None => matched.span = self.place(at..matched.span.end),
            }
            let edits = std::mem::take(&mut matched.edits);
            let exact = edits.into_iter().map(|mut edit| {
                let span = self.exact(edit.start..edit.end)?;
                (edit.start, edit.end) = (span.start, span.end);
                Some(edit)
            });
            // A rewrite is all of its edits or none.
            matched.edits = exact.collect::<Option<_>>().unwrap_or_default();
            matches.push(matched);
        }
    }

    /// Whether the byte `at` came from elsewhere in the file.
    fn substituted(&self, at: usize) -> bool {
        self.part(at).is_some_and(|(start, _)| self.constants.binary_search(start).is_ok())
    }

    /// The part that the byte `at` is in.
    fn part(&self, at: usize) -> Option<&(usize, Range<usize>)> {
        let behind = self.parts.partition_point(|(start, _)| *start <= at);
        self.parts.get(behind.checked_sub(1)?)
    }

    /// Where a stretch stands in the file, as far as its first part goes.
    fn place(&self, range: Range<usize>) -> Range<usize> {
        let Some((start, place)) = self.part(range.start) else { return 0..0 };
        let one =
            range.start..range.start + self.text[range.start..].chars().next().map_or(0, char::len_utf8);
        match self.exact(one) {
            Some(span) => span.start..(place.start + range.end - start).clamp(span.end, place.end),
            None => place.clone(),
        }
    }

    /// Where a stretch stands in the file, if one part has it as it is.
    fn exact(&self, range: Range<usize>) -> Option<Range<usize>> {
        let (start, place) = self.part(range.start)?;
        let span = place.start + (range.start - start)..place.start + (range.end - start);
        let same = span.end <= place.end && self.source.get(span.clone()) == self.text.get(range);
        same.then_some(span)
    }
}
