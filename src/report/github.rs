//! Workflow commands that GitHub shows as annotations.

use std::io::{self, Write};

use super::{Comparison, Entry, Failed, Reporter, Summary};
use crate::finding::Severity;

/// Writes an annotation for each finding that no waiver accepts, and a line of counts.
#[derive(Debug, Default)]
pub struct GitHub;

/// One workflow command.
pub(super) struct Annotation<'a> {
    pub(super) command: &'static str,
    pub(super) file: Option<&'a str>,
    /// From 1.
    pub(super) line: Option<usize>,
    /// From 1.
    pub(super) column: Option<usize>,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

impl Annotation<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "::{} ", self.command)?;
        if let Some(file) = self.file {
            write!(out, "file={},", property(file))?;
            if let Some(line) = self.line {
                write!(out, "line={line},")?;
            }
            if let Some(column) = self.column {
                write!(out, "col={column},")?;
            }
        }
        writeln!(out, "title={}::{}", property(self.title), data(self.text))
    }
}

/// Name of the command that shows a severity.
pub(super) const fn command(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    }
}

/// Escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn annotate(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    if entry.waived.is_some() {
        return Ok(());
    }
    let principal =
        if entry.principal.is_empty() { String::new() } else { format!(" ({})", entry.principal) };
    let mut text = format!("{}: {}", entry.subject, entry.message);
    for (name, value) in [("before", &entry.before), ("after", &entry.after)] {
        if let Some(value) = value {
            text = format!("{text}\n{name}: {value}");
        }
    }
    let annotation = Annotation {
        command: command(entry.severity),
        file: entry.file.as_deref(),
        line: entry.line,
        column: None,
        title: &format!("{}{principal}", entry.rule.id),
        text: &text,
    };
    annotation.write(out)
}

impl Reporter for GitHub {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        comparison.entries.iter().try_for_each(|entry| annotate(entry, out))
    }

    fn failed(&mut self, failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
        let annotation = Annotation {
            command: "error",
            file: Some(&failed.file),
            line: failed.line,
            column: None,
            title: "not checked",
            text: &failed.message,
        };
        annotation.write(out)
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        closing.iter().try_for_each(|entry| annotate(entry, out))?;
        writeln!(out, "{}", summary.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Law, Rule, Shown};
    use crate::rule::{Columns, RuleId};
    use crate::text::Redactor;

    static RULE: Rule = Rule {
        id: RuleId::AliasAdded,
        law: Law::Containment,
        severity: Severity::Warning,
        columns: Columns { subject: "name", principal: "who", gained: "now" },
        summary: "s",
        doc: "",
    };

    #[test]
    fn data_and_properties_are_escaped() {
        assert_eq!(data("100%\r\na:b,c"), "100%25%0D%0Aa:b,c");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }

    #[test]
    fn an_annotation_cannot_break_out_of_its_line() {
        let finding =
            Finding::gained(&RULE, "egress", "a\n::error::b", Shown::plain("50%", "")).because("why");
        let mut entry = Entry::of(&finding, None, &Redactor::new(false));
        entry.file = Some("a,b:c.json".to_owned());
        entry.line = Some(3);
        let mut out = Vec::new();
        annotate(&entry, &mut out).unwrap();
        insta::assert_snapshot!(
            String::from_utf8(out).unwrap(),
            @"::warning file=a%2Cb%3Ac.json,line=3,title=alias-added (egress)::a ::error::b: why%0Aafter: 50%25"
        );
        entry.waived = Some("ok".to_owned());
        let mut out = Vec::new();
        annotate(&entry, &mut out).unwrap();
        assert!(out.is_empty());
    }
}
