//! JUnit XML, for the test reports of CI servers.

use std::io::{self, Write};

use super::markup::escape;
use super::{Comparison, Entry, Failed, Reporter, Summary};
use crate::finding::Severity;

/// Writes a test suite for each comparison and a test case for each finding.
#[derive(Debug)]
pub struct JUnit {
    threshold: Option<Severity>,
}

impl JUnit {
    /// A report in which findings from `threshold` on are failures; `None`: none is.
    #[must_use]
    pub const fn new(threshold: Option<Severity>) -> Self {
        Self { threshold }
    }

    fn fails(&self, entry: &Entry) -> bool {
        entry.waived.is_none() && self.threshold.is_some_and(|threshold| entry.severity >= threshold)
    }

    fn suite(&self, label: &str, entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
        let failures = entries.iter().filter(|entry| self.fails(entry)).count();
        let skipped = entries.iter().filter(|entry| entry.waived.is_some()).count();
        let tests = entries.len().max(1);
        writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
            escape(label)
        )?;
        if entries.is_empty() {
            writeln!(out, "    <testcase classname=\"{}\" name=\"equivalent\"/>", escape(label))?;
        }
        entries.iter().try_for_each(|entry| self.case(label, entry, out))?;
        writeln!(out, "  </testsuite>")
    }

    fn case(&self, label: &str, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        let name = [entry.rule.id.as_str(), &entry.principal, &entry.subject].join(" ");
        write!(out, "    <testcase classname=\"{}\" name=\"{}\"", escape(label), escape(&name))?;
        let mut text = entry.message.clone();
        for (name, value) in [("before", &entry.before), ("after", &entry.after)] {
            if let Some(value) = value {
                text = format!("{text}\n{name}: {value}");
            }
        }
        if let Some(file) = &entry.file {
            text =
                format!("{text}\n{file}{}", entry.line.map_or_else(String::new, |line| format!(":{line}")));
        }
        if let Some(reason) = &entry.waived {
            writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(reason))
        } else if self.fails(entry) {
            let message = escape(&entry.message);
            let kind = entry.rule.id;
            writeln!(
                out,
                "><failure type=\"{kind}\" message=\"{message}\">{}</failure></testcase>",
                escape(&text)
            )
        } else {
            writeln!(out, "><system-out>{}</system-out></testcase>", escape(&text))
        }
    }
}

impl Reporter for JUnit {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"bottle-migrate\">")
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        self.suite(&comparison.label, &comparison.entries, out)
    }

    fn failed(&mut self, failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
        let (file, message) = (escape(&failed.file), escape(&failed.message));
        let line = failed.line.map_or_else(String::new, |line| format!("line {line}: "));
        writeln!(
            out,
            "  <testsuite name=\"{file}\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n    \
             <testcase classname=\"{file}\" name=\"not checked\"><error message=\"{line}{message}\"/></testcase>\n  \
             </testsuite>"
        )
    }

    fn end(&mut self, closing: &[Entry], _summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        if !closing.is_empty() {
            self.suite("waivers", closing, out)?;
        }
        writeln!(out, "</testsuites>")
    }
}
