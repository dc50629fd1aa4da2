//! Messages about what is wrong with an input, a file or the command line.

use std::fmt;
use std::path::Path;

use crate::text::{self, Redactor};

/// The argument that means stdin or stdout.
pub(crate) const STANDARD: &str = "-";

/// Name of an input as it may be printed.
pub(crate) fn input_name(path: &Path) -> String {
    let name = if path.as_os_str() == STANDARD { "<stdin>".into() } else { path.to_string_lossy() };
    text::strip(&name).into_owned()
}

/// One message about something that the user has to fix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// Name of the file, clean; empty: the command line.
    pub file: String,
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
    /// Path within the file, `agent.environment.X`; empty: the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A message about the command line, or about the run as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// A message about a file.
    pub fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: input_name(file), message: message.into(), ..Self::default() }
    }

    /// Names a place in the file.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.at = Some((line, column));
        self
    }

    /// Names a path within the file. A message about a variable or a label then does not quote its value.
    #[must_use]
    pub fn within(mut self, path: String) -> Self {
        let hidden = ["environment", "labels"].iter().any(|part| path.split('.').any(|step| step == *part));
        if hidden || text::names_credential(&path) {
            self.message = unquoted(&self.message);
        }
        self.path = path;
        self
    }

    /// Says what may help.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message, as it may be printed.
    #[must_use]
    pub fn text(&self, redactor: &Redactor) -> String {
        let message = redactor.scrub(&self.message);
        if self.path.is_empty() { message } else { format!("{}: {message}", redactor.scrub(&self.path)) }
    }

    /// All of it, as it may be printed. Names of files keep everything but control characters.
    #[must_use]
    pub fn shown(&self, redactor: &Redactor) -> String {
        let hint =
            self.hint.as_ref().map_or_else(String::new, |hint| format!("hint: {}\n", redactor.scrub(hint)));
        format!("error: {}\n{hint}", self.line(redactor))
    }

    /// Place and message.
    fn line(&self, redactor: &Redactor) -> String {
        let message = self.text(redactor);
        match self.at {
            _ if self.file.is_empty() => message,
            None => format!("{}: {message}", self.file),
            Some((line, column)) => format!("{}:{line}:{column}: {message}", self.file),
        }
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

/// As it may be printed, with secrets redacted and without the hint.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(&Redactor::new(false)))
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
