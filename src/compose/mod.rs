//! Compose documents as the checker takes them in.

mod interpolate;
mod locate;
mod node;
mod read;
mod service;
mod value;

use bottle_model::compose::Compose;

pub use locate::locate;
pub use read::{read, read_text};

/// A document, with what could not be taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The canonical document.
    pub compose: Compose,
    /// Attributes that the checker does not model.
    pub unmodelled: Vec<Unmodelled>,
    /// Variables that the document interpolates and that are not set.
    pub unresolved: Vec<Unresolved>,
}

/// An attribute that the checker does not model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmodelled {
    /// Service that has it; empty: the document.
    pub service: String,
    /// Its name.
    pub attribute: String,
    /// Where it stands, dotted.
    pub place: String,
}

/// A variable that is interpolated and not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Service that uses it; empty: the document.
    pub service: String,
    /// Its name.
    pub variable: String,
    /// Where it stands, dotted.
    pub place: String,
}

impl From<Compose> for Document {
    fn from(compose: Compose) -> Self {
        Self { compose, ..Self::default() }
    }
}

/// A compose file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", header(file, *line))]
pub struct ReadError {
    /// Its name; empty: a text without a file.
    pub file: String,
    /// 1-based line, where known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

fn header(file: &str, line: Option<usize>) -> String {
    match (file, line) {
        ("", _) => String::new(),
        (file, Some(line)) => format!("{file}:{line}: "),
        (file, None) => format!("{file}: "),
    }
}
