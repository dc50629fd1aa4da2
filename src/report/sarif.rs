//! SARIF 2.1.0, for code scanning (OASIS, "Static Analysis Results Interchange Format").

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Comparison, Entry, Failed, Reporter, Summary};
use crate::rule::{Description, RuleId, Severity};

/// Writes one run, with one result on each line.
#[derive(Debug)]
pub struct Sarif {
    rules: Vec<Description>,
    log: Log,
    failures: Vec<Notification>,
}

impl Sarif {
    /// A report that describes `rules`.
    #[must_use]
    pub const fn new(rules: Vec<Description>) -> Self {
        Self { rules, log: Log { started: false }, failures: Vec::new() }
    }

    fn result(&mut self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        let physical = entry.file.as_ref().map(|file| {
            let region = entry.line.map(|line| Region { start_line: line, ..Region::default() });
            PhysicalLocation::new(file, region)
        });
        let logical = LogicalLocation { name: entry.principal.clone(), kind: "resource" };
        self.log.result(
            &SarifResult {
                rule_id: entry.rule.id,
                level: level(entry.severity),
                message: Message { text: format!("{}: {}", entry.subject, entry.message) },
                locations: [Location { physical_location: physical, logical_locations: Some([logical]) }],
                partial_fingerprints: Fingerprints { v1: &entry.fingerprint },
                suppressions: entry.waived.as_deref().map(|reason| Suppression::new("external", reason)),
                properties: json!({
                    "law": entry.law,
                    "broadening": entry.broadening,
                    "principal": entry.principal,
                    "subject": entry.subject,
                    "before": entry.before,
                    "after": entry.after,
                }),
            },
            out,
        )
    }
}

impl Reporter for Sarif {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        Log::begin(&self.rules, out)
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        comparison.entries.iter().try_for_each(|entry| self.result(entry, out))
    }

    fn failed(&mut self, failed: &Failed, _out: &mut dyn Write) -> io::Result<()> {
        let region = failed.line.map(|line| Region { start_line: line, ..Region::default() });
        self.failures.push(Notification::new("error", &failed.message, &failed.file, region));
        Ok(())
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        closing.iter().try_for_each(|entry| self.result(entry, out))?;
        Log::end(summary.failed == 0, &self.failures, out)
    }
}

/// A log with one run, written as its results come.
#[derive(Debug, Default)]
pub(super) struct Log {
    started: bool,
}

impl Log {
    /// Writes everything before the results.
    pub(super) fn begin(rules: &[Description], out: &mut dyn Write) -> io::Result<()> {
        let driver = json!({
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "rules": rules.iter().map(|rule| describe(*rule)).collect::<Vec<_>>(),
        });
        write!(
            out,
            "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{{\n\
             \"tool\":{{\"driver\":{driver}}},\n\"columnKind\":\"unicodeCodePoints\",\n\"results\":["
        )
    }

    /// Writes one result.
    pub(super) fn result(&mut self, result: &SarifResult<'_>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.started { b",\n" } else { b"\n" })?;
        self.started = true;
        serde_json::to_writer(out, result).map_err(io::Error::from)
    }

    /// Writes everything after the results; `successful`: every input could be read.
    pub(super) fn end(
        successful: bool,
        notifications: &[Notification],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let invocation = json!({
            "executionSuccessful": successful,
            "toolExecutionNotifications": notifications,
        });
        writeln!(out, "\n],\n\"invocations\":[{invocation}]\n}}]}}")
    }
}

/// `result` (SARIF, 3.27).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifResult<'a> {
    pub(super) rule_id: RuleId,
    pub(super) level: &'static str,
    pub(super) message: Message,
    pub(super) locations: [Location; 1],
    pub(super) partial_fingerprints: Fingerprints<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suppressions: Option<[Suppression<'a>; 1]>,
    pub(super) properties: Value,
}

/// `message` (SARIF, 3.11).
#[derive(Debug, Serialize)]
pub(super) struct Message {
    pub(super) text: String,
}

/// Partial fingerprints of a result (SARIF, 3.27.17).
#[derive(Debug, Serialize)]
pub(super) struct Fingerprints<'a> {
    #[serde(rename = "bottleMigrate/v1")]
    pub(super) v1: &'a str,
}

/// `suppression` (SARIF, 3.35).
#[derive(Debug, Serialize)]
pub(super) struct Suppression<'a> {
    kind: &'static str,
    status: &'static str,
    justification: &'a str,
}

impl<'a> Suppression<'a> {
    /// An accepted suppression; `kind` is `inSource` or `external`.
    pub(super) const fn new(kind: &'static str, justification: &'a str) -> [Self; 1] {
        [Self { kind, status: "accepted", justification }]
    }
}

/// `location` (SARIF, 3.28).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) physical_location: Option<PhysicalLocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logical_locations: Option<[LogicalLocation; 1]>,
}

/// `logicalLocation` (SARIF, 3.33).
#[derive(Debug, Serialize)]
pub(super) struct LogicalLocation {
    name: String,
    kind: &'static str,
}

/// `physicalLocation` (SARIF, 3.29).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

impl PhysicalLocation {
    /// A place in a file.
    pub(super) fn new(file: &str, region: Option<Region>) -> Self {
        Self { artifact_location: ArtifactLocation { uri: uri(file) }, region }
    }
}

/// `artifactLocation` (SARIF, 3.4).
#[derive(Debug, Serialize)]
struct ArtifactLocation {
    uri: String,
}

/// `region` (SARIF, 3.30); lines and columns from 1.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Region {
    pub(super) start_line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snippet: Option<Message>,
}

/// `notification` (SARIF, 3.58).
#[derive(Debug, Serialize)]
pub(super) struct Notification {
    level: &'static str,
    message: Message,
    locations: [Location; 1],
}

impl Notification {
    /// A message about a file.
    pub(super) fn new(level: &'static str, text: &str, file: &str, region: Option<Region>) -> Self {
        let physical_location = Some(PhysicalLocation::new(file, region));
        Self {
            level,
            message: Message { text: text.to_owned() },
            locations: [Location { physical_location, logical_locations: None }],
        }
    }
}

/// Level of a severity.
pub(super) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A file name as a URI (RFC 3986): relative, unless the name is absolute.
fn uri(file: &str) -> String {
    let mut uri = if file.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            _ => uri.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    uri
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

/// `reportingDescriptor` (SARIF, 3.49).
fn describe(rule: Description) -> Value {
    let properties = rule.law.map_or_else(|| json!({}), |law| json!({ "law": law }));
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.summary },
        "fullDescription": { "text": rule.doc.trim() },
        "help": { "text": rule.doc.trim() },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_uris() {
        for (file, expected) in [
            ("plans/a b.json", "plans/a%20b.json"),
            ("/srv/ä#1.json", "file:///srv/%C3%A4%231.json"),
            ("<stdin>", "%3Cstdin%3E"),
        ] {
            assert_eq!(uri(file), expected);
        }
    }
}
