//! `explain RULE`.

use std::io::Write;

use clap::Args;

use super::failure::{Failure, Problem};
use super::session::Session;
use super::{exit, pipeline};
use crate::config::nearest;
use crate::report::wrap;

/// Columns of the text.
const WIDTH: usize = 80;

/// Says what a rule catches and why it matters
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Id of the rule; `rules` lists them
    #[arg(value_name = "RULE")]
    rule: String,
}

impl Explain {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let Some(rule) = pipeline::rules().find(|rule| rule.id == self.rule) else {
            let near = nearest(&self.rule, pipeline::rules().map(|rule| rule.id));
            let hint = near.map_or_else(
                || "`bottle-migrate rules` lists them".to_owned(),
                |name| format!("did you mean `{name}`?"),
            );
            return Err(Problem::new(format!("unknown rule `{}`", self.rule)).hint(hint).into());
        };
        let out = &mut session.out;
        writeln!(out, "{}: {}", rule.id, rule.summary)?;
        writeln!(out, "{}, {}\n", super::rules::severity(rule.severity), super::rules::law(rule.law))?;
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
