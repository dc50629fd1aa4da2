//! Third pass: the places of findings, in the inputs and in what `render` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bottle_model::compose::{Compose, Layout};

use super::accept::Judged;
use super::outcome::Outcome;
use super::pointer::Index;
use crate::compose::Sources;
use crate::diagnostic::input_name;
use crate::finding::{Finding, Shown};
use crate::flag::Shape;
use crate::view::Roles;

/// Where a finding is.
#[derive(Default)]
pub(super) struct Location {
    /// The input.
    pub(super) file: Option<String>,
    /// Line in the input, from 1.
    pub(super) line: Option<usize>,
    /// JSON pointer into the plan.
    pub(super) pointer: Option<String>,
    /// Line of what `render` prints, from 1.
    pub(super) rendered: Option<(Shape, usize)>,
}

/// Finds findings in the plan `text`; `rendered`: the report is for people, who also see lines of the rendered files.
pub(super) fn in_plan<'a>(
    judged: &[Judged<'a>],
    file: &Path,
    text: &str,
    outcome: &'a Outcome,
    rendered: bool,
) -> Vec<Location> {
    // Both are costly, and most plans have no finding.
    let mut index = None;
    let mut layouts: [Option<Layout<'a>>; 2] = [None, None];
    let mut lines = BTreeMap::new();
    let mut locate = |judged: &Judged<'a>| {
        let mut location = Location { file: Some(input_name(file)), ..Location::default() };
        // People do not see the place of an accepted finding.
        let placed = judged.waiver.is_none();
        if placed || !rendered {
            let index = index.get_or_insert_with(|| Index::of(text));
            let (pointer, line) = index.find(&judged.finding.principal, &judged.finding.subject);
            (location.pointer, location.line) = (Some(pointer), Some(line));
        }
        if rendered && placed {
            location.rendered = sides(judged.finding, outcome).find_map(|(shape, shown, compose)| {
                let side = usize::from(shape == Shape::Bundle);
                let layout = layouts[side].get_or_insert_with(|| compose.layout());
                let line = lines.entry((side, &shown.place)).or_insert_with(|| layout.line(&shown.place));
                Some((shape, (*line)?))
            });
        }
        location
    };
    judged.iter().map(&mut locate).collect()
}

/// Finds findings in two compose files and their overrides.
pub(super) fn in_files(
    judged: &[Judged<'_>],
    (legacy, bundle): (&[PathBuf], &[PathBuf]),
    (sources_before, sources_after): (&Sources, &Sources),
    outcome: &Outcome,
) -> Vec<Location> {
    let locate = |Judged { finding, .. }: &Judged<'_>| {
        let found = sides(finding, outcome).find_map(|(shape, shown, _)| {
            let sources = if shape == Shape::Legacy { sources_before } else { sources_after };
            sources.locate(&shown.place)
        });
        if let Some((file, line)) = found {
            return Location {
                file: Some(input_name(Path::new(file))),
                line: Some(line),
                ..Location::default()
            };
        }
        let lost = finding.after.is_none() && finding.before.is_some();
        let files = if lost { legacy } else { bundle };
        Location { file: files.first().map(|path| input_name(path)), ..Location::default() }
    };
    judged.iter().map(locate).collect()
}

/// Finds findings of a merger in the compose file that was merged and its overrides: the value that was there before,
/// else the service of the principal.
pub(super) fn in_source(
    judged: &[Judged<'_>],
    files: &[PathBuf],
    sources: &Sources,
    roles: &Roles,
) -> Vec<Location> {
    let locate = |Judged { finding, .. }: &Judged<'_>| {
        let before = finding.before.iter().filter(|shown| !shown.place.is_empty());
        let principal = &finding.principal;
        let service = match principal.as_str() {
            "" => None,
            "agent" => Some(format!("services.{}", roles.agent())),
            daemon => Some(format!("services.{}", roles.service(daemon))),
        };
        let mut places = before.map(|shown| shown.place.clone()).chain(service);
        match places.find_map(|place| sources.locate(&place)) {
            Some((file, line)) => {
                Location { file: Some(input_name(Path::new(file))), line: Some(line), ..Location::default() }
            }
            None => Location { file: files.first().map(|path| input_name(path)), ..Location::default() },
        }
    };
    judged.iter().map(locate).collect()
}

/// The values of a finding that have a place, the bundle's before the legacy shape's.
fn sides<'a>(
    finding: &'a Finding,
    outcome: &'a Outcome,
) -> impl Iterator<Item = (Shape, &'a Shown, &'a Compose)> {
    let after = finding.after.iter().map(|shown| (Shape::Bundle, shown, &outcome.after));
    let before = finding.before.iter().map(|shown| (Shape::Legacy, shown, &outcome.before));
    after.chain(before).filter(|(_, shown, _)| !shown.place.is_empty())
}
