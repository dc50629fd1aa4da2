//! Counts of a run, and the sentence that sums them up.

use schemars::JsonSchema;
use serde::Serialize;

use super::Count;
use crate::finding::{Law, Severity};
use crate::text::count;

/// Counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Errors that no waiver accepts.
    pub errors: usize,
    /// Warnings that no waiver accepts.
    pub warnings: usize,
    /// Notes that no waiver accepts.
    pub notes: usize,
    /// Findings of any severity that a waiver accepts.
    pub waived: usize,
    /// Pairs of documents that were compared.
    pub compared: usize,
    /// Inputs that could not be compared; stderr says why.
    pub failed: usize,
    /// Warnings that are broadenings, for people.
    #[serde(skip)]
    pub broadenings: usize,
    /// Findings about something lost, waived or not, for people.
    #[serde(skip)]
    pub losses: usize,
}

/// Result of a run (docs/design.md#exit-codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0: no findings at or above the threshold.
    Clean,
    /// Exit code 1: findings at or above the threshold.
    Findings,
    /// Exit code 2: something could not be checked.
    Unchecked,
}

impl Summary {
    /// Counts one finding.
    pub fn add(&mut self, Count { rule: _, law, severity, waived }: Count) {
        let counter = match (waived, severity) {
            (true, _) => &mut self.waived,
            (false, Severity::Error) => &mut self.errors,
            (false, Severity::Warning) => &mut self.warnings,
            (false, Severity::Note) => &mut self.notes,
        };
        *counter += 1;
        let warning = !waived && severity == Severity::Warning;
        self.broadenings += usize::from(warning && law == Law::Containment);
        self.losses += usize::from(law == Law::Conservation);
    }

    /// The result if findings of severity `threshold` or higher fail the run; `None`: no finding does.
    #[must_use]
    pub const fn verdict(&self, threshold: Option<Severity>) -> Verdict {
        let found = match threshold {
            None => 0,
            Some(Severity::Error) => self.errors,
            Some(Severity::Warning) => self.errors + self.warnings,
            Some(Severity::Note) => self.errors + self.warnings + self.notes,
        };
        match (self.failed, found) {
            (0, 0) => Verdict::Clean,
            (0, _) => Verdict::Findings,
            _ => Verdict::Unchecked,
        }
    }

    /// Whether the shapes are equivalent, in a word or two.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        if self.errors > 0 {
            "NOT equivalent"
        } else if self.failed > 0 {
            "NOT checked"
        } else {
            "equivalent"
        }
    }

    /// One sentence: whether the shapes are equivalent, and how many findings of each kind there are.
    #[must_use]
    pub fn sentence(&self) -> String {
        let word = self.word();
        let others = self.warnings - self.broadenings;
        let gains = self.errors + self.broadenings + others + self.waived;
        let lead = match (self.errors, self.losses, self.compared) {
            (1.., _, _) => Some(count(self.errors, "error")),
            (_, _, 0) => None,
            (0, 0, _) if gains == 0 => Some("nothing is lost and nothing is gained".to_owned()),
            (0, 0, _) => Some("nothing is lost".to_owned()),
            _ => Some("no errors".to_owned()),
        };
        let some = |number: usize, name: &str| (number > 0).then(|| count(number, name));
        let parts = [
            lead,
            some(self.broadenings, "broadening"),
            some(others, if self.broadenings > 0 { "other warning" } else { "warning" }),
            some(self.notes, "note"),
            (self.waived > 0).then(|| format!("{} waived", self.waived)),
            (self.failed > 0).then(|| format!("{} could not be compared", count(self.failed, "input"))),
        ];
        format!("{word}: {}", parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(summary: Summary, sentence: &str, verdict: Verdict) {
        assert_eq!(summary.sentence(), sentence);
        assert_eq!(summary.verdict(Some(Severity::Error)), verdict, "{sentence}");
    }

    #[test]
    fn the_sentence_counts_what_was_found() {
        let some = Summary { compared: 1, ..Summary::default() };
        check(some, "equivalent: nothing is lost and nothing is gained", Verdict::Clean);
        check(
            Summary { warnings: 16, broadenings: 16, waived: 3, ..some },
            "equivalent: nothing is lost; 16 broadenings; 3 waived",
            Verdict::Clean,
        );
        check(
            Summary { warnings: 2, broadenings: 1, losses: 1, notes: 1, ..some },
            "equivalent: no errors; 1 broadening; 1 other warning; 1 note",
            Verdict::Clean,
        );
        check(Summary { warnings: 1, losses: 1, ..some }, "equivalent: no errors; 1 warning", Verdict::Clean);
        check(
            Summary { errors: 1, losses: 1, waived: 2, ..some },
            "NOT equivalent: 1 error; 2 waived",
            Verdict::Findings,
        );
        check(
            Summary { failed: 2, errors: 1, ..some },
            "NOT equivalent: 1 error; 2 inputs could not be compared",
            Verdict::Unchecked,
        );
        check(
            Summary { failed: 1, ..Summary::default() },
            "NOT checked: 1 input could not be compared",
            Verdict::Unchecked,
        );
    }

    #[test]
    fn the_caller_says_what_counts() {
        let summary = Summary { warnings: 1, notes: 1, compared: 1, ..Summary::default() };
        assert_eq!(summary.verdict(None), Verdict::Clean);
        assert_eq!(summary.verdict(Some(Severity::Error)), Verdict::Clean);
        assert_eq!(summary.verdict(Some(Severity::Warning)), Verdict::Findings);
        let failed = Summary { failed: 1, ..summary };
        assert_eq!(failed.verdict(None), Verdict::Unchecked);
    }
}
