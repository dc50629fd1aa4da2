//! `explain RULE`.

use std::io::Write;

use bottle_model::nearest::nearest;
use clap::Args;

use super::exit;
use super::failure::Failure;
use super::session::Session;
use crate::diagnostic::Diagnostic;
use crate::report::wrap;
use crate::rule::RuleId;

/// Columns of the text.
const WIDTH: usize = 80;

/// Describes a rule: what it catches, why it matters, what to do
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Id of the rule, as `rules` lists it
    #[arg(value_name = "RULE")]
    rule: String,
}

impl Explain {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let Some(id) = RuleId::of(&self.rule) else {
            let near = nearest(&self.rule, RuleId::ALL.iter().map(|rule| rule.as_str()));
            let hint = near.map_or_else(
                || "`bottle-migrate rules` lists them".to_owned(),
                |name| format!("did you mean `{name}`?"),
            );
            return Err(Diagnostic::new(format!("unknown rule `{}`", self.rule)).hint(hint).into());
        };
        let rule = id.description();
        let out = &mut session.out;
        writeln!(out, "{}: {}", rule.id, rule.summary)?;
        let law = rule.law.map_or_else(String::new, |law| format!(", {}", law.name()));
        writeln!(out, "{}{law}\n", rule.severity.name())?;
        for (number, paragraph) in rule.doc.split("\n\n").enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            for line in wrap(paragraph, WIDTH) {
                writeln!(out, "{line}")?;
            }
        }
        Ok(exit::CLEAN)
    }
}
