//! Errors of system calls that PID 1 survives: each is said once, and again only after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

/// An error that comes and goes is not said more often.
const QUIET: Duration = Duration::from_secs(10);

/// Errors that are there now, and what is to be said of them.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    said: BTreeMap<&'static str, Instant>,
    present: BTreeSet<&'static str>,
    messages: Vec<String>,
}

impl Faults {
    /// Takes note of what a system call returned.
    pub(crate) fn note(&mut self, what: &'static str, error: Option<&io::Error>) {
        let Some(error) = error else {
            if !self.present.is_empty() {
                self.present.remove(what);
            }
            return;
        };
        let now = Instant::now();
        let recent = self.said.get(what).is_some_and(|said| now.duration_since(*said) < QUIET);
        if self.present.insert(what) && !recent {
            self.said.insert(what, now);
            self.messages.push(format!("{what}: {error}; trying again"));
        }
    }

    /// Whether an error is there, so that something is to be tried again.
    pub(crate) fn any(&self) -> bool {
        !self.present.is_empty()
    }

    /// What is to be said, once.
    pub(crate) fn messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_once() {
        let mut faults = Faults::default();
        let error = io::Error::from_raw_os_error(libc::ENOMEM);
        for _ in 0..3 {
            faults.note("cannot wait", Some(&error));
            assert!(faults.any());
        }
        assert_eq!(faults.messages().len(), 1);
        faults.note("cannot wait", None);
        assert!(!faults.any());
        faults.note("cannot wait", Some(&error));
        assert_eq!(faults.messages(), Vec::<String>::new());
        faults.note("cannot read", Some(&error));
        assert_eq!(faults.messages().len(), 1);
    }
}
