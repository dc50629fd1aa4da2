//! Compares two documents: compose → view → aspects → findings.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use bottle_bundle::services::{Merged, ServiceConflict};
use bottle_model::compose::Compose;
use bottle_model::daemon::{Daemon, Isolation};
use bottle_model::images::{self, Images};
use bottle_model::plan::{Plan, Slug};

use super::pointer::Index;
use super::{CompareError, Project};
use crate::aspects;
use crate::compose::{self, Document, Sources, Surroundings};
use crate::diagnostic::Diagnostic;
use crate::finding::Finding;
use crate::flag::Shape;
use crate::images::Built;
use crate::merging;
use crate::running::{self, Scene};
use crate::view::{Roles, Side, View};
use crate::witness;

/// The text of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanText<'a> {
    /// The file that it was read from, for messages.
    pub file: &'a Path,
    /// Its content, without a byte order mark.
    pub text: &'a str,
}

/// The findings of one comparison, before waivers, places and redaction.
pub(super) struct Outcome {
    /// The legacy shape, or what was planned.
    pub(super) before: Compose,
    /// The bundle, or what runs.
    pub(super) after: Compose,
    /// Whether the bundle merges any daemons.
    pub(super) merged: bool,
    /// Expected changes: name and detail.
    pub(super) transitions: Vec<(&'static str, String)>,
    /// Every other difference.
    pub(super) findings: Vec<Finding>,
}

impl<'a> PlanText<'a> {
    /// The text of a file, which may begin with a byte order mark.
    #[must_use]
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    /// Reads the plan. Its names begin with the prefix of `images` if it has none of its own.
    ///
    /// # Errors
    ///
    /// The text is not a valid plan.
    pub fn read(&self, images: &Images) -> Result<Plan, CompareError> {
        let mut plan = bottle_model::plan::read(self.text).map_err(|error| {
            CompareError::Plan(Diagnostic {
                hint: error.hint,
                ..Diagnostic::in_file(self.file, error.message)
                    .at(error.line, error.column)
                    .within(error.path)
            })
        })?;
        if plan.prefix.is_none() && images.prefix() != images::PREFIX {
            plan.prefix = Slug::try_from(images.prefix().to_owned()).ok();
        }
        Ok(plan)
    }

