//! Findings that a target accepts, each with its reason and its last day.

use std::cell::LazyCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use jiff::Timestamp;
pub use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::finding::{Identity, RuleId};
use crate::rule::rules;

rules! {
    comparison:
    EXPIRED = WaiverExpired Conservation Error "a waiver's last day is past"
        "A waiver in bottle-migrate.toml accepts a finding until its `expires` day, that day included. After it \
         the finding counts again, and the waiver itself is an error, so that an exception that was meant for a \
         while does not stay for ever.\n\nExample: `expires = \"2026-01-31\"` read on 2026-02-01.\n\nWhat to do: renew \
         the waiver with a new reason, or remove it and the cause of the finding.";
    UNUSED = WaiverUnused Conservation Error "a waiver accepts a finding that does not exist"
        "A waiver that no finding needs would silently accept the same finding when it comes back. It is an error \
         once a run has checked every plan of `[plans] include`.\n\nExample: a waiver for a mount that was removed \
         from the plan.\n\nWhat to do: remove the waiver, or correct its rule, subject or principal.";
}

/// The day on which `time` falls in UTC.
///
/// A clock outside of the years that a date can have counts as the last day there is, on which every waiver with an
/// end has expired.
#[must_use]
pub fn day_of(time: SystemTime) -> Date {
    Timestamp::try_from(time).map_or(Date::MAX, |time| TimeZone::UTC.to_datetime(time).date())
}

/// Reads `YYYY-MM-DD`, and no other spelling of a day.
#[must_use]
pub fn parse_day(text: &str) -> Option<Date> {
    text.parse::<Date>().ok().filter(|day| day.to_string() == text)
}

/// An accepted finding.
#[derive(Debug)]
pub struct Waiver {
    /// The rule whose finding is accepted; absent: any, the fingerprint decides.
    pub rule: Option<RuleId>,
    /// Subject of the finding, or a pattern (`*`: any text, `?`: any character, `\*` and `\?`: themselves); absent: any,
    /// the fingerprint decides.
    pub subject: Option<String>,
    /// Fingerprint of the finding; absent: any, rule and subject decide.
    pub fingerprint: Option<String>,
    /// Principal of the finding; absent: any.
    pub principal: Option<String>,
    /// Why it is accepted; never empty.
    pub reason: String,
    /// Last day on which it applies; absent: no end.
    pub expires: Option<Date>,
    /// Line in the configuration, from 1.
    pub line: usize,
    used: AtomicBool,
}

impl Waiver {
    /// A waiver that nothing has used yet.
    #[must_use]
    pub const fn new(
        rule: Option<RuleId>,
        subject: Option<String>,
        fingerprint: Option<String>,
        principal: Option<String>,
        reason: String,
        expires: Option<Date>,
        line: usize,
    ) -> Self {
        Self { rule, subject, fingerprint, principal, reason, expires, line, used: AtomicBool::new(false) }
    }

    /// Whether the last day is past on `today`.
    #[must_use]
    pub fn expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|expires| expires < today)
    }

    /// Whether the waiver speaks of `finding`.
    #[must_use]
    pub fn covers(&self, finding: &Identity<'_>) -> bool {
        self.speaks_of(finding, |wanted| *wanted == finding.fingerprint())
    }

    /// As [`Waiver::covers`], for a finding whose fingerprint is known.
    fn speaks_of(&self, finding: &Identity<'_>, is: impl Fn(&str) -> bool) -> bool {
        self.rule.is_none_or(|rule| rule == finding.rule)
            && self.principal.as_ref().is_none_or(|principal| principal == finding.principal)
            && self.subject.as_ref().is_none_or(|subject| matches(subject, finding.subject))
            && self.fingerprint.as_ref().is_none_or(|wanted| is(wanted))
    }

    /// Whether no finding can be what the waiver speaks of: its fingerprint is that of another one than it describes.
    #[must_use]
    pub fn contradicts_itself(&self) -> bool {
        let literal = |pattern: &String| {
            let exactly = |part| if let Part::Exactly(character) = part { Some(character) } else { None };
            Part::all(pattern).into_iter().map(exactly).collect::<Option<String>>()
        };
        let (Some(rule), Some(principal), Some(fingerprint)) =
            (self.rule, &self.principal, &self.fingerprint)
        else {
            return false;
        };
        let subject = self.subject.as_ref().and_then(literal);
        subject.is_some_and(|subject| {
            *fingerprint != Identity { rule, principal, subject: &subject }.fingerprint()
        })
    }

    /// What the waiver accepts, for recognising duplicates.
    pub(crate) fn key(&self) -> impl Ord + use<> {
        let rule = self.rule.map(RuleId::as_str);
        (rule, self.subject.clone(), self.fingerprint.clone(), self.principal.clone())
    }

    /// What the waiver is about, for a person.
    #[must_use]
    pub fn subject(&self) -> String {
        let rule = self.rule.map_or("", RuleId::as_str);
        let about = self.subject.as_deref().or(self.fingerprint.as_deref()).unwrap_or_default();
        format!("{rule} {about}").trim_start().to_owned()
    }
}

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `*`: any text.
    Any,
    /// `?`: any character.
    One,
    /// That character; `\*` and `\?` are the characters themselves.
    Exactly(char),
}

