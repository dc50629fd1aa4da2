//! The arrow in one place: plan → compose → view → aspects → findings.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use bottle_model::compose::Compose;
use bottle_model::daemon::Daemon;
use bottle_model::images::{self, Images};
use bottle_model::plan::Slug;

use super::failure::Diagnostic;
use super::files;
use crate::compose::{self, Sources, Surroundings};
use crate::finding::Finding;
use crate::flag::Shape;
use crate::report::pointer::Index;

use crate::aspects;
pub(super) use crate::compose::Document;
use crate::running;
pub(super) use crate::running::Scene;
pub(super) use crate::view::Roles;
use crate::view::{Side, View};
use crate::witness;
pub(super) use bottle_model::plan::Plan;

/// A plan's file and its text.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// Its name in messages.
    pub(super) file: &'a Path,
    /// What it holds.
    pub(super) text: &'a str,
}

/// What a comparison gave.
pub(super) struct Outcome {
    /// The legacy shape.
    pub(super) before: Compose,
    /// The bundle.
    pub(super) after: Compose,
    /// Whether the bundle merges anything.
    pub(super) merged: bool,
    /// Intended changes: name and detail.
    pub(super) transitions: Vec<(&'static str, String)>,
    /// What is not intended.
    pub(super) findings: Vec<Finding>,
}

/// JSON Schema of the plan.
pub(super) fn plan_schema() -> serde_json::Value {
    bottle_model::plan::schema()
}

/// Reads a plan.
pub(super) fn read_plan(source: Source<'_>, images: &Images) -> Result<Plan, Diagnostic> {
    let mut plan = bottle_model::plan::read(source.text).map_err(|error| Diagnostic {
        hint: error.hint,
        ..Diagnostic::in_file(source.file, error.message).at(error.line, error.column).within(error.path)
    })?;
    if plan.prefix.is_none() && images.prefix() != images::PREFIX {
        plan.prefix = Slug::try_from(images.prefix().to_owned()).ok();
    }
    Ok(plan)
}

/// Renders one shape of a plan.
pub(super) fn render(
    source: Source<'_>,
    plan: &Plan,
    shape: Shape,
    images: &Images,
) -> Result<Compose, Diagnostic> {
    let images = images.under(plan.prefix());
    match shape {
        Shape::Legacy => Ok(bottle_legacy::render(plan, &images)),
        Shape::Bundle => bottle_bundle::render(plan, &images).map_err(|conflict| {
            let problem = Diagnostic::in_file(source.file, conflict.to_string());
            match Index::of(source.text).first_of(&conflict.places()) {
                Some((path, (line, column))) => problem.at(line, column).within(path),
                None => problem,
            }
        }),
    }
}

/// Reads a compose file and its overrides; `lookup` is the environment of the process.
pub(super) fn read_compose(
    paths: &[PathBuf],
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Document, Sources), Diagnostic> {
    // Compose sets PWD where the shell did not.
    let folder = || files::absolute(Path::new("")).into_os_string().into_string().ok();
    let variable = |name: &str| lookup(name).or_else(|| if name == "PWD" { folder() } else { None });
    let surroundings =
        Surroundings { variable: &variable, file: &files::text_of, absolute: &files::absolute };
    compose::read(paths, &surroundings).map_err(|error| {
        let problem = Diagnostic::in_file(Path::new(&error.file), error.message);
        match error.at {
            Some((line, column)) => problem.at(line, column),
            None => problem,
        }
    })
}

/// Compares both shapes of a plan.
pub(super) fn of_plan(
    source: Source<'_>,
    plan: &Plan,
    images: &Images,
    roles: &Roles,
) -> Result<Outcome, Diagnostic> {
    let before = render(source, plan, Shape::Legacy, images)?;
    let after = render(source, plan, Shape::Bundle, images)?;
    let witness = |views: &(View<'_>, View<'_>)| {
        let legacy = witness::check(plan, &views.0, Shape::Legacy);
        legacy.into_iter().chain(witness::check(plan, &views.1, Shape::Bundle)).collect()
    };
    Ok(compared(before.into(), after.into(), &cast(roles, plan, images), witness))
}

/// What comes out differently when both shapes of a plan are rendered again.
pub(super) fn nondeterministic(
    source: Source<'_>,
    plan: &Plan,
    images: &Images,
    first: &Outcome,
) -> Result<Vec<Finding>, Diagnostic> {
    let legacy =
        aspects::nondeterministic("legacy", &first.before, &render(source, plan, Shape::Legacy, images)?);
    let bundle =
        aspects::nondeterministic("bundle", &first.after, &render(source, plan, Shape::Bundle, images)?);
    Ok(legacy.into_iter().chain(bundle).collect())
}

/// Compares what a plan renders with what runs of it: before and after are one shape.
pub(super) fn of_scene(asked: Compose, plan: &Plan, scene: &Scene, roles: &Roles) -> Outcome {
    let running = running::document(scene, &asked);
    let project = asked.project.clone().unwrap_or_default();
    let asked = running::expected(asked, scene, |service| roles.knows(service)).into();
    let before = View::of(&asked, roles);
    let mut after = View::of(&running, roles);
    running::observe(&mut after, scene, &project, plan.hop().map(Daemon::name));
    let findings = aspects::compare(&before, &after);
    drop((before, after));
    Outcome { before: asked.compose, after: running.compose, merged: true, transitions: Vec::new(), findings }
}

/// The roles of a plan, whose names may begin with a prefix of its own.
pub(super) fn cast<'r>(roles: &'r Roles, plan: &Plan, images: &Images) -> Cow<'r, Roles> {
    if roles.prefix() == plan.prefix() {
        return Cow::Borrowed(roles);
    }
    Cow::Owned(roles.under(&images.under(plan.prefix())))
}

/// Compares two documents.
pub(super) fn of_documents(before: Document, after: Document, roles: &Roles) -> Outcome {
    compared(before, after, roles, |_| Vec::new())
}

/// Compares two documents, and looks at their views for what a comparison does not show.
fn compared(
    before: Document,
    after: Document,
    roles: &Roles,
    further: impl FnOnce(&(View<'_>, View<'_>)) -> Vec<Finding>,
) -> Outcome {
    let views = (View::on(&before, roles, Side::Legacy), View::on(&after, roles, Side::Any));
    let mut findings = aspects::compare(&views.0, &views.1);
    findings.extend(further(&views));
    let merged = views.1.principals.values().any(|principal| principal.walls.is_some());
    let absorbed = views.1.transitions.difference(&views.0.transitions);
    let transitions = absorbed.map(|change| (change.name, change.detail.clone())).collect();
    Outcome { before: before.compose, after: after.compose, merged, transitions, findings }
}
