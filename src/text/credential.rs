//! What looks like a credential.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Beginnings by which services mark their tokens.
const PREFIXES: [&str; 26] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-",
    "dckr_pat_",
    "hf_",
    "eyJ",
    "SG.",
];

/// Parts of names whose value is a credential, in small letters.
const NAMES: [&str; 24] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "pgpass",
    "_pass",
    "-pass",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "signing_key",
    "encryption_key",
    "accountkey",
    "credential",
    "authorization",
    "basicauth",
    "cookie",
    "session_key",
    "webhook",
];

/// How a hidden text begins, so that it is not hidden twice.
pub(super) const HIDDEN: &str = "redacted #";

/// What else every credential that is not a random word has beside it or in it, in small letters.
const SIGNS: [&str; 15] = [
    "-----begin",
    "://",
    "bearer ",
    "basic ",
    "-u ",
    "--user",
    "$apr1$",
    "$1$",
    "$2a$",
    "$2b$",
    "$2y$",
    "$5$",
    "$6$",
    "$y$",
    "$argon2",
];

/// Finds out in one pass what most texts are: without any sign of a credential.
static MARKS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let marks = PREFIXES.iter().chain(&NAMES).chain(&SIGNS);
    // Quick to build, which a single comparison waits for.
    let kind = Some(AhoCorasickKind::NoncontiguousNFA);
    AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(marks).ok()
});

fn marked(text: &str) -> bool {
    MARKS.as_ref().is_none_or(|marks| marks.is_match(text))
}

/// Whether the value that goes by `name` is a credential.
pub(super) fn named_so(name: &str) -> bool {
    if !marked(name) {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    NAMES.iter().any(|part| lower.contains(part))
}

/// Every range of `text` that looks like a credential, in order; no two overlap.
///
/// One pass finds every mark in the text, and each mark is then looked at once.
pub(super) fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut finder = Finder::new(text);
    let mut marked = false;
    match MARKS.as_ref() {
        Some(marks) => {
            for mark in marks.find_overlapping_iter(text) {
                marked = true;
                finder.mark(mark.pattern().as_usize(), mark.start(), mark.end());
            }
        }
        None => marked = true,
    }
    finder.words();
    if marked {
        finder.found.extend(blocks(text));
    }
    joined(finder.found)
}

/// Joins ranges that overlap.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The PEM blocks of a text, each to its end or that of the text.
pub(super) fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("-----BEGIN") {
        let start = from + at;
        let end = text[start..].find("-----END").map_or(text.len(), |at| {
            let tail = start + at + "-----END".len();
            text[tail..].find("-----").map_or(text.len(), |at| tail + at + 5)
        });
        blocks.push(start..end);
        from = end;
    }
    blocks
}

/// Ends of the runs of a text, each looked for once.
struct Runs {
    run: Range<usize>,
    ends: fn(char) -> bool,
}

impl Runs {
    const fn new(ends: fn(char) -> bool) -> Self {
        Self { run: 0..0, ends }
    }

    /// The first place from `from` on where a run ends.
    fn end(&mut self, text: &str, from: usize) -> usize {
        if !self.run.contains(&from) {
            let length = text[from..].find(self.ends).unwrap_or(text.len() - from);
            self.run = from..from + length;
        }
        self.run.end
    }
}

/// Looks at the marks of a text in the order in which they end.
struct Finder<'t> {
    text: &'t str,
    found: Vec<Range<usize>>,
    /// Runs of what a name consists of.
    names: Runs,
    /// Runs of what an unquoted value consists of.
    values: Runs,
    /// Runs of what a token consists of.
    tokens: Runs,
    /// End of the name that was looked at last.
    named: Option<usize>,
    /// How far the text was searched for the start of a word, where that is, and whether the word is an option.
    searched: usize,
    word: usize,
    option: Option<(usize, bool)>,
}

