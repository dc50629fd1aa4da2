//! Text from input, made fit to print: no control characters, no credentials.

mod credential;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// Replaces control characters and drops invisible ones.
///
/// Line breaks and tabs become spaces; C0, DEL, C1, bidirectional controls, zero-width characters and tags go.
#[must_use]
pub fn strip(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter_map(printable).collect())
}

/// As [`strip`], but keeps line feeds: for texts of several lines.
#[must_use]
pub fn strip_lines(text: &str) -> String {
    text.split('\n').map(strip).collect::<Vec<_>>().join("\n")
}

/// Writes the characters that [`strip`] would change as escapes, so that texts that differ by them alone read differently.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if printable(character) == Some(character) {
            out.push(character);
        } else {
            out.extend(character.escape_default());
        }
    }
    out
}

fn printable(character: char) -> Option<char> {
    match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => None,
        other if other.is_control() => None,
        other => Some(other),
    }
}

/// Whether the value that goes by `name` is a credential, as that of a variable or a label may be.
#[must_use]
pub fn names_credential(name: &str) -> bool {
    credential::named_so(name)
}

/// Hides secrets, each behind a digest that is good for one run.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    key: RandomState,
    open: bool,
    /// Finds the secrets that are known, the longest at each place.
    known: Option<Arc<AhoCorasick>>,
}

/// Secrets shorter than this, in bytes, occur by chance in other words.
const SHORT: usize = 5;

impl Redactor {
    /// A redactor with a fresh random key; `open` lets everything through.
    #[must_use]
    pub fn new(open: bool) -> Self {
        Self { key: RandomState::new(), open, known: None }
    }

    /// The same redactor, which hides the `secrets` wherever they occur.
    ///
    /// Paths are left alone: they say where a secret is, and reports are about paths.
    #[must_use]
    pub fn knowing<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let known: BTreeSet<String> = secrets
            .into_iter()
            .map(|secret| strip(secret).into_owned())
            .filter(|secret| secret.len() >= SHORT && !secret.starts_with('/'))
            .collect();
        // Quick to build, and small.
        let kind = Some(AhoCorasickKind::NoncontiguousNFA);
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).kind(kind).build(&known);
        let known = finder.ok().filter(|_| !known.is_empty()).map(Arc::new);
        Self { known, ..self.clone() }
    }

    /// Hides the whole of a secret value.
    ///
    /// Equal values give equal texts and different values different ones, within one run only.
    #[must_use]
    pub fn secret(&self, value: &str) -> String {
        if self.open {
            return strip(value).into_owned();
        }
        if value.is_empty() {
            return "(empty)".to_owned();
        }
        self.digest(value)
    }

    /// Strips `text` and hides whatever in it is known to be secret or looks like a credential.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let clean = strip(text);
        if self.open {
            return clean.into_owned();
        }
        let clean = self.hide_known(&clean);
        self.hide(&clean, credential::ranges(&clean))
    }

    /// As [`Redactor::scrub`], but keeps line feeds: for texts of several lines.
    #[must_use]
    pub fn scrub_lines(&self, text: &str) -> String {
        // A key in PEM fills several lines.
        let text = if self.open { text.to_owned() } else { self.hide(text, credential::blocks(text)) };
        text.split('\n').map(|line| self.scrub(line)).collect::<Vec<_>>().join("\n")
    }

    /// Hides ranges of a text, which are in order and do not overlap.
    fn hide(&self, text: &str, ranges: impl IntoIterator<Item = Range<usize>>) -> String {
        let mut rest = 0;
        let mut out = String::with_capacity(text.len());
        for range in ranges {
            out.push_str(&text[rest..range.start]);
            out.push_str(&self.digest(&text[range.clone()]));
            rest = range.end;
        }
        out.push_str(&text[rest..]);
        out
    }

    fn hide_known<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(known) = self.known.as_ref() else { return Cow::Borrowed(text) };
        if !known.is_match(text) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(self.hide(text, known.find_iter(text).map(|found| found.range())))
    }

    fn digest(&self, value: &str) -> String {
        format!("{}{:06x}", credential::HIDDEN, self.key.hash_one(value) & 0xff_ffff)
    }
}

/// `1 error`, `2 errors`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {}", plural(number, noun))
}

/// A regular noun in the number that `number` asks for.
pub(crate) fn plural(number: usize, noun: &str) -> String {
    if number == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_go() {
        for (text, clean) in [
            ("plain", "plain"),
            ("a\u{1b}[31mb", "a[31mb"),
            ("a\r\nb\tc", "a  b c"),
            ("a\u{0}\u{7f}\u{9b}b", "ab"),
            ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{200f}f", "abcdef"),
            ("a\u{2028}b", "a b"),
            ("a\u{e0041}b", "ab"),
            ("größe → 5", "größe → 5"),
        ] {
            assert_eq!(strip(text), clean);
        }
        assert_eq!(strip_lines("a\nb\u{1b}\n"), "a\nb\n");
        assert_eq!(visible("a\u{200b}b\tü\n"), "a\\u{200b}b\\tü\\n");
    }

    /// Checks what scrubbing gives, digests as `***`.
    fn check(redactor: &Redactor, text: &str, shown: &str) {
        let mut out = redactor.scrub_lines(text);
        while let Some(at) = out.find(credential::HIDDEN) {
            out.replace_range(at..at + credential::HIDDEN.len() + 6, "***");
        }
        assert_eq!(out, shown, "{text}");
    }

    #[test]
    fn what_is_hidden_stays_hidden() {
        let redactor = Redactor::new(false);
        check(&redactor, "a --token hun\u{200b}ter2 https://u:p@h/", "a --token *** https://***@h/");
        check(&redactor, "a: -----BEGIN KEY-----\n  abc\n  -----END KEY-----\nb", "a: ***\nb");
        let once = redactor.scrub("DB_PASSWORD=hunter2 https://u:p@h/ Authorization: Bearer abcdefgh");
        assert_eq!(redactor.scrub(&once), once);
    }

    #[test]
    fn known_secrets_are_hidden_anywhere() {
        let redactor = Redactor::new(false).knowing(["hunter2", "hunter2-long", "abc", "/run/secret"]);
        check(&redactor, "run hunter2-long, hunter2, abc in /run/secret", "run ***, ***, abc in /run/secret");
    }

    #[test]
    fn digests_tell_values_apart_within_a_run() {
        let redactor = Redactor::new(false);
        assert_eq!(redactor.secret("a"), redactor.secret("a"));
        assert_ne!(redactor.secret("a"), redactor.secret("b"));
        assert!(!redactor.secret("hunter2").contains("hunter2"));
        assert_ne!(redactor.secret("a"), Redactor::new(false).secret("a"));
        assert_eq!(Redactor::new(true).secret("a"), "a");
        assert_eq!(Redactor::new(true).scrub("token=a"), "token=a");
    }
}
