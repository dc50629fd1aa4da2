//! The arrow in one place: plan → compose → view → aspects → findings.

use std::path::{Path, PathBuf};

use bottle_model::compose::Compose;
use bottle_model::images::Images;

use super::failure::Problem;
use crate::finding::{Finding, Rule};
use crate::flag::Shape;
use crate::waiver;

use super::standin;
pub(super) use standin::{Document, Plan, Roles, locate};

/// What a comparison gave.
pub(super) struct Outcome {
    /// The legacy shape.
    pub(super) before: Compose,
    /// The bundle.
    pub(super) after: Compose,
    /// Intended changes: name and detail.
    pub(super) transitions: Vec<(&'static str, String)>,
    /// What is not intended.
    pub(super) findings: Vec<Finding>,
}

/// Every rule that this program knows.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    standin::rules().chain(waiver::RULES)
}

/// JSON Schema of the plan.
pub(super) fn plan_schema() -> serde_json::Value {
    standin::plan_schema()
}

/// Reads a plan; `file` is its name in messages.
pub(super) fn read_plan(file: &Path, text: &str) -> Result<Plan, Problem> {
    standin::read_plan(text).map_err(|error| Problem {
        hint: error.hint.clone(),
        ..Problem::in_file(file, error.to_string()).at(error.line, error.column)
    })
}

/// Renders one shape of a plan.
pub(super) fn render(file: &Path, plan: &Plan, shape: Shape, images: &Images) -> Result<Compose, Problem> {
    match shape {
        Shape::Legacy => Ok(standin::legacy(plan, images)),
        Shape::Bundle => {
            standin::bundle(plan, images).map_err(|conflict| Problem::in_file(file, conflict.to_string()))
        }
    }
}

/// Reads a compose file and its overrides.
pub(super) fn read_compose(
    files: &[PathBuf],
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Document, Problem> {
    standin::read_compose(files, lookup).map_err(|error| Problem::new(error.to_string()))
}

/// Compares both shapes of a plan.
pub(super) fn of_plan(file: &Path, plan: &Plan, images: &Images, roles: &Roles) -> Result<Outcome, Problem> {
    let before = render(file, plan, Shape::Legacy, images)?;
    let after = render(file, plan, Shape::Bundle, images)?;
    Ok(of_documents(before.into(), after.into(), roles))
}

/// Compares two documents.
pub(super) fn of_documents(before: Document, after: Document, roles: &Roles) -> Outcome {
    let (transitions, findings) = standin::compare(&before, &after, roles);
    Outcome { before: before.compose, after: after.compose, transitions, findings }
}