impl Part {
    fn all(pattern: &str) -> Vec<Self> {
        let mut characters = pattern.chars().peekable();
        let mut parts = Vec::new();
        while let Some(character) = characters.next() {
            parts.push(match character {
                '*' => Self::Any,
                '?' => Self::One,
                '\\' => Self::Exactly(characters.next_if(|next| matches!(next, '*' | '?')).unwrap_or('\\')),
                other => Self::Exactly(other),
            });
        }
        parts
    }
}

/// Whether a pattern matches a text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<Part>, Vec<char>) = (Part::all(pattern), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // The last `*`, and where the text goes on if it takes one character more.
    let mut again: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(Part::Any) => {
                again = Some((at, from));
                at += 1;
            }
            Some(wanted) if matches!(wanted, Part::One) || *wanted == Part::Exactly(text[from]) => {
                at += 1;
                from += 1;
            }
            _ => match again {
                Some((star, taken)) => {
                    again = Some((star, taken + 1));
                    (at, from) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == Part::Any)
}

/// Finds the waiver in force on `today` that accepts `finding`, and marks it as used.
///
/// Every waiver that covers the finding is marked, so that an overlap leaves none to be called unused.
#[must_use]
pub fn accept<'a>(waivers: &'a [Waiver], finding: &Identity<'_>, today: Date) -> Option<&'a Waiver> {
    let fingerprint = LazyCell::new(|| finding.fingerprint());
    let is = |wanted: &str| *wanted == **fingerprint;
    let mut found = None;
    for waiver in waivers.iter().filter(|waiver| !waiver.expired(today) && waiver.speaks_of(finding, is)) {
        waiver.used.store(true, Ordering::Relaxed);
        found = found.or(Some(waiver));
    }
    found
}

/// Waivers whose last day is past on `today`.
pub fn expired(waivers: &[Waiver], today: Date) -> impl Iterator<Item = &Waiver> {
    waivers.iter().filter(move |waiver| waiver.expired(today))
}

