//! Reports: one model of a comparison and a file for each output format. [`scan`] has those of scans.

mod fold;
mod github;
mod html;
mod human;
mod json;
mod junit;
mod layout;
mod markdown;
mod markup;
mod pen;
#[cfg(test)]
mod properties;
mod sarif;
pub mod scan;
mod summary;

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::finding::{Finding, Law, Rule, Severity, Shown};
use crate::flag::Shape;
use crate::text::{self, Redactor};
use crate::waiver::Waiver;

pub use github::GitHub;
pub use html::Html;
pub use human::{Human, RenderOptions, Verbosity};
pub use json::Json;
pub use junit::JUnit;
pub(crate) use layout::wrap;
pub use markdown::Markdown;
pub use sarif::Sarif;
pub use summary::{Summary, Verdict};

/// Name and version of the JSON report.
pub const SCHEMA: &str = "bottle-migrate/report/1";

/// The JSON report of one run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Every finding, in the order of the inputs.
    pub findings: Vec<Entry>,
    /// Counts over all inputs.
    pub summary: Summary,
}

/// A finding as reports show it: every text is clean and redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Id of the rule.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub rule: &'static Rule,
    /// The law that is broken.
    pub law: Law,
    /// How much it weighs.
    pub severity: Severity,
    /// Whether a principal gained something.
    pub broadening: bool,
    /// The principal; empty: the document as a whole.
    pub principal: String,
    /// What it is about.
    pub subject: String,
    /// Value in the legacy shape.
    pub before: Option<String>,
    /// Value in the bundle.
    pub after: Option<String>,
    /// JSON pointer into the plan; absent where no plan was read.
    pub pointer: Option<String>,
    /// The plan or compose file.
    pub file: Option<String>,
    /// Line in `file`, from 1.
    pub line: Option<usize>,
    /// One sentence for a person.
    pub message: String,
    /// Identity over rule, principal and subject: 16 hexadecimal digits.
    pub fingerprint: String,
    /// Reason of the waiver that accepts it.
    pub waived: Option<String>,
    /// Line in what `render` prints, for people.
    #[serde(skip)]
    pub rendered: Option<(Shape, usize)>,
    /// Whether `"isolation": "require"` in the plan removes it, for people.
    #[serde(skip)]
    pub walled: bool,
}

fn id<S: Serializer>(rule: &Rule, serializer: S) -> Result<S::Ok, S::Error> {
    rule.id.serialize(serializer)
}

/// Texts of two values that differ, as a report prints them; a digest follows where redaction or cutting makes them equal.
fn apart(values: [(String, &str); 2], redactor: &Redactor) -> (Option<String>, Option<String>) {
    let alike = values[0].0 == values[1].0;
    let [before, after] = values
        .map(|(shown, text)| if alike { format!("{shown} ({})", redactor.secret(text)) } else { shown });
    (Some(before), Some(after))
}

impl Entry {
    /// Makes a finding fit to print; its place is filled in later.
    #[must_use]
    pub fn of(finding: &Finding, waived: Option<&Waiver>, redactor: &Redactor) -> Self {
        let secrets: Vec<&str> = [&finding.before, &finding.after]
            .into_iter()
            .flatten()
            // A short one occurs by chance in words that are no secret.
            .filter(|shown| shown.secret && shown.text.len() >= 6)
            .map(|shown| shown.text.as_str())
            .collect();
        // Prose and subjects may quote a value that is secret elsewhere.
        let prose = |text: &str| {
            let mut text = text.to_owned();
            for secret in &secrets {
                if text.contains(secret) {
                    text = text.replace(secret, &redactor.secret(secret));
                }
            }
            redactor.scrub(&text)
        };
        let value = |shown: &Shown| {
            if shown.secret { redactor.secret(&shown.text) } else { prose(&shown.text) }
        };
        let (before, after) = match (&finding.before, &finding.after) {
            (Some(before), Some(after)) if before.text != after.text => {
                let values = (value(before), value(after));
                if values.0 == values.1 {
                    let seen =
                        |shown: &Shown| value(&Shown { text: text::visible(&shown.text), ..shown.clone() });
                    apart([before, after].map(|shown| (seen(shown), &*shown.text)), redactor)
                } else {
                    (Some(values.0), Some(values.1))
                }
            }
            (before, after) => (before.as_ref().map(value), after.as_ref().map(value)),
        };
        let message = if finding.message.is_empty() { finding.rule.summary } else { &finding.message };
        Self {
            rule: finding.rule,
            law: finding.law,
            severity: finding.severity,
            broadening: finding.broadening(),
            principal: prose(&finding.principal),
            subject: prose(&finding.subject),
            before,
            after,
            pointer: None,
            file: None,
            line: None,
            message: prose(message),
            fingerprint: finding.identity().fingerprint(),
            waived: waived.map(|waiver| redactor.scrub(&waiver.reason)),
            rendered: None,
            walled: false,
        }
    }

