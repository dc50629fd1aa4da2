//! SARIF 2.1.0, for code scanning (OASIS, "Static Analysis Results Interchange Format").

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Comparison, Entry, Failed, Reporter, Summary};
use crate::rule::{Description, Severity};

/// Writes one run, its results one to a line.
#[derive(Debug)]
pub struct Sarif {
    rules: Vec<Description>,
    failures: Vec<Value>,
    started: bool,
}

impl Sarif {
    /// A report that describes `rules`.
    #[must_use]
    pub const fn new(rules: Vec<Description>) -> Self {
        Self { rules, failures: Vec::new(), started: false }
    }

    fn result(&mut self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.started { b",\n" } else { b"\n" })?;
        self.started = true;
        let mut result = json!({
            "ruleId": entry.rule.id,
            "level": level(entry.severity),
            "message": { "text": format!("{}: {}", entry.subject, entry.message) },
            "locations": [{
                "logicalLocations": [{ "name": entry.principal, "kind": "resource" }],
            }],
            "partialFingerprints": { "bottleMigrate/v1": entry.fingerprint },
            "properties": {
                "law": entry.law,
                "broadening": entry.broadening,
                "principal": entry.principal,
                "subject": entry.subject,
                "before": entry.before,
                "after": entry.after,
            },
        });
        if let Some(file) = &entry.file {
            result["locations"][0]["physicalLocation"] = physical(file, entry.line);
        }
        if let Some(reason) = &entry.waived {
            result["suppressions"] =
                json!([{ "kind": "external", "status": "accepted", "justification": reason }]);
        }
        serde_json::to_writer(out, &result).map_err(io::Error::from)
    }
}

/// Level of a severity.
pub(crate) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn physical(file: &str, line: Option<usize>) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(file) } });
    if let Some(line) = line {
        place["region"] = json!({ "startLine": line });
    }
    place
}

/// A file name as a URI (RFC 3986): relative, unless the name is absolute.
pub(crate) fn uri(file: &str) -> String {
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

/// A rule as the tool's driver lists it.
pub(crate) fn describe(rule: Description) -> Value {
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

impl Reporter for Sarif {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let driver = json!({
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "rules": self.rules.iter().map(|rule| describe(*rule)).collect::<Vec<_>>(),
        });
        write!(
            out,
            "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{{\n\
             \"tool\":{{\"driver\":{driver}}},\n\"results\":["
        )
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        comparison.entries.iter().try_for_each(|entry| self.result(entry, out))
    }

    fn failed(&mut self, failed: &Failed, _out: &mut dyn Write) -> io::Result<()> {
        self.failures.push(json!({
            "level": "error",
            "message": { "text": failed.message },
            "locations": [{ "physicalLocation": physical(&failed.file, failed.line) }],
        }));
        Ok(())
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        closing.iter().try_for_each(|entry| self.result(entry, out))?;
        let invocation = json!({
            "executionSuccessful": summary.failed == 0,
            "toolExecutionNotifications": self.failures,
        });
        writeln!(out, "\n],\n\"invocations\":[{invocation}]\n}}]}}")
    }
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
