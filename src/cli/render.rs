//! `render PLAN`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit;
use super::failure::Failure;
use super::session::Session;
use crate::compare::PlanText;
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::flag::{self, Shape};

/// Renders one plan as a compose file
#[derive(Debug, Args)]
pub(super) struct Render {
    /// The plan; `-` is stdin
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Which shape; without it the flag decides
    #[arg(long, value_enum)]
    shape: Option<Choice>,
    /// Write here instead of to stdout, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// A service for each daemon
    Legacy,
    /// One service for all daemons
    Bundle,
}

impl Render {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let shape = match self.shape {
            Some(Choice::Legacy) => Shape::Legacy,
            Some(Choice::Bundle) => Shape::Bundle,
            None => decide(session)?,
        };
        session.remark(&format!("shape: {}", shape.name()));
        let text = files::read(&self.plan)?;
        let source = PlanText { file: &self.plan, text: &text };
        let images = session.images(&session.config()?);
        let plan = source.read(&images)?;
        let yaml = source.render(&plan, shape, &images)?.to_yaml();
        match files::Output::asked(self.output.as_deref())? {
            None => session.out.write_all(yaml.as_bytes())?,
            Some(mut output) => {
                output.write_all(yaml.as_bytes())?;
                output.finish()?;
            }
        }
        Ok(exit::CLEAN)
    }
}

fn decide(session: &Session<'_>) -> Result<Shape, Failure> {
    let flag = session.config()?.flag;
    let value = (session.environment)(flag.name());
    // What is not text is not a value either; the message shows what can be shown of it.
    let value = value.as_ref().map(|value| value.to_string_lossy());
    flag::decide(flag.name(), value.as_deref(), flag.default).map_err(|error| {
        Diagnostic::new(error.to_string())
            .hint("1, true, yes, on give the bundle; 0, false, no, off or nothing the legacy shape")
            .into()
    })
}
