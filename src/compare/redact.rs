//! Last pass: findings become entries of a report, without the secrets of the inputs.

use super::accept::Judged;
use super::locate::Location;
use super::outcome::Outcome;
use super::text_diff;
use crate::report::Entry;
use crate::text::Redactor;

/// A redactor that knows the secrets of one comparison.
pub(super) fn redactor(run: &Redactor, outcome: &Outcome) -> Redactor {
    run.knowing([&outcome.before, &outcome.after].into_iter().flat_map(text_diff::secrets))
}

/// The entries of the report.
pub(super) fn entries(judged: &[Judged<'_>], locations: Vec<Location>, redactor: &Redactor) -> Vec<Entry> {
    let entry = |(judged, location): (&Judged<'_>, Location)| Entry {
        file: location.file,
        line: location.line,
        pointer: location.pointer.map(|pointer| redactor.scrub(&pointer)),
        rendered: location.rendered,
        ..Entry::of(judged.finding, judged.waiver, redactor)
    };
    judged.iter().zip(locations).map(entry).collect()
}
