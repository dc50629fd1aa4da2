//! Second pass: which findings a waiver accepts.

use crate::finding::{Finding, Severity};
use crate::report::Count;
use crate::rule::RuleId;
use crate::waiver::{self, Date, Waiver};

/// A finding and the waiver that accepts it.
pub(super) struct Judged<'a> {
    pub(super) finding: &'a Finding,
    pub(super) waiver: Option<&'a Waiver>,
}

impl Judged<'_> {
    /// Whether it is an error that no waiver accepts.
    pub(super) fn is_open_error(&self) -> bool {
        self.finding.severity == Severity::Error && self.waiver.is_none()
    }

    /// The finding as reports count it.
    pub(super) fn count(&self) -> Count {
        let Finding { rule, law, severity, .. } = *self.finding;
        Count { rule, law, severity, waived: self.waiver.is_some() }
    }
}

/// Finds the waiver of each finding.
pub(super) fn accept<'a>(findings: &'a [Finding], waivers: &'a [Waiver], today: Date) -> Vec<Judged<'a>> {
    let judge = |finding: &'a Finding| Judged {
        finding,
        // Where nothing was merged, nothing was compared: there is no verdict that a reason could save.
        waiver: if finding.rule.id == RuleId::MergeConflict {
            None
        } else {
            waiver::accept(waivers, &finding.identity(), today)
        },
    };
    findings.iter().map(judge).collect()
}
