//! Reports of scans, in each format.

mod github;
mod human;
mod json;
mod sarif;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::Verbosity;
use crate::rule::{RuleId, Severity};
use crate::scan::{Certainty, Finding, Report, Zone};
use crate::text::{self, Redactor, count};

/// Name and version of the JSON report.
pub const SCHEMA: &str = "bottle-migrate/scan/1";

/// How a scan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Human,
    /// [`SCHEMA`].
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands.
    GitHub,
}

/// How a report for people looks.
#[derive(Clone, Copy, Debug)]
pub struct RenderOptions {
    /// Use colours.
    pub color: bool,
    /// How much to say.
    pub verbosity: Verbosity,
    /// Columns that a line may fill.
    pub width: usize,
}

/// The JSON report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// Every finding, by file, line and daemon.
    pub findings: Vec<Entry>,
    /// Files that were not searched, or not in full.
    pub skipped: Vec<Unsearched>,
    /// Counts.
    pub summary: Summary,
}

/// A finding as reports show it: every text is clean and redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// File, relative to the root.
    pub file: String,
    /// Line of the name, from 1.
    pub line: usize,
    /// Column of the name in characters, from 1.
    pub column: usize,
    /// Id of the rule.
    #[serde(rename = "form")]
    #[schemars(with = "String")]
    pub rule: RuleId,
    /// `pipelock`, `egress`, `git-gate` or `supervise`; absent where the line means all of them.
    pub service: Option<String>,
    /// `test`, `code` or `doc`.
    pub zone: Zone,
    /// The line.
    pub text: String,
    /// What to write instead.
    pub suggestion: String,
    /// Whether `--fix` rewrites it.
    pub safe: bool,
    /// Whether it is certainly a reference.
    pub certainty: Certainty,
    /// Identity over form, service and file: 16 hexadecimal digits.
    pub fingerprint: String,
    /// Reason of the opt-out or the waiver that accepts it.
    pub waived: Option<String>,
    /// Severity of the form, for formats that have one.
    #[serde(skip)]
    severity: Severity,
    /// What the form is, for people.
    #[serde(skip)]
    summary: &'static str,
    /// Characters that the name fills on its line.
    #[serde(skip)]
    width: usize,
}

/// A file that was not searched, or not in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unsearched {
    /// File, relative to the root.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// Counts of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Files that were looked at.
    pub files: usize,
    /// Findings that neither a comment nor a waiver accepts.
    pub findings: usize,
    /// Of them, those that `--fix` rewrites.
    pub safe: usize,
    /// Of them, those that may be something else.
    pub unsure: usize,
    /// Findings that an opt-out or a waiver accepts.
    pub waived: usize,
    /// Findings that count, by form.
    pub forms: BTreeMap<String, usize>,
    /// Findings that count, by zone.
    pub zones: BTreeMap<Zone, usize>,
}

impl Entry {
    fn of(finding: &Finding, redactor: &Redactor) -> Self {
        // Each tab becomes one space, so that columns stay right.
        let rule = finding.form.description();
        let service = finding.service.map(|service| service.name().to_owned());
        Self {
            file: text::strip(&finding.file).into_owned(),
            line: finding.line,
            column: finding.column,
            rule: rule.id,
            service,
            zone: finding.zone,
            text: redactor.scrub(&finding.text),
            suggestion: redactor.scrub(&finding.suggestion),
            safe: finding.safe(),
            certainty: finding.certainty,
            fingerprint: finding.identity().fingerprint(),
            waived: finding.waived.as_ref().map(|reason| redactor.scrub(reason)),
            severity: rule.severity,
            summary: rule.summary,
            width: finding.width,
        }
    }
}

impl Summary {
    fn of(files: usize, entries: &[Entry]) -> Self {
        let mut summary = Self { files, ..Self::default() };
        for entry in entries {
            if entry.waived.is_some() {
                summary.waived += 1;
                continue;
            }
            summary.findings += 1;
            summary.safe += usize::from(entry.safe);
            summary.unsure += usize::from(entry.certainty == Certainty::Unsure);
            *summary.forms.entry(entry.rule.to_string()).or_default() += 1;
            *summary.zones.entry(entry.zone).or_default() += 1;
        }
        summary
    }
}

/// JSON Schema of the JSON report.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

/// Writes `report` in a format.
///
/// # Errors
///
/// Whatever `out` refuses.
pub fn write(
    report: &Report,
    format: Format,
    options: RenderOptions,
    redactor: &Redactor,
    out: &mut dyn Write,
) -> io::Result<()> {
    let findings: Vec<Entry> = report.findings.iter().map(|finding| Entry::of(finding, redactor)).collect();
    let skipped = report.skipped.iter().map(|skipped| Unsearched {
        file: text::strip(&skipped.file).into_owned(),
        reason: text::strip(&skipped.reason).into_owned(),
    });
    let document = Document {
        schema: SCHEMA.to_owned(),
        skipped: skipped.collect(),
        summary: Summary::of(report.files, &findings),
        findings,
    };
    match format {
        Format::Human => human::write(&document, options, out),
        Format::Json => json::write(&document, out),
        Format::Sarif => sarif::write(&document, out),
        Format::GitHub => github::write(&document, out),
    }
}

/// What an entry says in one sentence.
fn sentence(entry: &Entry) -> String {
    let service = entry.service.as_ref().map_or_else(String::new, |service| format!(" ({service})"));
    let unsure =
        if entry.certainty == Certainty::Unsure { ", unless it is the agent's container" } else { "" };
    format!("{}{service}{unsure}; write instead: {}", entry.summary, entry.suggestion)
}

/// The counts in one sentence.
fn verdict(summary: &Summary) -> String {
    let files = count(summary.files, "file");
    let mut text = if summary.findings == 0 {
        format!("clean: no reference to one container per sidecar in {files}")
    } else {
        let safe = match summary.safe {
            0 => String::new(),
            safe => format!(", {safe} of them rewritten by --fix"),
        };
        format!("{} in {files}{safe}", count(summary.findings, "reference"))
    };
    if summary.unsure > 0 {
        let _ = write!(text, ", {} unsure", summary.unsure);
    }
    if summary.waived > 0 {
        let _ = write!(text, ", {} accepted", summary.waived);
    }
    text
}

/// Position of a rule in tables.
fn order(rule: &str) -> usize {
    RuleId::ALL.iter().position(|id| id.as_str() == rule).unwrap_or(usize::MAX)
}
