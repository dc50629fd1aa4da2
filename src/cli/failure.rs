//! Why a command could not do its work.

use std::fmt;
use std::io;
use std::path::Path;

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
    /// `FILE`; empty: the command line.
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
        Self { file: file.display().to_string(), message: message.into(), ..Self::default() }
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some((line, column)) = self.at {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
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
