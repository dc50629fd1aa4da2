//! From text to a plan, or to one error that says where and what.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_path_to_error::Track;

use super::Plan;
use crate::nearest::nearest;
use crate::place::line_and_column;

/// A plan larger than this is refused, in bytes.
const LIMIT: usize = 4 << 20;

/// Why a text is not a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct PlanError {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// JSON path, `agent.environment.X`; empty: the text as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What might have been meant.
    pub hint: Option<String>,
}

/// What is wrong with a plan that is well-formed.
pub(super) struct Flaw {
    path: Vec<Step>,
    message: String,
    hint: Option<String>,
}

/// A step of a JSON path.
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A JSON path of keys and indices.
macro_rules! at {
    ($($step:expr),*) => { vec![$($crate::plan::read::Step::from($step)),*] };
}
pub(super) use at;

impl Flaw {
    pub(super) fn new(path: Vec<Step>, message: impl Into<String>) -> Self {
        Self { path, message: message.into(), hint: None }
    }

    /// Hints at the nearest of what would have been right.
    pub(super) fn nearest<'a>(self, wrong: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self { hint: suggestion(wrong, known), ..self }
    }

    fn located(self, text: &str) -> PlanError {
        let (line, column) = place(text, &self.path);
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path = format!("{path}.{key}"),
                Step::Index(index) => path = format!("{path}[{index}]"),
            }
        }
        PlanError { line, column, path, message: self.message, hint: self.hint }
    }
}

/// Reads a plan.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn read(text: &str) -> Result<Plan, PlanError> {
    let whole =
        |message: String| Err(PlanError { line: 1, column: 1, path: String::new(), message, hint: None });
    if text.len() > LIMIT {
        return whole(format!("the plan has {} bytes; the limit is {LIMIT}", text.len()));
    }
    if text.trim().is_empty() {
        return whole("the plan is empty".to_owned());
    }
    match serde_json::from_str::<Plan>(text) {
        Ok(plan) => match plan.check() {
            Ok(()) => Ok(plan),
            Err(flaw) => Err(flaw.located(text)),
        },
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
    let _ = Plan::deserialize(tracked);
    let path = track.path().to_string();
    let full = error.to_string();
    let message = match full.rfind(" at line ") {
        Some(at) => full[..at].to_owned(),
        None => full,
    };
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown "));
    let hint = unknown.and_then(|unknown| suggestion(unknown, quoted));
    // A long list of what would have been right helps less than the nearest of them.
    let message = match message.split_once(", expected ") {
        Some((start, _)) if hint.is_some() => start.to_owned(),
        _ => message,
    };
    PlanError {
        line: error.line(),
        column: error.column(),
        // What was not reached is `?`.
        path: path.trim_end_matches(['?', '.']).to_owned(),
        message,
        hint,
    }
}

fn suggestion<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|known| format!("did you mean {known}?"))
}

/// 1-based line and column of a node, or of the last one on the way to it.
fn place(text: &str, path: &[Step]) -> (usize, usize) {
    let mut at = text;
    for step in path {
        let found = match step {
            Step::Key(key) => serde_json::from_str::<BTreeMap<Key<'_>, &RawValue>>(at)
                .ok()
                .and_then(|map| map.get(key.as_str()).copied()),
            Step::Index(index) => {
                serde_json::from_str::<Vec<&RawValue>>(at).ok().and_then(|list| list.get(*index).copied())
            }
        };
        match found {
            Some(raw) => at = raw.get(),
            None => break,
        }
    }
    let offset = at.trim_start().as_ptr() as usize - text.as_ptr() as usize;
    line_and_column(text, offset)
}

/// A key of an object, borrowed where it has no escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::borrow::Borrow<str> for Key<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}