    /// Renders one shape of the plan in this text.
    ///
    /// # Errors
    ///
    /// Two daemons cannot share a container; the message names the first place in the plan that says so.
    pub fn render(&self, plan: &Plan, shape: Shape, images: &Images) -> Result<Compose, CompareError> {
        let images = images.under(plan.prefix());
        match shape {
            Shape::Legacy => Ok(bottle_legacy::render(plan, &images)),
            Shape::Bundle => bottle_bundle::render(plan, &images).map_err(|conflict| {
                let found = Diagnostic::in_file(self.file, conflict.to_string());
                CompareError::Conflict(match Index::of(self.text).first_of(&conflict.places()) {
                    Some((path, (line, column))) => found.at(line, column).within(path),
                    None => found,
                })
            }),
        }
    }
}

/// Reads a compose project.
pub(crate) fn read_compose(
    project: &Project,
    surroundings: &Surroundings<'_>,
) -> Result<(Document, Sources), CompareError> {
    compose::read_with(&project.files, &project.switches, surroundings).map_err(|error| {
        let found = Diagnostic::in_file(Path::new(&error.file), error.message);
        CompareError::Compose(match error.at {
            Some((line, column)) => found.at(line, column),
            None => found,
        })
    })
}

/// Merges the daemons of a compose file.
///
/// # Errors
///
/// There is nothing to merge, or it is not known how.
pub(crate) fn merge_compose(
    compose: &Compose,
    files: &[PathBuf],
    roles: &Roles,
    images: &Images,
    isolation: Isolation,
) -> Result<Result<Merged, Vec<ServiceConflict>>, CompareError> {
    merging::merged(compose, roles, images, isolation).map_err(|error| {
        let file = files.first().map_or(Path::new(""), PathBuf::as_path);
        CompareError::Unmergeable(Diagnostic::in_file(file, error.to_string()).hint(error.hint()))
    })
}

/// Compares a compose file with the same whose daemons are merged.
pub(super) fn of_merger(
    before: Document,
    files: &[PathBuf],
    roles: &Roles,
    images: &Images,
    isolation: Isolation,
) -> Result<Outcome, CompareError> {
    let merged = match merge_compose(&before.compose, files, roles, images, isolation)? {
        Ok(merged) => merged,
        Err(conflicts) => {
            return Ok(Outcome {
                after: before.compose.clone(),
                before: before.compose,
                merged: false,
                transitions: Vec::new(),
                findings: merging::findings(&conflicts),
            });
        }
    };
    // What could not be read of a service that is gone is not the same on both sides.
    let stays = |service: &String| service.is_empty() || merged.compose.services.contains_key(service);
    let after = Document {
        unmodelled: before.unmodelled.iter().filter(|odd| stays(&odd.service)).cloned().collect(),
        unresolved: before.unresolved.iter().filter(|odd| stays(&odd.service)).cloned().collect(),
        compose: merged.compose,
    };
    let roles =
        if roles.is_built_in() { Cow::Borrowed(roles) } else { Cow::Owned(roles.with_rows(merged.rows)) };
    Ok(of_documents(before, after, &roles, (Built::default(), Built::default())))
}

/// Compares both shapes of a plan.
pub(super) fn of_plan(
    source: PlanText<'_>,
    plan: &Plan,
    images: &Images,
    roles: &Roles,
) -> Result<Outcome, CompareError> {
    let before = source.render(plan, Shape::Legacy, images)?;
    let after = match bottle_bundle::render(plan, &images.under(plan.prefix())) {
        Ok(after) => after,
        Err(conflict) => {
            return Ok(Outcome {
                after: before.clone(),
                before,
                merged: false,
                transitions: Vec::new(),
                findings: vec![merging::finding_of(&conflict)],
            });
        }
    };
    let witness = |views: &(View<'_>, View<'_>)| {
        let legacy = witness::check(plan, &views.0, Shape::Legacy);
        legacy.into_iter().chain(witness::check(plan, &views.1, Shape::Bundle)).collect()
    };
    let roles = roles_of(roles, plan, images);
    Ok(compared(before.into(), after.into(), (&roles, &roles), witness))
}

/// What comes out differently when both shapes of a plan are rendered again.
pub(super) fn nondeterministic(
    source: PlanText<'_>,
    plan: &Plan,
    images: &Images,
    first: &Outcome,
) -> Result<Vec<Finding>, CompareError> {
    let again = |shape| source.render(plan, shape, images);
    let legacy = aspects::nondeterministic("legacy", &first.before, &again(Shape::Legacy)?);
    let bundle = aspects::nondeterministic("bundle", &first.after, &again(Shape::Bundle)?);
    Ok(legacy.into_iter().chain(bundle).collect())
}

/// Compares what a plan renders with what runs of it: before and after are one shape.
pub(super) fn of_scene(planned: Compose, plan: &Plan, scene: &Scene, roles: &Roles) -> Outcome {
    let running = running::document(scene, &planned);
    let project = planned.project.clone().unwrap_or_default();
    let planned = running::expected(planned, scene, |service| roles.knows(service)).into();
    let before = View::of(&planned, roles);
    let mut after = View::of(&running, roles);
    running::observe(&mut after, scene, &project, plan.hop().map(Daemon::name));
    let findings = aspects::compare(&before, &after);
    drop((before, after));
    Outcome {
        before: planned.compose,
        after: running.compose,
        merged: true,
        transitions: Vec::new(),
        findings,
    }
}

/// The roles of a plan, whose names may begin with a prefix of its own.
pub(super) fn roles_of<'r>(roles: &'r Roles, plan: &Plan, images: &Images) -> Cow<'r, Roles> {
    if roles.prefix() == plan.prefix() {
        return Cow::Borrowed(roles);
    }
    Cow::Owned(roles.under(&images.under(plan.prefix())))
}

/// Compares two documents, with the images that they build.
pub(super) fn of_documents(
    before: Document,
    after: Document,
    roles: &Roles,
    built: (Built, Built),
) -> Outcome {
    let unread = aspects::unread_images(&built.0.unread, &built.1.unread);
    // The daemons of a bundle had their images on the other side.
    let before_roles = roles.with_built(built.0, Side::Legacy);
    let after_roles = roles.beside(&before_roles).with_built(built.1, Side::Any);
    compared(before, after, (&before_roles, &after_roles), |_| unread)
}

/// Compares two documents, and looks at their views for what a comparison does not show.
fn compared(
    before: Document,
    after: Document,
    roles: (&Roles, &Roles),
    further: impl FnOnce(&(View<'_>, View<'_>)) -> Vec<Finding>,
) -> Outcome {
    let views = (View::on(&before, roles.0, Side::Legacy), View::on(&after, roles.1, Side::Any));
    let mut findings = aspects::compare(&views.0, &views.1);
    findings.extend(further(&views));
    let merged = views.1.principals.values().any(|principal| principal.walls.is_some());
    let absorbed = views.1.transitions.difference(&views.0.transitions);
    let transitions = absorbed.map(|change| (change.name, change.detail.clone())).collect();
    Outcome { before: before.compose, after: after.compose, merged, transitions, findings }
}
