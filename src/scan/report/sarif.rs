//! SARIF 2.1.0, for code scanning.

use std::io::{self, Write};

use serde_json::json;

use super::{Document, sentence};
use crate::report::{sarif_level, sarif_rule, sarif_uri};
use crate::scan::rules;

pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let results: Vec<_> = document
        .findings
        .iter()
        .map(|entry| {
            let mut result = json!({
                "ruleId": entry.form,
                "level": sarif_level(entry.severity),
                "message": { "text": sentence(entry) },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": sarif_uri(&entry.file) },
                        "region": {
                            "startLine": entry.line,
                            "startColumn": entry.column,
                            "endColumn": entry.column + entry.width,
                            "snippet": { "text": entry.text },
                        },
                    },
                }],
                "partialFingerprints": { "bottleMigrate/v1": entry.fingerprint },
                "properties": {
                    "service": entry.service,
                    "zone": entry.zone,
                    "safe": entry.safe,
                    "certainty": entry.certainty,
                },
            });
            if let Some(reason) = &entry.waived {
                result["suppressions"] =
                    json!([{ "kind": "inSource", "status": "accepted", "justification": reason }]);
            }
            result
        })
        .collect();
    let notifications: Vec<_> = document
        .skipped
        .iter()
        .map(|skipped| {
            json!({
                "level": "warning",
                "message": { "text": skipped.reason },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": sarif_uri(&skipped.file) } } }],
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules::ALL.iter().map(|rule| sarif_rule(rule.id.description())).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notifications }],
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}
