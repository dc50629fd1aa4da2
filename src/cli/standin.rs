//! Stands in for the rooms that have not landed.

use std::path::PathBuf;

use bottle_model::compose::Compose;
use bottle_model::images::Images;

use crate::finding::{Finding, Law, Rule, Severity, Shown};

static DROPPED: Rule = Rule {
    id: "mount-dropped",
    law: Law::Conservation,
    severity: Severity::Error,
    summary: "a mount is gone",
    doc: "stand-in",
};

pub(super) struct Plan(serde_json::Value);
pub(super) struct Roles;
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct PlanError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}
#[derive(Debug, thiserror::Error)]
#[error("conflict")]
pub(super) struct Conflict;
#[derive(Default)]
pub(super) struct Document {
    pub(super) compose: Compose,
}
impl From<Compose> for Document {
    fn from(compose: Compose) -> Self {
        Self { compose }
    }
}
impl Roles {
    pub(super) fn builtin() -> Self {
        Self
    }
    pub(super) fn from_map(text: &str) -> Result<Self, Conflict> {
        if text.is_empty() { Err(Conflict) } else { Ok(Self) }
    }
}
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    [&DROPPED].into_iter()
}
pub(super) fn plan_schema() -> serde_json::Value {
    serde_json::json!({})
}
pub(super) fn read_plan(text: &str) -> Result<Plan, PlanError> {
    serde_json::from_str(text).map(Plan).map_err(|error| PlanError {
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
        hint: None,
    })
}
pub(super) fn legacy(plan: &Plan, _: &Images) -> Compose {
    Compose { project: plan.0["slug"].as_str().map(str::to_owned), ..Compose::default() }
}
pub(super) fn bundle(plan: &Plan, images: &Images) -> Result<Compose, Conflict> {
    if plan.0["conflict"].is_null() { Ok(legacy(plan, images)) } else { Err(Conflict) }
}
#[expect(clippy::unnecessary_wraps, reason = "the reader fails")]
pub(super) fn read_compose(_: &[PathBuf], _: &dyn Fn(&str) -> Option<String>) -> Result<Document, Conflict> {
    Ok(Document::default())
}
pub(super) fn locate(_: &str, _: &str) -> Option<usize> {
    None
}
pub(super) fn compare(
    before: &Document,
    _: &Document,
    _: &Roles,
) -> (Vec<(&'static str, String)>, Vec<Finding>) {
    let findings = match before.compose.project.as_deref() {
        Some("bad") => vec![Finding::lost(&DROPPED, "egress", "/x", Shown::plain("/y", ""))],
        _ => Vec::new(),
    };
    (Vec::new(), findings)
}
pub(super) trait Yaml {
    fn to_yaml(&self) -> String;
}
impl Yaml for Compose {
    fn to_yaml(&self) -> String {
        format!("name: {}\n", self.project.as_deref().unwrap_or_default())
    }
}
