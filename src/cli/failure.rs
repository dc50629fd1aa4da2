//! Why a command ended early.

use std::io;

use crate::compare::CompareError;
use crate::diagnostic::Diagnostic;
use crate::files;

/// Ends a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader of the report went away.
    BrokenPipe,
    /// Usage, input or output.
    Diagnostic(Diagnostic),
}

impl From<Diagnostic> for Failure {
    fn from(problem: Diagnostic) -> Self {
        Self::Diagnostic(problem)
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        Self::Diagnostic(error.into())
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
