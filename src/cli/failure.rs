//! Why a command could not do its work.

use std::io;
use std::path::Path;

use super::files::STANDARD;
use crate::text::{self, Redactor};

/// Ends a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader of the report went away.
    BrokenPipe,
    /// Usage, input or output.
    Problem(Problem),
}

/// Something that a person has to mend, as one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Problem {
    /// Name of the file, clean; empty: the command line.
    pub(super) file: String,
    /// Line and column, from 1.
    pub(super) at: Option<(usize, usize)>,
    /// What is wrong.
    pub(super) message: String,
    /// What may help.
    pub(super) hint: Option<String>,
}

impl Problem {
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

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Problem {
    /// The message as it may be printed; names of files are shown as they are, but for control characters.
    pub(super) fn shown(&self, redactor: &Redactor) -> String {
        let message = redactor.scrub(&self.message);
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

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Problem(Problem::new(format!("failed to write the report: {error}")))
        }
    }
}