/// Waivers in force on `today` that accepted nothing so far.
pub fn unused(waivers: &[Waiver], today: Date) -> impl Iterator<Item = &Waiver> {
    waivers.iter().filter(move |waiver| !waiver.expired(today) && !waiver.used.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULE: RuleId = RuleId::MountSecretShared;
    const OTHER: RuleId = RuleId::MountUnexpected;

    fn date(text: &str) -> Date {
        parse_day(text).unwrap()
    }

    fn finding<'a>(rule: RuleId, principal: &'a str, subject: &'a str) -> Identity<'a> {
        Identity { rule, principal, subject }
    }

    fn waiver(subject: Option<&str>, principal: Option<&str>, expires: Option<&str>) -> Waiver {
        Waiver::new(
            Some(RULE),
            subject.map(str::to_owned),
            None,
            principal.map(str::to_owned),
            "why".to_owned(),
            expires.map(date),
            1,
        )
    }

    #[test]
    fn dates_are_civil() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(day_of(time).to_string(), text);
        }
        for bad in [
            "",
            "2026-1-1",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "20260101",
            "2026/01/01",
            "2026-01-01T00:00",
            "+002026-01-01",
            "é26-01-01",
        ] {
            assert_eq!(parse_day(bad), None, "{bad}");
        }
        assert!(date("2026-12-31") < date("2027-01-01"));
    }

    #[test]
    fn a_waiver_covers_its_rule_subject_and_principal_only() {
        let any = waiver(Some("/a"), None, None);
        assert!(any.covers(&finding(RULE, "egress", "/a")));
        assert!(!any.covers(&finding(RULE, "egress", "/a/b")));
        assert!(!any.covers(&finding(OTHER, "egress", "/a")));
        let one = waiver(Some("/a"), Some("egress"), None);
        assert!(one.covers(&finding(RULE, "egress", "/a")));
        assert!(!one.covers(&finding(RULE, "pipelock", "/a")));
    }

    #[test]
    fn a_fingerprint_names_one_finding() {
        let wanted = finding(RULE, "egress", "/a");
        for rule in [Some(RULE), None] {
            let waiver = Waiver::new(rule, None, Some(wanted.fingerprint()), None, "why".to_owned(), None, 1);
            assert!(waiver.covers(&wanted));
            assert!(!waiver.covers(&finding(RULE, "pipelock", "/a")));
        }
    }

    #[test]
    fn a_waiver_that_describes_another_finding_than_its_fingerprint_contradicts_itself() {
        let fingerprint = finding(RULE, "egress", "/a*").fingerprint();
        let of = |rule, subject: Option<&str>, principal: Option<&str>| {
            let text = |text: &str| text.to_owned();
            let fingerprint = Some(fingerprint.clone());
            let waiver =
                Waiver::new(rule, subject.map(text), fingerprint, principal.map(text), text("why"), None, 1);
            waiver.contradicts_itself()
        };
        for subject in ["/b", "/a", "\\*"] {
            assert!(of(Some(RULE), Some(subject), Some("egress")), "{subject}");
        }
        assert!(of(Some(OTHER), Some("/a\\*"), Some("egress")));
        assert!(of(Some(RULE), Some("/a\\*"), Some("pipelock")));
        // What is left open may be as the fingerprint says.
        for (rule, subject, principal) in [
            (Some(RULE), Some("/a\\*"), Some("egress")),
            (Some(RULE), Some("/a*"), Some("egress")),
            (None, Some("/b"), Some("egress")),
            (Some(RULE), None, Some("egress")),
            (Some(RULE), Some("/b"), None),
        ] {
            assert!(!of(rule, subject, principal), "{subject:?} {principal:?}");
        }
    }

    #[test]
    fn the_last_day_counts_and_the_next_does_not() {
        let waivers = [waiver(Some("/a"), None, Some("2027-01-31"))];
        let hit = finding(RULE, "egress", "/a");
        assert!(accept(&waivers, &hit, date("2027-01-31")).is_some());
        assert!(accept(&waivers, &hit, date("2027-02-01")).is_none());
        assert_eq!(expired(&waivers, date("2027-02-01")).count(), 1);
        assert_eq!(expired(&waivers, date("2027-01-31")).count(), 0);
    }

    #[test]
    fn what_accepts_nothing_is_unused_and_what_expired_is_not_called_so() {
        let waivers = [
            waiver(Some("/a"), None, None),
            waiver(Some("/b"), None, None),
            waiver(Some("/c"), None, Some("2020-01-01")),
        ];
        let today = date("2026-06-01");
        assert!(accept(&waivers, &finding(RULE, "egress", "/a"), today).is_some());
        let left: Vec<_> = unused(&waivers, today).map(Waiver::subject).collect();
        assert_eq!(left, ["mount-secret-shared /b"]);
    }

    #[test]
    fn a_pattern_covers_what_it_matches() {
        for (pattern, subject, covered) in [
            ("*", "/a/b", true),
            ("*", "", true),
            ("/git-gate/*", "/git-gate/creds/key", true),
            ("/git-gate/*", "/etc/git-gate/x", false),
            ("*.pem", "/etc/ca.pem", true),
            ("*.pem", "/etc/ca.pem.old", false),
            ("/a/?", "/a/b", true),
            ("/a/?", "/a/bc", false),
            ("*a*b*c*", "xaxbxcx", true),
            ("*a*b*c*", "xcxbxax", false),
            ("[::1]:*/tcp", "[::1]:80/tcp", true),
            ("/a", "/a/", false),
            ("/a/\\*", "/a/*", true),
            ("/a/\\*", "/a/b", false),
            ("\\?", "?", true),
            ("\\?", "x", false),
            ("C:\\x", "C:\\x", true),
            ("a\\", "a\\", true),
            ("*\\**", "x*y", true),
            ("*\\**", "xy", false),
        ] {
            let waiver = waiver(Some(pattern), None, None);
            assert_eq!(waiver.covers(&finding(RULE, "egress", subject)), covered, "{pattern} {subject}");
        }
    }
}
