//! The docker command, which finds the engine as it always does, within a time limit.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::Diagnostic;

/// How long to wait before a call is asked again whether it is done.
const PAUSE: Duration = Duration::from_millis(2);

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
    ) -> Result<Vec<T>, Diagnostic> {
        let names: Vec<_> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let words: Vec<&str> = verb.iter().copied().chain(names.iter().map(AsRef::as_ref)).collect();
        self.one(&words)
    }

    /// A document of an output.
    pub(super) fn one<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, Diagnostic> {
        let text = self.run(words)?;
        serde_json::from_str(&text).map_err(|error| {
            Diagnostic::new(format!("docker {} says what is not understood: {error}", words[0]))
        })
    }

    /// Lines of an output.
    pub(super) fn lines(&self, words: &[&str]) -> Result<Vec<String>, Diagnostic> {
        Ok(self.run(words)?.lines().map(str::to_owned).collect())
    }

    /// Output of a call that succeeds.
    pub(super) fn run(&self, words: &[&str]) -> Result<String, Diagnostic> {
        let cannot = |error: io::Error| Diagnostic::new(format!("the docker command cannot be run: {error}"));
        // Files, unlike pipes, need nobody who empties them meanwhile.
        let (stdout, stderr) = (tempfile::tempfile().map_err(cannot)?, tempfile::tempfile().map_err(cannot)?);
        let mut command = Command::new("docker");
        command.args(words).stdin(Stdio::null());
        command.stdout(stdout.try_clone().map_err(cannot)?).stderr(stderr.try_clone().map_err(cannot)?);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Diagnostic::new("the docker command is not installed")
                .hint("`diff --running` asks the engine through it"),
            _ => cannot(error),
        })?;
        let status = self.wait(child).map_err(cannot)?.ok_or_else(|| self.late())?;
        if !status.success() {
            let said = whole(stderr).map_err(cannot)?;
            let said = String::from_utf8_lossy(&said);
            let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
            return Err(Diagnostic::new(format!("docker {} failed: {}", words[0], said.trim()))
                .hint("DOCKER_HOST names the engine; is it up, and may you talk to it?"));
        }
        String::from_utf8(whole(stdout).map_err(cannot)?)
            .map_err(|_| Diagnostic::new(format!("docker {} says what is no text", words[0])))
    }

    /// Whether the deadline still lies ahead: a call that was cut off may have been one that may fail.
    pub(super) fn in_time(&self) -> Result<(), Diagnostic> {
        if self.is_late() { Err(self.late()) } else { Ok(()) }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn late(&self) -> Diagnostic {
        Diagnostic::new(format!("the engine did not answer within {} s", self.limit.as_secs()))
            .hint("does it hang? `docker ps` tells; --engine-timeout gives it more time")
    }

    /// How a call ended, or nothing if it was ended at the deadline.
    fn wait(&self, mut child: Child) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if self.is_late() {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Everything that was written to a file.
fn whole(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
