//! What images hold and say, read off their Dockerfiles (Dockerfile reference, docs.docker.com/reference/dockerfile).
//!
//! Nothing is built and nothing is asked: what an instruction does that is not understood is counted and said.

mod cargo;
mod compose;
mod context;
mod copy;
mod dockerfile;
mod facts;
mod packages;
mod python;
mod run;
mod shell;
mod stage;
pub(crate) mod target;
pub mod upstream;
mod words;

use std::collections::BTreeMap;

pub use compose::{Built, Project, Unreadable, built};
pub use context::{Node, Tree};
pub use facts::{Fact, Health, ImageFacts, Manager, Mode, Origin, PathFact, UserFact};
pub use python::MissingImport;

/// How an image is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Path of the Dockerfile in the tree.
    pub dockerfile: String,
    /// Folder of the build context in the tree; empty: the root.
    pub context: String,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// The stage that is built; absent: the last.
    pub target: Option<String>,
    /// Other contexts by name: folders of the tree, `docker-image://` references, or what only a builder can fetch.
    pub contexts: BTreeMap<String, String>,
}

/// A Dockerfile that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImageError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// An image as its Dockerfile describes it, with what is wrong inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Path of the Dockerfile in the tree; empty: the image is published by somebody else.
    pub dockerfile: String,
    /// Facts about its contents and settings.
    pub facts: ImageFacts,
    /// Imports that fail in it.
    pub imports: Vec<MissingImport>,
    /// Commands that its scripts call in vain.
    pub commands: Vec<MissingCommand>,
}

impl Image {
    /// Reads an image off its Dockerfile.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn built(text: &str, build: &Build, tree: Tree<'_>) -> Result<Self, ImageError> {
        let facts = read(text, build, tree)?;
        let (imports, commands) =
            (missing_imports(&facts, build, tree), missing_commands(&facts, build, tree));
        Ok(Self { dockerfile: build.dockerfile.clone(), facts, imports, commands })
    }

    /// An image that somebody else publishes; `None`: nothing is known of it.
    #[must_use]
    pub fn published(reference: &str) -> Option<Self> {
        Some(Self { facts: upstream::facts(reference)?, ..Self::default() })
    }
}

/// Reads the contents and settings of an image.
///
/// # Errors
///
/// The first thing that makes the Dockerfile unreadable, with its line.
pub fn read(text: &str, build: &Build, tree: Tree<'_>) -> Result<ImageFacts, ImageError> {
    let context = context::Context::of(build, tree);
    dockerfile::facts(text, &context, &build.arguments, build.target.as_deref())
}

/// A command that a copied shell script calls and nothing in the image provides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingCommand {
    /// The script, in the image.
    pub path: String,
    /// Its file in the build context.
    pub source: String,
    /// Line of the first call, from 1.
    pub line: usize,
    /// The command.
    pub command: String,
}

/// Commands of copied shell scripts that nothing in the image provides; none where the base image is not known.
#[must_use]
pub fn missing_commands(facts: &ImageFacts, build: &Build, tree: Tree<'_>) -> Vec<MissingCommand> {
    let context = context::Context::of(build, tree);
    shell::missing(facts, &context)
}

/// Imports of copied Python modules that nothing in the image provides.
#[must_use]
pub fn missing_imports(facts: &ImageFacts, build: &Build, tree: Tree<'_>) -> Vec<MissingImport> {
    let context = context::Context::of(build, tree);
    python::missing(facts, &context)
}

#[cfg(test)]
mod tests;
