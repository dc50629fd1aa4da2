//! Workflow commands that GitHub shows as annotations.

use std::io::{self, Write};

use super::{Comparison, Entry, Failed, Reporter, Summary};
use crate::finding::Severity;

/// Writes an annotation for each finding that stands, and a line of counts.
#[derive(Debug, Default)]
pub struct GitHub;

/// Escapes the text of a command.
pub(crate) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a command.
pub(crate) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn annotate(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    if entry.waived.is_some() {
        return Ok(());
    }
    let command = match entry.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    write!(out, "::{command} ")?;
    if let Some(file) = &entry.file {
        write!(out, "file={},", property(file))?;
        if let Some(line) = entry.line {
            write!(out, "line={line},")?;
        }
    }
    let principal =
        if entry.principal.is_empty() { String::new() } else { format!(" ({})", entry.principal) };
    let title = format!("{}{principal}", entry.rule.id);
    let mut text = format!("{}: {}", entry.subject, entry.message);
    for (name, value) in [("before", &entry.before), ("after", &entry.after)] {
        if let Some(value) = value {
            text = format!("{text}\n{name}: {value}");
        }
    }
    writeln!(out, "title={}::{}", property(&title), data(&text))
}

impl Reporter for GitHub {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        comparison.entries.iter().try_for_each(|entry| annotate(entry, out))
    }

    fn failed(&mut self, failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "::error file={},", property(&failed.file))?;
        if let Some(line) = failed.line {
            write!(out, "line={line},")?;
        }
        writeln!(out, "title=not checked::{}", data(&failed.message))
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
