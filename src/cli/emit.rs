//! Hands results to the report as they come, and counts.

use std::io::{BufWriter, Write};

use super::failure::Failure;
use super::session::Session;
use crate::diagnostic::Diagnostic;
use crate::files::Output;
use crate::report::{Comparison, Entry, Failed, Reporter, Summary};

/// A report under way.
pub(super) struct Emitter {
    reporter: Box<dyn Reporter>,
    output: Option<BufWriter<Output>>,
    summary: Summary,
}

impl Emitter {
    /// A report to `output`, or to stdout.
    pub(super) fn new(reporter: Box<dyn Reporter>, output: Option<Output>) -> Self {
        Self { reporter, output: output.map(BufWriter::new), summary: Summary::default() }
    }

    /// Counts so far.
    pub(super) const fn summary(&self) -> Summary {
        self.summary
    }

    /// Starts the report.
    pub(super) fn begin(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        let out = sink(&mut self.output, session);
        Ok(self.reporter.begin(out)?)
    }

    /// Reports one result; an input that could not be compared also goes to stderr, and the run goes on.
    pub(super) fn take(
        &mut self,
        result: Result<Comparison, Diagnostic>,
        session: &mut Session<'_>,
    ) -> Result<(), Failure> {
        match result {
            Ok(comparison) => {
                self.summary.compared += 1;
                comparison.counts().for_each(|count| self.summary.add(count));
                let out = sink(&mut self.output, session);
                Ok(self.reporter.comparison(comparison, out)?)
            }
            Err(diagnostic) => {
                self.summary.failed += 1;
                session.error(&diagnostic);
                let failed = Failed {
                    message: session.text(&diagnostic),
                    line: diagnostic.at.map(|(line, _)| line),
                    file: diagnostic.file,
                };
                let out = sink(&mut self.output, session);
                Ok(self.reporter.failed(&failed, out)?)
            }
        }
    }

    /// Writes out what is buffered.
    pub(super) fn flush(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        Ok(sink(&mut self.output, session).flush()?)
    }

    /// Ends the report and gives the counts.
    pub(super) fn end(mut self, closing: &[Entry], session: &mut Session<'_>) -> Result<Summary, Failure> {
        for entry in closing {
            self.summary.add(entry.into());
        }
        let out = sink(&mut self.output, session);
        self.reporter.end(closing, &self.summary, out)?;
        if let Some(output) = self.output {
            output.into_inner().map_err(|error| Failure::from(error.into_error()))?.finish()?;
        }
        Ok(self.summary)
    }
}

/// Where the report goes.
fn sink<'a>(output: &'a mut Option<BufWriter<Output>>, session: &'a mut Session<'_>) -> &'a mut dyn Write {
    match output {
        Some(file) => file,
        None => &mut session.out,
    }
}
