//! What commands that take a compose file read beside it.

use std::path::{Path, PathBuf};

use bottle_model::compose::Compose;
use bottle_model::daemon::Isolation;
use bottle_model::images::Images;

use super::failure::Failure;
use super::session::Session;
use crate::compare::{Project, read_compose, source};
use crate::compose::Surroundings;
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::view::Roles;

/// Reads a compose project, the text of whose first file was read already.
pub(super) fn compose(project: &Project, text: &str, session: &Session<'_>) -> Result<Compose, Failure> {
    let variable = |name: &str| session.variable(name);
    let first = project.files.first().map_or(Path::new(""), PathBuf::as_path);
    let file = |asked: &Path| if asked == first { Ok(text.to_owned()) } else { files::text_of(asked) };
    let surroundings =
        Surroundings { variable: &source::with_folder(&variable), file: &file, absolute: &files::absolute };
    let (document, _) = read_compose(project, &surroundings)?;
    if let Some(odd) = document.unmodelled.first() {
        let message = format!("{}: the attribute `{}` is not known", odd.place, odd.attribute);
        return Err(Diagnostic::in_file(first, message).into());
    }
    Ok(document.compose)
}

/// Reads a level of isolation.
pub(super) fn isolation(level: &str) -> Result<Isolation, String> {
    Isolation::from_name(level).ok_or_else(|| "has to be require, best-effort or off".to_owned())
}

/// The cast that `--map` names, or the built-in one.
pub(super) fn roles(map: Option<&Path>, images: &Images) -> Result<Roles, Diagnostic> {
    let Some(map) = map else { return Ok(Roles::builtin(images)) };
    Roles::from_map(&files::read(map)?, images).map_err(|error| {
        let found = Diagnostic { hint: error.hint.clone(), ..Diagnostic::in_file(map, error.to_string()) };
        match error.line {
            Some(line) => found.at(line, 1),
            None => found,
        }
    })
}
