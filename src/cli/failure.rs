//! Why a command could not do its work.

use std::io;
use std::path::Path;

use super::files::{self, STANDARD};
use crate::text::{self, Redactor};

/// Ends a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader of the report went away.
    BrokenPipe,
    /// Usage, input or output.
    Diagnostic(Diagnostic),
}

/// Something that a person has to mend, as one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Diagnostic {
    /// Name of the file, clean; empty: the command line.
    pub(super) file: String,
    /// Line and column, from 1.
    pub(super) at: Option<(usize, usize)>,
    /// Path within the file, `agent.environment.X`; empty: the file as a whole.
    pub(super) path: String,
    /// What is wrong.
    pub(super) message: String,
    /// What may help.
    pub(super) hint: Option<String>,
}

impl Diagnostic {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(super) fn in_file(file: &Path, message: impl Into<String>) -> Self {
        let name = if file.as_os_str() == STANDARD { "<stdin>".into() } else { file.to_string_lossy() };
        Self { file: text::strip(&name).into_owned(), message: message.into(), ..Self::default() }
    }

    pub(super) fn at(mut self, line: usize, column: usize) -> Self {
        self.at = Some((line, column));
        self
    }

    /// Names a path within the file; what is said of a variable or a label does not quote its value.
    pub(super) fn within(mut self, path: String) -> Self {
        let hidden = ["environment", "labels"].iter().any(|part| path.split('.').any(|step| step == *part));
        if hidden || text::names_credential(&path) {
            self.message = unquoted(&self.message);
        }
        self.path = path;
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong, as it may be printed.
    pub(super) fn text(&self, redactor: &Redactor) -> String {
        let message = redactor.scrub(&self.message);
        if self.path.is_empty() { message } else { format!("{}: {message}", redactor.scrub(&self.path)) }
    }

    /// All of it, as it may be printed; names of files are shown as they are, but for control characters.
    pub(super) fn shown(&self, redactor: &Redactor) -> String {
        let message = self.text(redactor);
        let place = match self.at {
            _ if self.file.is_empty() => String::new(),
            None => format!("{}: ", self.file),
            Some((line, column)) => format!("{}:{line}:{column}: ", self.file),
        };
        let hint =
            self.hint.as_ref().map_or_else(String::new, |hint| format!("hint: {}\n", redactor.scrub(hint)));
        format!("error: {place}{message}\n{hint}")
    }
}

/// A message without what it quotes.
fn unquoted(message: &str) -> String {
    let Some(start) = message.find(['`', '"']) else { return message.to_owned() };
    let quote = &message[start..=start];
    match message.rfind(quote).filter(|end| *end > start) {
        Some(end) => format!("{}{}", message[..start].trim_end(), &message[end + 1..]),
        None => message[..start].trim_end().to_owned(),
    }
}

impl From<Diagnostic> for Failure {
    fn from(problem: Diagnostic) -> Self {
        Self::Diagnostic(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Diagnostic(Diagnostic::new(format!(
                "failed to write the report: {}",
                files::reason(&error)
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, message: &str, shown: &str) {
        let problem = Diagnostic::in_file(Path::new("p.json"), message).at(1, 2).within(path.to_owned());
        assert_eq!(problem.shown(&Redactor::new(false)), format!("error: p.json:1:2: {shown}\n"));
    }

    #[test]
    fn values_of_variables_are_not_quoted() {
        check("", "unknown field `slog`", "unknown field `slog`");
        check("slug", "`A` is no slug", "slug: `A` is no slug");
        let shown = "agent.environment.TOKEN: invalid type: integer, expected a string";
        check("agent.environment.TOKEN", "invalid type: integer `1234`, expected a string", shown);
        check("a.labels.x", r#"invalid value: string "a\"b", no"#, "a.labels.x: invalid value: string, no");
        check("a.secret", "value \"half", "a.secret: value");
    }
}
