//! `render SOURCE`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bottle_bundle::services::Merged;
use bottle_model::daemon::Isolation;
use bottle_model::table;
use clap::{Args, ValueEnum};

use super::exit;
use super::failure::Failure;
use super::projects::Common;
use super::session::Session;
use super::source::{compose, isolation, roles};
use crate::compare::source::is_plan;
use crate::compare::{PlanText, Project, merge_compose};
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::flag::{self, Shape};
use crate::merging;

/// Renders one plan or compose file in one shape
///
/// For a compose file, the legacy shape is the file in canonical form, and the bundle is the file with its daemons
/// merged.
#[derive(Debug, Args)]
pub(super) struct Render {
    /// A plan, or a compose file and its overrides; `-` is stdin
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,
    /// Shape to render; without it, the flag of the migration decides
    #[arg(long, value_enum)]
    shape: Option<Choice>,
    /// TOML file that maps services to daemons, for compose files that are not a bottle's
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// How strictly to separate the merged daemons of a compose file: require, best-effort or off
    #[arg(long, value_name = "LEVEL", value_parser = isolation, default_value = "best-effort")]
    isolation: Isolation,
    #[command(flatten)]
    compose: Common,
    /// Write to this file or folder instead of to stdout. A folder gets compose.yaml and, for daemons that are not a
    /// bottle's, daemons.toml and a draft of the Dockerfile
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// One service per daemon
    Legacy,
    /// One service for all daemons
    Bundle,
}

/// What is written: name in a folder, text; the compose document first.
type Written = Vec<(String, String)>;

impl Render {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let shape = match self.shape {
            Some(Choice::Legacy) => Shape::Legacy,
            Some(Choice::Bundle) => Shape::Bundle,
            None => decide(session)?,
        };
        session.remark(&format!("shape: {}", shape.name()));
        let project = Project { files: self.sources, switches: self.compose.switches() };
        let first = &project.files[0];
        let text = files::read(first)?;
        let written = if is_plan(first, &text) {
            if project.files.len() > 1 {
                return Err(Diagnostic::in_file(first, "is a plan, and a plan has no overrides").into());
            }
            let source = PlanText::new(first, &text);
            let images = session.images(&session.config()?);
            let plan = source.read(&images)?;
            vec![(COMPOSE.to_owned(), source.render(&plan, shape, &images)?.to_yaml())]
        } else {
            merged(&project, (self.map.as_deref(), self.isolation), session, &text, shape)?
        };
        let folder = |path: &PathBuf| path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        match self.output.as_ref().filter(|path| folder(path)) {
            Some(folder) => {
                fs::create_dir_all(folder)
                    .map_err(|error| Diagnostic::in_file(folder, files::reason(&error)))?;
                for (name, text) in &written {
                    write(&folder.join(name), text)?;
                }
            }
            None => match self.output.as_deref().filter(|path| path.as_os_str() != files::STANDARD) {
                Some(file) => write(file, &written[0].1)?,
                None => session.out.write_all(written[0].1.as_bytes())?,
            },
        }
        Ok(exit::CLEAN)
    }
}

/// A compose file, as it is or with its daemons merged.
fn merged(
    project: &Project,
    (map, isolation): (Option<&Path>, Isolation),
    session: &Session<'_>,
    text: &str,
    shape: Shape,
) -> Result<Written, Failure> {
    let document = compose(project, text, session)?;
    if shape == Shape::Legacy {
        return Ok(vec![(COMPOSE.to_owned(), document.to_yaml())]);
    }
    let config = session.config()?;
    let images = session.images(&config);
    let map = map.map(Path::to_owned).or_else(|| config.compare.map(&session.root));
    let roles = roles(map.as_deref(), &images)?;
    let merged = merge_compose(&document, &project.files, &roles, &images, isolation)?;
    let Merged { compose, rows } = merged.map_err(|conflicts| {
        let messages: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        Diagnostic::in_file(&project.files[0], format!("cannot be merged: {}", messages.join("\n")))
    })?;
    let mut written = vec![(COMPOSE.to_owned(), compose.to_yaml())];
    if !roles.is_built_in() {
        let bundle = roles.bundle();
        let service = |daemon: &str| roles.service(daemon).to_owned();
        written
            .push((format!("Dockerfile.{bundle}"), merging::dockerfile(&document, &rows, &service, bundle)));
        written.push(("daemons.toml".to_owned(), table::write(&rows)));
    }
    Ok(written)
}

/// Name of the compose document in a folder.
const COMPOSE: &str = "compose.yaml";

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let mut output = files::Output::create(file)?;
    output.write_all(text.as_bytes())?;
    Ok(output.finish()?)
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
