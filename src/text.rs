//! Text from input, made fit to print: no control characters, no credentials.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::hash::{BuildHasher, RandomState};

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

/// Hides secrets, each behind a digest that is good for one run.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    key: RandomState,
    open: bool,
}

impl Redactor {
    /// A redactor with a fresh random key; `open` lets everything through.
    #[must_use]
    pub fn new(open: bool) -> Self {
        Self { key: RandomState::new(), open }
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

    /// Strips `text` and hides whatever in it looks like a credential.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let clean = strip(text);
        if self.open {
            return clean.into_owned();
        }
        let mut rest: &str = &clean;
        let mut out = String::with_capacity(rest.len());
        while let Some((start, end)) = credential(rest) {
            out.push_str(&rest[..start]);
            out.push_str(&self.digest(&rest[start..end]));
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }

    fn digest(&self, value: &str) -> String {
        format!("redacted #{:06x}", self.key.hash_one(value) & 0xff_ffff)
    }
}

/// Beginnings by which services mark their tokens.
const PREFIXES: [&str; 24] = [
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
    "AKIA",
    "ASIA",
    "AIza",
    "npm_",
    "pypi-",
    "dckr_pat_",
    "hf_",
    "eyJ",
    "SG.",
];

/// Parts of names whose value is a credential.
const NAMES: [&str; 12] = [
    "token",
    "password",
    "passwd",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "private_key",
    "credential",
    "authorization",
    "passphrase",
];

/// The first range of `text` that looks like a credential.
fn credential(text: &str) -> Option<(usize, usize)> {
    let found = [block(text), userinfo(text), named(text), bearer(text), word(text)];
    // The earliest; of two at one place the longer.
    found.into_iter().flatten().min_by_key(|(start, end)| (*start, Reverse(*end)))
}

/// A PEM block, to its end or that of the text.
fn block(text: &str) -> Option<(usize, usize)> {
    let start = text.find("-----BEGIN")?;
    let end = text[start..].find("-----END").map_or(text.len(), |at| {
        let from = start + at + "-----END".len();
        text[from..].find("-----").map_or(text.len(), |tail| from + tail + 5)
    });
    Some((start, end))
}

/// `user:password` of a URL.
fn userinfo(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let end = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`' | '<' | '>'))
            .map_or(text.len(), |length| start + length);
        if let Some(sign) = text[start..end].rfind('@').filter(|length| *length > 0) {
            // A bare user name is no secret, and `git@host` is everywhere; an earlier pass may have hidden it.
            if text[start..start + sign] != *"git" && !text[start..start + sign].starts_with("redacted #") {
                return Some((start, start + sign));
            }
        }
        from = start;
    }
    None
}

/// The value of `token=…`, `"password": "…"`, `--api-key …`.
fn named(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut best: Option<(usize, usize)> = None;
    for name in NAMES {
        let mut from = 0;
        while let Some(at) = lower[from..].find(name) {
            let end_of_name = from + at + name.len();
            from = end_of_name;
            let tail = &text[end_of_name..];
            // The rest of the name (`token_2`), then a separator.
            let rest = tail.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            let quoted = rest.trim_start_matches(['"', '\'']);
            let value = if let Some(value) = quoted.strip_prefix('=') {
                value
            } else if let Some(value) = quoted.strip_prefix(':').filter(|value| !value.starts_with("//")) {
                value.trim_start()
            } else {
                let option = text[..end_of_name].rsplit(char::is_whitespace).next().unwrap_or_default();
                match rest.strip_prefix(' ') {
                    Some(value) if option.starts_with("--") => value,
                    _ => continue,
                }
            };
            let value = value.trim_start_matches(['"', '\'']);
            let start = text.len() - value.len();
            let length = value
                .find(|c: char| {
                    c.is_whitespace() || matches!(c, '&' | ',' | ';' | '"' | '\'' | '`' | ')' | '}')
                })
                .unwrap_or(value.len());
            let found = &value[..length];
            // `Authorization: Bearer …`: the scheme is no secret, what follows it is found as such.
            let scheme = found.eq_ignore_ascii_case("bearer") || found.eq_ignore_ascii_case("basic");
            if length > 0
                && !scheme
                && !found.starts_with("redacted")
                && !found.starts_with('$')
                && !found.starts_with('/')
                && best.is_none_or(|(earliest, _)| start < earliest)
            {
                best = Some((start, start + length));
            }
        }
    }
    best
}

/// What follows `Bearer` or `Basic`.
fn bearer(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let found = ["bearer ", "basic "].into_iter().flat_map(|scheme| {
        lower.match_indices(scheme).map(|(at, scheme)| at + scheme.len()).collect::<Vec<_>>()
    });
    found
        .filter_map(|start| {
            let length = text[start..]
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ','))
                .unwrap_or(text.len() - start);
            (length >= 8 && !text[start..].starts_with("redacted")).then_some((start, start + length))
        })
        .min()
}

/// A word with a well-known beginning, or one too random to be a name.
fn word(text: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    while start < text.len() {
        let length = text[start..].find(|c: char| !in_word(c)).unwrap_or(text.len() - start);
        let found = &text[start..start + length];
        // The digest of an image is long and random too, and no secret.
        let digest = text[..start].ends_with("sha256:") || text[..start].ends_with("sha512:");
        if !digest {
            for prefix in PREFIXES {
                let at = found.find(prefix).filter(|at| {
                    found.len() - at >= prefix.len() + 12
                        && !found[..*at].ends_with(|c: char| c.is_ascii_alphanumeric())
                });
                if let Some(at) = at {
                    return Some((start + at, start + length));
                }
            }
            if random(found) {
                return Some((start, start + length));
            }
        }
        start += length + text[start + length..].chars().next().map_or(0, char::len_utf8);
    }
    None
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
    }

    /// Replaces the per-run digests so that texts can be compared.
    fn scrubbed(text: &str) -> String {
        let mut out = Redactor::new(false).scrub(text);
        while let Some(at) = out.find("redacted #") {
            out.replace_range(at..at + 16, "***");
        }
        out
    }

    #[test]
    fn credentials_are_hidden() {
        for (text, shown) in [
            ("https://user:pw@host/x", "https://***@host/x"),
            ("see http://tok@proxy:8888 there", "see http://***@proxy:8888 there"),
            ("--token abc123", "--token ***"),
            ("a?token=abc&b=1", "a?token=***&b=1"),
            ("DB_PASSWORD=hunter2 x", "DB_PASSWORD=*** x"),
            (r#"{"password": "hunter2"}"#, r#"{"password": "***"}"#),
            ("Authorization: Bearer abcdefgh", "Authorization: Bearer ***"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "***"),
            ("run sk-proj-aaaaaaaaaaaaaaaaaaaa now", "run *** now"),
            ("AKIAIOSFODNN7EXAMPLE", "***"),
            ("-----BEGIN KEY----- abc -----END KEY----- x", "*** x"),
            ("-----BEGIN KEY----- abc", "***"),
            ("d41d8cd98f00b204e9800998ecf8427e", "***"),
        ] {
            assert_eq!(scrubbed(text), shown, "{text}");
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
        ] {
            assert_eq!(scrubbed(text), text);
        }
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
