//! Calls the docker command, which finds the engine as it always does, within a time limit.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::EngineError;
use crate::files;
use crate::process::{self, Limits, Unfinished};

/// Asks one engine, until a deadline.
pub(super) struct Docker {
    limit: Duration,
    deadline: Option<Instant>,
}

impl Docker {
    /// All calls together may take as long as `limit`.
    pub(super) fn within(limit: Duration) -> Self {
        Self { limit, deadline: Instant::now().checked_add(limit) }
    }

    /// What `docker inspect` says of some things at once.
    pub(super) fn inspect<T: DeserializeOwned>(
        &self,
        verb: &[&str],
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<T>, EngineError> {
        let names: Vec<_> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let words: Vec<&str> = verb.iter().copied().chain(names.iter().map(AsRef::as_ref)).collect();
        self.one(&words)
    }

    /// A document of an output.
    pub(super) fn one<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, EngineError> {
        let text = self.run(words)?;
        serde_json::from_str(&text).map_err(|error| {
            EngineError::new(format!(
                "docker {} printed what this program does not understand: {error}",
                words[0]
            ))
        })
    }

    /// Lines of an output.
    pub(super) fn lines(&self, words: &[&str]) -> Result<Vec<String>, EngineError> {
        Ok(self.run(words)?.lines().map(str::to_owned).collect())
    }

    /// Output of a call that succeeds.
    pub(super) fn run(&self, words: &[&str]) -> Result<String, EngineError> {
        let limits = Limits { deadline: self.deadline, ..Limits::default() };
        let done =
            process::run(Command::new("docker").args(words), limits, false).map_err(|error| match error {
                Unfinished::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => {
                    EngineError::new("the docker command is not installed")
                        .hint("`diff --running` asks the engine through it")
                }
                Unfinished::NotStarted(error) | Unfinished::Broken(error) => cannot(&error),
                Unfinished::Late(_) | Unfinished::Stopped(_) => self.late(),
            })?;
        if !done.status.success() {
            let text = process::read(done.stderr).map_err(|error| cannot(&error))?;
            let text = String::from_utf8_lossy(&text);
            let reason = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
            return Err(EngineError::new(format!("docker {} failed: {}", words[0], reason.trim()))
                .hint("check that Docker runs and that you may use it (`docker ps`); DOCKER_HOST names another engine"));
        }
        String::from_utf8(process::read(done.stdout).map_err(|error| cannot(&error))?)
            .map_err(|_| EngineError::new(format!("docker {} printed something that is not text", words[0])))
    }

    /// Fails after the deadline: the call that was cut off may have been one whose failure is ignored.
    pub(super) fn in_time(&self) -> Result<(), EngineError> {
        if self.is_late() { Err(self.late()) } else { Ok(()) }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn late(&self) -> EngineError {
        EngineError::new(format!("the engine did not answer within {} s", self.limit.as_secs()))
            .hint("check the engine with `docker ps`, or give it more time with --engine-timeout")
    }
}

fn cannot(error: &io::Error) -> EngineError {
    EngineError::new(format!("the docker command cannot be run: {}", files::reason(error)))
}
