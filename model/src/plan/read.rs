//! From text to a plan, or to one error that says where and what.

use serde_path_to_error::Track;

use super::Plan;

/// A plan larger than this is refused, in bytes.
const LIMIT: usize = 4 << 20;

/// Why a text is not a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(path))]
pub struct PlanError {
    /// 1-based line; 0: the text as a whole.
    pub line: usize,
    /// 1-based column; 0: the text as a whole.
    pub column: usize,
    /// JSON path, `agent.environment.X`; empty: the text as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What might have been meant.
    pub hint: Option<String>,
}

fn place(path: &str) -> String {
    if path.is_empty() || path == "." { String::new() } else { format!("{path}: ") }
}

/// Reads a plan.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn read(text: &str) -> Result<Plan, PlanError> {
    if text.len() > LIMIT {
        return Err(PlanError {
            line: 0,
            column: 0,
            path: String::new(),
            message: format!("the plan has {} bytes; the limit is {LIMIT}", text.len()),
            hint: None,
        });
    }
    match serde_json::from_str::<Plan>(text) {
        Ok(plan) => plan.check().map(|()| plan),
        Err(error) => Err(explained(text, &error)),
    }
}

/// The JSON Schema of plans, made from the types.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Plan).to_value()
}

/// Reads once more, for the path.
fn explained(text: &str, error: &serde_json::Error) -> PlanError {
    let mut track = Track::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let _ = <Plan as serde::Deserialize>::deserialize(tracked);
    let path = track.path().to_string();
    let full = error.to_string();
    let message = match full.rfind(" at line ") {
        Some(at) => full[..at].to_owned(),
        None => full,
    };
    let hint = nearest(&message);
    // A long list of what would have been right helps less than the nearest of them.
    let message = match message.split_once(", expected ") {
        Some((start, _)) if hint.is_some() => start.to_owned(),
        _ => message,
    };
    PlanError {
        line: error.line(),
        column: error.column(),
        path: if path == "." { String::new() } else { path },
        message,
        hint,
    }
}

/// The known key that is nearest to an unknown one.
fn nearest(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown "))?;
    quoted
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("did you mean {known}?"))
}
