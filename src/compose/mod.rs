//! Compose files that anybody may have written, as the checker takes them in: what Compose would make of them, in
//! canonical form.
//!
//! A file goes through these stages, each with a module of its own: YAML, interpolation, long syntax, `extends`,
//! `include`, overriding, paths, grammar, and the canonical document. Real Compose is the model of each.

mod budget;
mod builds;
mod consistency;
mod defaults;
mod deploy;
mod dotenv;
mod environment;
mod extends;
mod grammar;
mod hooks;
mod include;
mod interpolate;
mod load;
mod locate;
mod merge;
mod paths;
mod ports;
mod read;
mod scalar;
mod service;
mod short;
mod tree;
mod unicity;
mod value;
mod volume;
mod words;
mod yaml;

use std::path::{Path, PathBuf};

use bottle_model::compose::Compose;

pub use builds::{Built, builds};
pub use locate::Sources;

pub(crate) use defaults::remove as remove_defaults;

use load::Loader;
use tree::{Failure, Tree};

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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    fn from(mut compose: Compose) -> Self {
        defaults::remove(&mut compose);
        Self { compose, ..Self::default() }
    }
}

/// What a compose file may refer to outside of itself.
pub struct Surroundings<'a> {
    /// Value of a variable of the process.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Text of a file.
    pub file: &'a dyn Fn(&Path) -> Result<String, Unreadable>,
    /// A path made absolute, by the working directory alone.
    pub absolute: &'a dyn Fn(&Path) -> PathBuf,
}

/// Why a file gives no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not there.
    Absent,
    /// It is there, and cannot be read.
    Broken {
        /// 1-based line and column, where known.
        at: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
    },
}

/// A compose file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", header(file, *at))]
pub struct ReadError {
    /// Its name; empty: a text without a file.
    pub file: String,
    /// 1-based line and column, where known.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

fn header(file: &str, at: Option<(usize, usize)>) -> String {
    match (file, at) {
        ("", None) => String::new(),
        ("", Some((line, column))) => format!("{line}:{column}: "),
        (file, Some((line, column))) => format!("{file}:{line}:{column}: "),
        (file, None) => format!("{file}: "),
    }
}

/// What Compose's command line may say of a project; the default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `--env-file`, instead of `COMPOSE_ENV_FILES` and `.env`; later files count more.
    pub env_files: Vec<PathBuf>,
    /// `--profile`, instead of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// `--project-directory`, instead of the folder of the first file.
    pub project_directory: Option<PathBuf>,
    /// `--project-name`, before `COMPOSE_PROJECT_NAME` and `name:`.
    pub project_name: Option<String>,
}

impl Switches {
    /// These switches, with those of `other` where they say nothing.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            env_files: if self.env_files.is_empty() { other.env_files.clone() } else { self.env_files },
            profiles: if self.profiles.is_empty() { other.profiles.clone() } else { self.profiles },
            project_directory: self.project_directory.or_else(|| other.project_directory.clone()),
            project_name: self.project_name.or_else(|| other.project_name.clone()),
        }
    }
}

/// Reads a compose file and its overrides, with `.env` beside the first and everything that they refer to.
///
/// # Errors
///
/// The first thing that is wrong, with file and place.
pub fn read(files: &[PathBuf], surroundings: &Surroundings<'_>) -> Result<(Document, Sources), ReadError> {
    read_with(files, &Switches::default(), surroundings)
}

/// As [`read`], with switches of Compose's command line.
///
/// # Errors
///
/// The first thing that is wrong, with file and place.
pub fn read_with(
    files: &[PathBuf],
    switches: &Switches,
    surroundings: &Surroundings<'_>,
) -> Result<(Document, Sources), ReadError> {
    let mut loader = Loader::new(surroundings, switches);
    match loader.project(files) {
        Ok((tree, unit)) => {
            read::document(tree, loader, &unit).map_err(|(failure, files)| error(failure, &files))
        }
        Err(failure) => Err(error(failure, &loader.files)),
    }
}

/// Reads a compose document that stands alone; `lookup` has its variables.
///
/// # Errors
///
/// The first thing that is wrong, with its place.
pub fn read_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Document, ReadError> {
    alone(lookup, |loader| {
        let mark = loader.register(Path::new(""));
        yaml::documents(text, mark.file, &mut loader.budget)
    })
}

/// As [`read_text`], for a document that is parsed already.
///
/// # Errors
///
/// The first thing that is wrong, with its place.
pub fn read_value(
    value: &serde_yaml::Value,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Document, ReadError> {
    alone(lookup, |_| Ok(vec![Tree::from_value(value)?]))
}

fn alone(
    lookup: &dyn Fn(&str) -> Option<String>,
    trees: impl FnOnce(&mut Loader<'_>) -> Result<Vec<Tree>, Failure>,
) -> Result<Document, ReadError> {
    let surroundings = Surroundings {
        variable: lookup,
        file: &|_| Err(Unreadable::Absent),
        absolute: &|path| path.to_owned(),
    };
    let switches = Switches::default();
    let mut loader = Loader::new(&surroundings, &switches);
    let read = trees(&mut loader).and_then(|trees| loader.documents(trees));
    match read {
        Ok((tree, unit)) => match read::document(tree, loader, &unit) {
            Ok((document, _)) => Ok(document),
            Err((failure, files)) => Err(error(failure, &files)),
        },
        Err(failure) => Err(error(failure, &loader.files)),
    }
}

/// Longest message, in characters: parsers may quote the input at length.
const LONGEST: usize = 300;

fn error(failure: Failure, files: &[String]) -> ReadError {
    let Failure { mark, place, message } = failure;
    let place = if place.is_empty() { String::new() } else { format!("{place} ") };
    let message: String = format!("{place}{message}").chars().take(LONGEST).collect();
    let file = files.get(usize::from(mark.file)).cloned().unwrap_or_default();
    ReadError { file, at: mark.at(), message }
}
