//! The report as JSON, one finding to a line, so that it can be streamed and searched.

use std::io::{self, Write};

use super::{Comparison, Entry, Reporter, SCHEMA, Summary};

/// Writes a [`super::Report`].
#[derive(Debug, Default)]
pub struct Json {
    started: bool,
}

impl Json {
    fn entry(&mut self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.started { b",\n" } else { b"\n" })?;
        self.started = true;
        serde_json::to_writer(out, entry).map_err(io::Error::from)
    }
}

impl Reporter for Json {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"schema\":\"{SCHEMA}\",\n\"findings\":[")
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        comparison.entries.iter().try_for_each(|entry| self.entry(entry, out))
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        closing.iter().try_for_each(|entry| self.entry(entry, out))?;
        out.write_all(if self.started { b"\n],\n\"summary\":" } else { b"],\n\"summary\":" })?;
        serde_json::to_writer(&mut *out, summary)?;
        out.write_all(b"}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Law, Rule, Severity, Shown};
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

    fn report(entries: usize) -> serde_json::Value {
        let finding = Finding::gained(&RULE, "egress", "a\"b", Shown::plain("x", ""));
        let entry = Entry::of(&finding, None, &Redactor::new(false));
        let comparison = Comparison { entries: vec![entry; entries], ..Comparison::default() };
        let mut out = Vec::new();
        let mut json = Json::default();
        json.begin(&mut out).unwrap();
        json.comparison(comparison.clone(), &mut out).unwrap();
        json.comparison(comparison, &mut out).unwrap();
        json.end(&[], &Summary::default(), &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn reports_satisfy_their_schema() {
        let validator = jsonschema::validator_for(&super::super::schema()).unwrap();
        for entries in [0, 1, 2] {
            let report = report(entries);
            assert!(validator.is_valid(&report), "{report}");
            assert_eq!(report["schema"], SCHEMA);
            assert_eq!(report["findings"].as_array().unwrap().len(), entries * 2);
        }
    }

    #[test]
    fn names_are_those_of_the_contract() {
        let report = report(1);
        let finding = &report["findings"][0];
        assert_eq!(finding["law"], "containment");
        assert_eq!(finding["severity"], "warning");
        assert_eq!(finding["broadening"], true);
        assert_eq!(finding["subject"], "a\"b");
        assert_eq!(finding["before"], serde_json::Value::Null);
    }
}
