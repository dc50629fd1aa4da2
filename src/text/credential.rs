//! What looks like a credential.

use std::cmp::Reverse;
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

/// The first range of `text` that looks like a credential.
pub(super) fn find(text: &str) -> Option<(usize, usize)> {
    if !marked(text) && !text.split(|c| !in_word(c)).any(random) {
        return None;
    }
    let found =
        [block(text), userinfo(text), named(text), scheme(text), login(text), crypt(text), word(text)];
    // The earliest; of two at one place the longer.
    found.into_iter().flatten().min_by_key(|(start, end)| (*start, Reverse(*end)))
}

/// A PEM block, to its end or that of the text.
pub(super) fn block(text: &str) -> Option<(usize, usize)> {
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
            if text[start..start + sign] != *"git" && !text[start..start + sign].starts_with(HIDDEN) {
                return Some((start, start + sign));
            }
        }
        from = start;
    }
    None
}

/// Length of the value at the start of `text`: within its quotes, or to what ends a word.
fn value(text: &str) -> (usize, usize) {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return (1, text[1..].find(quote).unwrap_or(text.len() - 1));
    }
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '&' | ',' | ';' | '"' | '\'' | '`' | ')' | '}' | ']');
    (0, text.find(ends).unwrap_or(text.len()))
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
            let after = if let Some(value) = quoted.strip_prefix('=') {
                value
            } else if let Some(value) = quoted.strip_prefix(':').filter(|value| !value.starts_with("//")) {
                value.trim_start()
            } else {
                let option = text[..end_of_name].rsplit(char::is_whitespace).next().unwrap_or_default();
                let value = quoted.strip_prefix(',').unwrap_or(quoted).strip_prefix(' ');
                match value {
                    Some(value) if option.trim_start_matches(['"', '\'', '[']).starts_with('-') => value,
                    _ => continue,
                }
            };
            let (skip, length) = value(after);
            let start = text.len() - after.len() + skip;
            let found = &text[start..start + length];
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
fn scheme(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let found = ["bearer ", "basic "].into_iter().flat_map(|scheme| {
        lower.match_indices(scheme).map(|(at, scheme)| at + scheme.len()).collect::<Vec<_>>()
    });
    found
        .filter_map(|start| {
            let (skip, length) = value(&text[start..]);
            let start = start + skip;
            (length >= 8 && !text[start..].starts_with(HIDDEN)).then_some((start, start + length))
        })
        .min()
}

/// The `user:password` of `-u user:password`, but not the ids of `--user 1000:1000`.
fn login(text: &str) -> Option<(usize, usize)> {
    let found = ["-u ", "--user ", "--user="].into_iter().flat_map(|option| text.match_indices(option));
    found
        .filter_map(|(at, option)| {
            let before = text[..at].chars().next_back();
            let from = at + option.len();
            let (skip, length) = value(&text[from..]);
            let start = from + skip;
            let (user, password) = text[start..start + length].split_once(':')?;
            let ids = password.bytes().all(|byte| byte.is_ascii_digit()) || password.starts_with("//");
            let hit = before.is_none_or(char::is_whitespace) && !user.is_empty() && !ids;
            hit.then_some((start, start + length))
        })
        .min()
}

/// The hash of a password, as in `/etc/shadow` or `.htpasswd`.
fn crypt(text: &str) -> Option<(usize, usize)> {
    let marks = ["$apr1$", "$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$argon2"];
    let start = marks.iter().filter_map(|mark| text.find(mark)).min()?;
    let (_, length) = value(&text[start..]);
    Some((start, start + length))
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
                // A prefix may end in a dot, which is no part of a word.
                let places = text[start..].match_indices(prefix).take_while(|(at, _)| *at < length);
                for from in places.map(|(at, _)| start + at) {
                    let tail = &text[from + prefix.len()..];
                    let rest = tail.find(|c: char| !in_word(c) && c != '.').unwrap_or(tail.len());
                    let begins = !text[start..from].ends_with(|c: char| c.is_ascii_alphanumeric());
                    if begins && rest >= 12 {
                        return Some((from, from + prefix.len() + rest));
                    }
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

    /// Puts `***` where a credential was found, until none is.
    fn masked(text: &str) -> String {
        let mut rest = text;
        let mut out = String::new();
        while let Some((start, end)) = find(rest) {
            out = out + &rest[..start] + "***";
            rest = &rest[end..];
        }
        out + rest
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
}
