//! What a file is written in, and how references are searched for in it.

mod grammar;
pub(super) mod loops;
pub(super) mod markup;
pub(super) mod python;
pub(super) mod shell;
pub(super) mod source_map;
pub(super) mod text;
pub(super) mod variables;
pub(super) mod yaml;

use std::path::Path;

use super::finding::Match;
use super::patterns::Patterns;
use python::{Alias, Known};
use text::Comments;

/// What a search gives beside references.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Names that the file passes on to other modules.
    pub(super) aliases: Vec<Alias>,
    /// Why the file was searched as plain text, if it was.
    pub(super) note: Option<&'static str>,
}

/// What a file is written in.
pub(super) enum Language {
    Python,
    Shell,
    Yaml,
    Markup,
    /// Something that nothing here parses.
    Text(Comments),
}

impl Language {
    /// The language of the file `name`, by its extension or its first line.
    pub(super) fn of(name: &str, source: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension {
            "py" | "pyi" | "pyw" => Self::Python,
            "sh" | "bash" | "bats" | "ksh" | "zsh" => Self::Shell,
            "yml" | "yaml" => Self::Yaml,
            _ if markup::is_document(name) => Self::Markup,
            _ => {
                let first = source.lines().next().unwrap_or_default();
                match first.strip_prefix("#!") {
                    Some(program) if program.contains("python") => Self::Python,
                    Some(program) if program.contains("sh") => Self::Shell,
                    Some(_) => Self::Text(Comments::Hash),
                    None => Self::Text(Comments::of(name)),
                }
            }
        }
    }

    /// Finds the references in the file `name`.
    pub(super) fn search(
        &self,
        patterns: &Patterns,
        source: &str,
        name: &str,
        known: &Known,
        matches: &mut Vec<Match>,
    ) -> Outcome {
        match self {
            Self::Python => {
                let others = python::search(patterns, source, name, known, matches);
                let Some(others) = others else {
                    return Outcome { note: Some(grammar::REFUSED), ..Outcome::default() };
                };
                let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
                let folder = Path::new(name).parent().and_then(Path::file_name).unwrap_or_default();
                let module = if stem == "__init__" { folder.to_string_lossy() } else { stem };
                let aliases = others.into_iter().map(|other| Alias::new(&module, other)).collect();
                return Outcome { aliases, note: None };
            }
            Self::Shell if !shell::search(patterns, source, matches) => {
                return Outcome { note: Some(grammar::REFUSED), ..Outcome::default() };
            }
            Self::Yaml if !yaml::search(patterns, source, matches) => {
                return Outcome { note: Some(grammar::REFUSED), ..Outcome::default() };
            }
            Self::Shell | Self::Yaml => {}
            Self::Markup => markup::search(patterns, source, matches),
            Self::Text(comments) => text::search(patterns, source, *comments, matches),
        }
        Outcome::default()
    }
}