impl<'t> Finder<'t> {
    fn new(text: &'t str) -> Self {
        let value =
            |c: char| c.is_whitespace() || matches!(c, '&' | ',' | ';' | '"' | '\'' | '`' | ')' | '}' | ']');
        Self {
            text,
            found: Vec::new(),
            names: Runs::new(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))),
            values: Runs::new(value),
            tokens: Runs::new(|c| !in_word(c) && c != '.'),
            named: None,
            searched: 0,
            word: 0,
            option: None,
        }
    }

    /// Looks at one mark: the `number`th of prefixes, names and signs.
    fn mark(&mut self, number: usize, start: usize, end: usize) {
        let exact = &self.text[start..end];
        if let Some(prefix) = PREFIXES.get(number) {
            if exact == *prefix {
                self.prefix(start, end);
            }
        } else if let Some(sign) = number.checked_sub(PREFIXES.len() + NAMES.len()) {
            match SIGNS[sign] {
                "-----begin" => {}
                "://" => self.userinfo(end),
                "bearer " | "basic " => self.scheme(end),
                "-u " | "--user " | "--user=" if exact == SIGNS[sign] => self.login(start, end),
                crypt if crypt.starts_with('$') && exact == crypt => {
                    let (skip, length) = self.value(start);
                    self.found.push(start + skip..start + skip + length);
                }
                _ => {}
            }
        } else {
            self.named(end);
        }
    }

    /// The value at a place: the length of its quote, and its own within its quotes or to what ends a word.
    fn value(&mut self, from: usize) -> (usize, usize) {
        let text = &self.text[from..];
        if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            return (1, text[1..].find(quote).unwrap_or(text.len() - 1));
        }
        (0, self.values.end(self.text, from) - from)
    }

    /// A token with a well-known beginning.
    fn prefix(&mut self, start: usize, end: usize) {
        let before = &self.text[..start];
        let begins = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        // The digest of an image is long and random too, and no secret.
        if !begins || is_digest(before) {
            return;
        }
        let last = self.tokens.end(self.text, end);
        if last - end >= 12 {
            self.found.push(start..last);
        }
    }

    /// `user:password` of a URL whose authority begins at a place.
    fn userinfo(&mut self, start: usize) {
        let text = &self.text[start..];
        let end = text
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`' | '<' | '>'))
            .unwrap_or(text.len());
        if let Some(length) = text[..end].rfind('@').filter(|length| *length > 0) {
            // A bare user name is no secret, and `git@host` is everywhere; an earlier pass may have hidden it.
            if text[..length] != *"git" && !text.starts_with(HIDDEN) {
                self.found.push(start..start + length);
            }
        }
    }

    /// The value of `token=…`, `"password": "…"`, `--api-key …`, after a part of the name that ends at a place.
    fn named(&mut self, part: usize) {
        // The rest of the name (`token_2`), then a separator.
        let end = self.names.end(self.text, part);
        if self.named.replace(end) == Some(end) {
            return;
        }
        let option = self.is_option(part);
        let quoted = self.text[end..].trim_start_matches(['"', '\'']);
        let after = if let Some(value) = quoted.strip_prefix('=') {
            value
        } else if let Some(value) = quoted.strip_prefix(':').filter(|value| !value.starts_with("//")) {
            value.trim_start()
        } else {
            match quoted.strip_prefix(',').unwrap_or(quoted).strip_prefix(' ') {
                Some(value) if option => value,
                _ => return,
            }
        };
        let (skip, length) = self.value(self.text.len() - after.len());
        let start = self.text.len() - after.len() + skip;
        let found = &self.text[start..start + length];
        // `Authorization: Bearer …`: the scheme is no secret, what follows it is found as such.
        let scheme = found.eq_ignore_ascii_case("bearer") || found.eq_ignore_ascii_case("basic");
        if length > 0 && !scheme && !found.starts_with("redacted") && !found.starts_with(['$', '/']) {
            self.found.push(start..start + length);
        }
    }

    /// Whether the word around a place begins as an option does.
    fn is_option(&mut self, at: usize) -> bool {
        if let Some(passed) = self.text.get(self.searched..at) {
            let space = passed.char_indices().rev().find(|(_, c)| c.is_whitespace());
            self.word = space.map_or(self.word, |(place, c)| self.searched + place + c.len_utf8());
            self.searched = at;
        }
        let word = self.word;
        let known = self.option.filter(|(known, _)| *known == word);
        let (_, option) = known.unwrap_or_else(|| {
            let text = self.text[word..].trim_start_matches(['"', '\'', '[']);
            (word, text.starts_with('-'))
        });
        self.option = Some((word, option));
        option
    }

    /// What follows `Bearer` or `Basic`.
    fn scheme(&mut self, after: usize) {
        let (skip, length) = self.value(after);
        let start = after + skip;
        if length >= 8 && !self.text[start..].starts_with(HIDDEN) {
            self.found.push(start..start + length);
        }
    }

    /// The `user:password` of `-u user:password`, but not the ids of `--user 1000:1000`.
    fn login(&mut self, before: usize, after: usize) {
        let (skip, length) = self.value(after);
        let start = after + skip;
        let Some((user, password)) = self.text[start..start + length].split_once(':') else { return };
        let ids = password.bytes().all(|byte| byte.is_ascii_digit()) || password.starts_with("//");
        let separate = self.text[..before].chars().next_back().is_none_or(char::is_whitespace);
        if separate && !user.is_empty() && !ids {
            self.found.push(start..start + length);
        }
    }

    /// Words too random to be a name.
    fn words(&mut self) {
        let mut start = 0;
        for part in self.text.split_inclusive(|c| !in_word(c)) {
            let word = part.trim_end_matches(|c| !in_word(c));
            if random(word) && !is_digest(&self.text[..start]) {
                self.found.push(start..start + word.len());
            }
            start += part.len();
        }
    }
}

/// Whether the name of a digest's algorithm ends here.
fn is_digest(before: &str) -> bool {
    before.ends_with("sha256:") || before.ends_with("sha512:")
}

const fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-')
}

/// Whether a word changes between digits, small and capital letters as often as only random ones do.
fn random(word: &str) -> bool {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Digit,
        Small,
        Capital,
        Sign,
    }
    if word.len() < 20 || word.bytes().filter(u8::is_ascii_digit).count() < 2 {
        return false;
    }
    if !word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let class = |byte: u8| match byte {
        b'0'..=b'9' => Class::Digit,
        b'a'..=b'z' => Class::Small,
        b'A'..=b'Z' => Class::Capital,
        _ => Class::Sign,
    };
    let bytes = word.as_bytes();
    let changes = bytes
        .windows(2)
        .filter(|pair| match (class(pair[0]), class(pair[1])) {
            (Class::Sign, _) | (_, Class::Sign) | (Class::Capital, Class::Small) => false,
            (before, after) => before != after,
        })
        .count();
    changes * 10 >= word.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts `***` where a credential was found.
    fn masked(text: &str) -> String {
        let mut out = String::new();
        let mut rest = 0;
        for range in ranges(text) {
            out = out + &text[rest..range.start] + "***";
            rest = range.end;
        }
        out + &text[rest..]
    }

    #[test]
    fn credentials_are_found() {
        for (text, shown) in [
            ("https://user:pw@host/x", "https://***@host/x"),
            ("see http://tok@proxy:8888 there", "see http://***@proxy:8888 there"),
            ("postgres://app:p%40ss@db:5432/x", "postgres://***@db:5432/x"),
            ("--token abc123", "--token ***"),
            ("-token abc123", "-token ***"),
            ("run --password 'hunter 2' x", "run --password '***' x"),
            (r#"["--password", "hunter 2", "x"]"#, r#"["--password", "***", "x"]"#),
            ("a?token=abc&b=1", "a?token=***&b=1"),
            ("DB_PASSWORD=hunter2 x", "DB_PASSWORD=*** x"),
            (r#"PASSWORD="a b" x"#, r#"PASSWORD="***" x"#),
            (r#"{"password": "hunter2"}"#, r#"{"password": "***"}"#),
            ("Authorization: Bearer abcdefgh", "Authorization: Bearer ***"),
            ("curl -H 'X-Api-Key: abc' x", "curl -H 'X-Api-Key: ***' x"),
            ("curl -u admin:hunter2 x", "curl -u *** x"),
            ("splunk-token: abc", "splunk-token: ***"),
            ("AccountKey=abc==;x", "AccountKey=***;x"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "***"),
            ("run sk-proj-aaaaaaaaaaaaaaaaaaaa now", "run *** now"),
            ("AKIAIOSFODNN7EXAMPLE", "***"),
            ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig y", "x *** y"),
            ("SG.abcdefghijkl.mnop", "***"),
            ("admin:$apr1$ruca84Hq$mbjdMZBAGKWn7vfNSNK/ x", "admin:*** x"),
            ("-----BEGIN KEY----- abc -----END KEY----- x", "*** x"),
            ("-----BEGIN KEY----- abc", "***"),
            ("d41d8cd98f00b204e9800998ecf8427e", "***"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn names_paths_and_image_digests_stay() {
        for text in [
            "/home/mitmproxy/.mitmproxy",
            "EGRESS_TOKEN_0",
            "/git-gate/creds/forge-token",
            "bot-bottle-git-gate-feature-123-some-long-slug",
            "bot-bottle-egress-k8s-x1-y2-z3",
            "git://git-gate:9418/",
            "ssh://git@forge:22/x",
            "x@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "/Users/Someone/Projects2024/SomeLongName/config",
            "127.0.0.1:9099/tcp",
            "http://pipelock:8888",
            "token: /run/secrets/token",
            "docker run --user 1000:1000 x",
            "mount-secret-shared",
            "--ca-key /etc/pipelock/ca-key.pem",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_credential_within_another_is_hidden_with_it() {
        for (text, shown) in [
            ("token=a.ghp_abcdefghijklmnopqrstuvwxyz0123456789 x", "token=*** x"),
            ("curl -u a:b=token=c x", "curl -u *** x"),
            ("password=a token=b", "password=*** token=***"),
            ("tokentoken=a", "tokentoken=***"),
            ("--token=--password=x", "--token=***"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    /// A search that begins again at each mark takes minutes for these.
    #[test]
    fn a_long_text_is_read_once() {
        for part in [
            "password=abc ",
            "password=",
            "password",
            "token,",
            "[\"token\",",
            "http://a@",
            "://",
            "bearer ",
            "Basic '",
            "-u a:",
            "$1$",
            "ghp_",
            "ghp_abcdefghijkl.",
            "a b1C2d3E4f5 ",
            "-----BEGIN",
            "sha256:",
        ] {
            let text = part.repeat(60_000 / part.len());
            let ranges = ranges(&text);
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{part}");
        }
    }
}
