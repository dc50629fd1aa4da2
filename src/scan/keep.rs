//! Opt-outs in comments: `bottle-migrate: keep — reason`.

use super::finding::{Certainty, Finding, Zone};
use super::forms;

const MARK: &str = "bottle-migrate: keep";

/// An opt-out on a line.
struct Keep<'a> {
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
pub(super) fn apply(file: &str, zone: Zone, source: &str, mut findings: Vec<Finding>) -> Vec<Finding> {
    if !source.contains(MARK) {
        return findings;
    }
    let mut keeps: Vec<Keep<'_>> =
        source.lines().enumerate().filter_map(|(at, text)| read(at + 1, text)).collect();
    for finding in &mut findings {
        let Some(keep) = keeps.iter_mut().find(|keep| finding.line == keep.line + usize::from(keep.alone))
        else {
            continue;
        };
        keep.used = true;
        if !keep.reason.is_empty() {
            finding.waived = Some(keep.reason.to_owned());
            finding.edits.clear();
        }
    }
    for keep in keeps {
        let form = match (keep.reason.is_empty(), keep.used) {
            (true, _) => &forms::KEEP_UNREASONED,
            (false, false) => &forms::KEEP_UNUSED,
            _ => continue,
        };
        findings.push(Finding {
            file: file.to_owned(),
            line: keep.line,
            column: keep.column,
            width: MARK.len(),
            form: form.id,
            service: None,
            zone,
            text: keep.text.to_owned(),
            suggestion: forms::advice(form, None),
            edits: Vec::new(),
            certainty: Certainty::Sure,
            waived: None,
        });
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// Reads the opt-out of a line: it stands in a comment.
fn read(line: usize, text: &str) -> Option<Keep<'_>> {
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
    Some(Keep { line, column: text[..at].chars().count() + 1, text, reason, alone, used: false })
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
