//! Opt-outs in comments: `bottle-migrate: keep — reason`.

use std::collections::BTreeMap;

use crate::scan::finding::{Certainty, Finding, Zone};
use crate::scan::rules;

const MARK: &str = "bottle-migrate: keep";

/// An opt-out on a line.
struct Suppression<'a> {
    /// Line, from 1.
    line: usize,
    column: usize,
    text: &'a str,
    reason: &'a str,
    /// Whether it stands alone and speaks of the line below.
    alone: bool,
    used: bool,
}

/// Marks what opt-outs accept, and adds what is wrong with them.
pub(in crate::scan) fn apply(
    file: &str,
    zone: Zone,
    source: &str,
    mut findings: Vec<Finding>,
) -> Vec<Finding> {
    if !source.contains(MARK) {
        return findings;
    }
    let mut suppressions: Vec<Suppression<'_>> =
        source.lines().enumerate().filter_map(|(at, text)| read(at + 1, text)).collect();
    let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, suppression) in suppressions.iter().enumerate() {
        lines.entry(suppression.line + usize::from(suppression.alone)).or_insert(number);
    }
    for finding in &mut findings {
        let Some(number) = lines.get(&finding.line) else { continue };
        let suppression = &mut suppressions[*number];
        suppression.used = true;
        if !suppression.reason.is_empty() {
            finding.waived = Some(suppression.reason.to_owned());
            finding.edits.clear();
        }
    }
    for suppression in suppressions {
        let rule = match (suppression.reason.is_empty(), suppression.used) {
            (true, _) => &rules::KEEP_UNREASONED,
            (false, false) => &rules::KEEP_UNUSED,
            _ => continue,
        };
        findings.push(Finding {
            file: file.to_owned(),
            line: suppression.line,
            column: suppression.column,
            width: MARK.len(),
            form: rule.id,
            service: None,
            zone,
            text: suppression.text.to_owned(),
            suggestion: rules::advice(rule, None),
            edits: Vec::new(),
            certainty: Certainty::Sure,
            waived: None,
        });
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// Reads the opt-out of a line: it stands in a comment.
fn read(line: usize, text: &str) -> Option<Suppression<'_>> {
    let at = text.find(MARK)?;
    let before = text[..at].trim_end();
    let comment =
        ["#", "//", "/*", "<!--", "--", ";", "..", "*"].into_iter().find(|mark| before.ends_with(mark))?;
    let rest = &text[at + MARK.len()..];
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let reason = rest.trim_start().trim_start_matches(['—', '–', '-', ':']);
    let reason = reason.trim().trim_end_matches("-->").trim_end_matches("*/").trim();
    let alone = before[..before.len() - comment.len()].trim().is_empty();
    Some(Suppression { line, column: text[..at].chars().count() + 1, text, reason, alone, used: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_may_say_why() {
        for (text, reason, alone) in [
            ("x = 1  # bottle-migrate: keep — old logs", "old logs", false),
            ("  # bottle-migrate: keep - old logs", "old logs", true),
            ("<!-- bottle-migrate: keep: old logs -->", "old logs", true),
            ("x // bottle-migrate: keep", "", false),
        ] {
            let keep = read(3, text).unwrap();
            assert_eq!((keep.line, keep.reason, keep.alone), (3, reason, alone), "{text}");
        }
        assert!(read(1, "print('bottle-migrate: keep — x')").is_none());
        assert!(read(1, "# bottle-migrate: keeper").is_none());
    }
}
