//! What is around a place in a text: its line, as far as that is near, the words in it, and the brackets around it.
//!
//! Each index is built once for a text, when it is first asked for, so that a name costs the same on a long line.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::Use;

/// Bytes of a line around a name that say what it is.
const NEAR: usize = 500;

/// Bytes before a name in which the list that it is in begins.
const FAR: usize = 4096;

/// What a word on a line says about the names near it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Network,
    Container,
    /// `docker cp`.
    Copy,
    /// Images are built, tagged or moved.
    Build,
    Filter,
    /// A temporary folder or file is made.
    Temporary,
}

const MARKS: usize = 6;

/// The words, in any letter case.
const WORDS: [(&str, Mark); 26] = [
    ("network", Mark::Network),
    ("--net ", Mark::Network),
    ("--net=", Mark::Network),
    // The driver, in tables and documents about networks.
    ("  bridge", Mark::Network),
    ("| bridge", Mark::Network),
    ("container", Mark::Container),
    (" cp ", Mark::Copy),
    ("\"cp\"", Mark::Copy),
    ("'cp'", Mark::Copy),
    ("docker build", Mark::Build),
    ("buildx build", Mark::Build),
    ("docker push", Mark::Build),
    ("docker pull", Mark::Build),
    ("docker tag", Mark::Build),
    ("docker image", Mark::Build),
    ("image:", Mark::Build),
    ("docker rmi", Mark::Build),
    ("docker save", Mark::Build),
    ("docker load", Mark::Build),
    ("filter", Mark::Filter),
    ("mktemp", Mark::Temporary),
    ("mkdtemp", Mark::Temporary),
    ("mkstemp", Mark::Temporary),
    ("tmpdir", Mark::Temporary),
    ("mkdirtemp", Mark::Temporary),
    ("createtemp", Mark::Temporary),
];

static AUTOMATON: LazyLock<AhoCorasick> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "some short words are no automaton too large")]
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(WORDS.iter().map(|(word, _)| word))
        .expect("words are few")
});

/// A text, and what is around each of its bytes.
pub(super) struct Around<'a> {
    text: &'a str,
    /// Behind each bracket, the innermost one that is open there.
    brackets: OnceCell<Vec<(usize, Option<usize>)>>,
    words: OnceCell<[Vec<Range<usize>>; MARKS]>,
    /// The list that was asked for last, and what its key says.
    list: Cell<Option<(usize, Use)>>,
}

impl<'a> Around<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, brackets: OnceCell::new(), words: OnceCell::new(), list: Cell::new(None) }
    }

    /// The line of `at`, as far as it is near, and where that begins.
    pub(super) fn near(&self, at: usize) -> (usize, &'a str) {
        let (mut start, mut end) = (at.saturating_sub(NEAR), self.text.len().min(at + NEAR));
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let start = self.text[start..at].rfind('\n').map_or(start, |feed| start + feed + 1);
        let end = self.text[at..end].find('\n').map_or(end, |more| at + more);
        (start, &self.text[start..end])
    }

    /// Whether the line of `at` has a word of this kind.
    pub(super) fn has(&self, mark: Mark, at: usize) -> bool {
        self.distance(mark, at).is_some()
    }

    /// Distance in bytes from `at` to the nearest word of this kind on its line.
    pub(super) fn distance(&self, mark: Mark, at: usize) -> Option<usize> {
        let found = &self.words()[mark as usize];
        let (start, line) = self.near(at);
        let end = start + line.len();
        let behind = found.partition_point(|word| word.start < at);
        let before = found[..behind].last().filter(|word| word.start >= start && word.end <= end);
        let after = found.get(behind).filter(|word| word.end <= end);
        before.into_iter().chain(after).map(|word| word.start.abs_diff(at)).min()
    }

    fn words(&self) -> &[Vec<Range<usize>>; MARKS] {
        self.words.get_or_init(|| {
            let mut words: [Vec<Range<usize>>; MARKS] = Default::default();
            for found in AUTOMATON.find_overlapping_iter(self.text) {
                words[WORDS[found.pattern()].1 as usize].push(found.range());
            }
            for of_mark in &mut words {
                of_mark.sort_by_key(|word| word.start);
            }
            words
        })
    }

    /// What the key of the list that a name is in says of it, where that is on a line above.
    pub(super) fn listed(&self, at: usize) -> Use {
        let brackets = self.brackets();
        let behind = brackets.partition_point(|(bracket, _)| *bracket < at);
        let open = behind.checked_sub(1).and_then(|number| brackets[number].1);
        let Some(open) = open.filter(|open| at - open <= FAR) else { return Use::Open };
        // `networks: [` and `"Networks": {`
        let key = || self.text[..open].trim_end_matches(' ').ends_with(':');
        let list = self.text[open..].starts_with('[') || self.text[open..].starts_with('{') && key();
        if !list || !self.text[open..at].contains('\n') {
            return Use::Open;
        }
        match self.list.get() {
            Some((list, said)) if list == open => said,
            _ => {
                let (start, line) = self.near(open);
                let said = Use::of(line.get(..open - start).unwrap_or_default());
                self.list.set(Some((open, said)));
                said
            }
        }
    }

    fn brackets(&self) -> &[(usize, Option<usize>)] {
        self.brackets.get_or_init(|| {
            let mut brackets = Vec::new();
            let mut open = Vec::new();
            for (at, byte) in self.text.bytes().enumerate() {
                match byte {
                    b'[' | b'(' | b'{' => open.push(at),
                    b']' | b')' | b'}' => {
                        open.pop();
                    }
                    _ => continue,
                }
                brackets.push((at, open.last().copied()));
            }
            brackets
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_of_the_line_counts() {
        let text = "container one\nthe network x of a CONTAINER y\n--net z";
        let around = Around::new(text);
        let at = |word: &str| text.find(word).unwrap();
        for (word, mark, distance) in [
            ("x", Mark::Network, Some(8)),
            ("y", Mark::Network, Some(25)),
            ("y", Mark::Container, Some(10)),
            ("one", Mark::Network, None),
            ("z", Mark::Network, Some(6)),
            ("z", Mark::Container, None),
            ("x", Mark::Filter, None),
        ] {
            let offset = at(&format!(" {word}")) + 1;
            assert_eq!(around.distance(mark, offset), distance, "{word} {mark:?}");
        }
    }

    #[test]
    fn a_word_far_away_on_the_same_line_does_not_count() {
        let text = format!("network {}x", "y".repeat(NEAR));
        assert_eq!(Around::new(&text).distance(Mark::Network, text.len() - 1), None);
        assert_eq!(Around::new(&text).distance(Mark::Network, NEAR), Some(NEAR));
    }

    #[test]
    fn the_innermost_open_list_counts() {
        for (text, said) in [
            ("networks: [\n (a), x", Use::Kept),
            ("networks: [\n [a], x", Use::Kept),
            ("\"Networks\": {\n \"a\": {}, x", Use::Kept),
            ("makeNetworks() {\n x", Use::Open),
            ("networks: [x", Use::Open),
            ("networks: [\n(x", Use::Open),
            ("networks: [\na]\n x", Use::Open),
            ("] networks: [\n x", Use::Kept),
        ] {
            assert_eq!(Around::new(text).listed(text.len() - 1), said, "{text}");
        }
        let far = format!("networks: [\n{}x", " ".repeat(FAR));
        assert_eq!(Around::new(&far).listed(far.len() - 1), Use::Open);
    }
}
