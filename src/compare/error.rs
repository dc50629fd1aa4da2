//! Why a comparison could not be made.

use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;

/// Why a comparison could not be made.
#[derive(Debug, Error)]
pub enum CompareError {
    /// The plan is not valid.
    #[error("not a valid plan: {0}")]
    Plan(Diagnostic),
    /// Two daemons ask for what one container cannot give both.
    #[error("cannot be merged: {0}")]
    Conflict(Diagnostic),
    /// A compose file cannot be read or is not valid.
    #[error("not a valid compose file: {0}")]
    Compose(Diagnostic),
    /// Nothing of a compose file can be merged.
    #[error("cannot be merged: {0}")]
    Unmergeable(Diagnostic),
    /// The second of two compose files merges no daemons.
    #[error("not a bundle: {0}")]
    Unmerged(Diagnostic),
    /// A Dockerfile that a compose file names is not valid.
    #[error("not a valid Dockerfile: {0}")]
    Dockerfile(Diagnostic),
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<CompareError> for Diagnostic {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Plan(found)
            | CompareError::Conflict(found)
            | CompareError::Compose(found)
            | CompareError::Unmergeable(found)
            | CompareError::Unmerged(found)
            | CompareError::Dockerfile(found) => found,
            CompareError::Engine(error) => error.into(),
        }
    }
}