    /// An error about a waiver in the configuration `file`.
    #[must_use]
    pub fn of_waiver(
        rule: &'static Rule,
        waiver: &Waiver,
        message: &str,
        file: &str,
        redactor: &Redactor,
    ) -> Self {
        let subject = waiver.subject();
        let principal = waiver.principal.as_deref().unwrap_or_default();
        let shown = Shown::plain(&waiver.reason, "");
        let mut finding = Finding::lost(rule, principal, subject, shown).because(message);
        finding.before = None;
        let entry = Self::of(&finding, None, redactor);
        Self { file: Some(file.to_owned()), line: Some(waiver.line), ..entry }
    }
}

/// A finding that a report counts and does not list.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The rule that fired.
    pub rule: &'static Rule,
    /// The law that is broken.
    pub law: Law,
    /// Weight of the finding.
    pub severity: Severity,
    /// Whether a waiver accepts it.
    pub waived: bool,
}

impl From<&Entry> for Count {
    fn from(entry: &Entry) -> Self {
        Self { rule: entry.rule, law: entry.law, severity: entry.severity, waived: entry.waived.is_some() }
    }
}

/// Result of comparing one pair of documents.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The plan, or the two compose files.
    pub label: String,
    /// Number of services before and after.
    pub services: (usize, usize),
    /// Intended changes: name and detail.
    pub transitions: Vec<(&'static str, String)>,
    /// The findings that the report lists.
    pub entries: Vec<Entry>,
    /// Findings that the report only counts.
    pub untold: Vec<Count>,
    /// Unified diff of the two files, if asked for.
    pub text: Option<String>,
}

impl Comparison {
    /// All findings, listed or only counted.
    pub fn counts(&self) -> impl Iterator<Item = Count> {
        self.entries.iter().map(Count::from).chain(self.untold.iter().copied())
    }

    /// Counts of this comparison alone.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { compared: 1, ..Summary::default() };
        self.counts().for_each(|count| summary.add(count));
        summary
    }
}

/// An input that could not be compared.
#[derive(Clone, Debug, Default)]
pub struct Failed {
    /// The input.
    pub file: String,
    /// Line, if the trouble has one.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// An output format. Comparisons come in the order of the inputs, and each is written as it comes.
pub trait Reporter {
    /// Starts the report.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses.
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()>;

    /// Shows one comparison.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses.
    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()>;

    /// Shows an input that could not be compared; the message also goes to stderr.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses.
    fn failed(&mut self, _failed: &Failed, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Ends the report; `closing` are findings about the run as a whole.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses.
    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()>;
}

/// JSON Schema of the JSON report.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Report).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Columns, RuleId};

    static RULE: Rule = Rule {
        id: RuleId::EnvChanged,
        law: Law::Conservation,
        severity: Severity::Error,
        columns: Columns { subject: "variable", principal: "who", gained: "now" },
        summary: "a variable changed",
        doc: "",
    };

    #[test]
    fn secrets_leave_no_trace_and_differ() {
        let finding = Finding::changed(
            &RULE,
            "egress",
            "X\u{1b}[31m",
            Shown::secret("swordfish", ""),
            Shown::secret("marlin-42", ""),
        )
        .because("X is swordfish here and marlin-42 there");
        let entry = Entry::of(&finding, None, &Redactor::new(false));
        let text = serde_json::to_string(&entry).unwrap();
        assert!(!text.contains("swordfish") && !text.contains("marlin"), "{text}");
        assert_ne!(entry.before, entry.after);
        assert_eq!(entry.subject, "X[31m");
        assert!(entry.message.starts_with("X is redacted #"), "{}", entry.message);
        let open = Entry::of(&finding, None, &Redactor::new(true));
        assert_eq!(open.before.as_deref(), Some("swordfish"));
    }

    #[test]
    fn counts_go_by_severity_and_waivers_apart() {
        let finding = Finding::lost(&RULE, "", "x", Shown::plain("y", ""));
        let mut summary = Summary::default();
        let mut entry = Entry::of(&finding, None, &Redactor::new(false));
        summary.add(Count::from(&entry));
        entry.waived = Some("why".to_owned());
        summary.add(Count::from(&entry));
        assert_eq!((summary.errors, summary.waived), (1, 1));
        assert_eq!(entry.message, "a variable changed");
    }
}
