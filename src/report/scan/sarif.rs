//! SARIF 2.1.0.

use std::io::{self, Write};

use serde_json::json;

use super::super::sarif::{
    Fingerprints, Location, Log, Message, Notification, PhysicalLocation, Region, SarifResult, Suppression,
    level,
};
use super::{Document, sentence};
use crate::rule::RuleId;

pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<_> =
        RuleId::ALL.iter().filter(|rule| rule.is_of_scan()).map(|rule| rule.description()).collect();
    let mut log = Log::default();
    Log::begin(&rules, out)?;
    for entry in &document.findings {
        let region = Region {
            start_line: entry.line.max(1),
            start_column: Some(entry.column),
            end_column: Some(entry.column + entry.width),
            snippet: Some(Message { text: entry.text.clone() }),
        };
        let physical = PhysicalLocation::new(&entry.file, Some(region));
        let result = SarifResult {
            rule_id: entry.rule,
            level: level(entry.severity),
            message: Message { text: sentence(entry) },
            locations: [Location { physical_location: Some(physical), logical_locations: None }],
            partial_fingerprints: Fingerprints { v1: &entry.fingerprint },
            suppressions: entry.waived.as_deref().map(|reason| Suppression::new("inSource", reason)),
            properties: json!({
                "service": entry.service,
                "zone": entry.zone,
                "safe": entry.safe,
                "certainty": entry.certainty,
            }),
        };
        log.result(&result, out)?;
    }
    let notifications: Vec<_> = document
        .skipped
        .iter()
        .map(|skipped| Notification::new("warning", &skipped.reason, &skipped.file, None))
        .collect();
    Log::end(true, &notifications, out)
}
