//! `map FILE --merge A,B`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use bottle_model::nearest::nearest;
use clap::{Args, value_parser};

use super::exit;
use super::failure::Failure;
use super::projects::Common;
use super::session::Session;
use super::source::compose;
use crate::compare::Project;
use crate::diagnostic::{Diagnostic, input_name};
use crate::images::Image;
use crate::mapping::{self, Known, Wanted};
use crate::{engine, files};

/// Drafts a map file: which services of a compose file become one
///
/// Programs, users, ports, probes and stop behaviour come from the compose file, from the Dockerfiles that it builds
/// from, and with --images from the engine. A comment marks each thing that could not be found out.
#[derive(Debug, Args)]
pub(super) struct Map {
    /// The compose file and its overrides; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Services that become one, separated by commas, in the order in which they start
    #[arg(long, value_name = "SERVICE,…", value_delimiter = ',', required = true)]
    merge: Vec<String>,
    /// The service that is not trusted, if there is one
    #[arg(long, value_name = "SERVICE")]
    agent: Option<String>,
    /// Name of the merged service
    #[arg(long, value_name = "NAME", default_value = "sidecars")]
    bundle: String,
    /// Ask the engine what images say by default
    #[arg(long)]
    images: bool,
    #[command(flatten)]
    compose: Common,
    /// How long the engine may take
    #[arg(long, value_name = "SECONDS", requires = "images", default_value_t = 30, value_parser = value_parser!(u64).range(1..))]
    engine_timeout: u64,
    /// Write here instead of to stdout, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Map {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let project = Project { files: self.files, switches: self.compose.switches() };
        let first = &project.files[0];
        let document = compose(&project, &files::read(first)?, session)?;
        for name in self.merge.iter().chain(&self.agent) {
            if !document.services.contains_key(name) {
                let near = nearest(name, document.services.keys().map(String::as_str));
                let found = Diagnostic::in_file(first, format!("it has no service `{name}`"));
                return Err(match near {
                    Some(near) => found.hint(format!("did you mean `{near}`?")),
                    None => found,
                }
                .into());
            }
        }
        if let Some(agent) = self.agent.as_ref().filter(|agent| self.merge.contains(agent)) {
            let why = format!(
                "`{agent}` cannot be the agent and merged as well: the merged services guard the agent"
            );
            return Err(Diagnostic::in_file(first, why).into());
        }
        let mut images = BTreeMap::new();
        for name in &self.merge {
            let reference = document.services.get(name).and_then(|service| service.image.as_deref());
            if let Some(image) = reference.and_then(Image::published) {
                images.insert(name.clone(), Known::of_facts("the published image".to_owned(), &image.facts));
            }
        }
        if self.images {
            let references: Vec<(&String, &str)> = self
                .merge
                .iter()
                .filter_map(|name| Some((name, document.services.get(name)?.image.as_deref()?)))
                .collect();
            let limit = Duration::from_secs(self.engine_timeout);
            let found = engine::image_configs(references.iter().map(|(_, reference)| *reference), limit)
                .map_err(Diagnostic::from)?;
            for (name, reference) in references {
                if let Some(config) = found.get(reference) {
                    images.insert(name.clone(), Known::of_engine(config));
                }
            }
        }
        let text = mapping::draft(&Wanted {
            file: &first
                .file_name()
                .map_or_else(|| input_name(first), |name| name.to_string_lossy().into_owned()),
            compose: &document,
            merge: &self.merge,
            agent: self.agent.as_deref(),
            bundle: &self.bundle,
            images: &images,
        });
        match files::Output::asked(self.output.as_deref())? {
            None => session.out.write_all(text.as_bytes())?,
            Some(mut output) => {
                output.write_all(text.as_bytes())?;
                output.finish()?;
            }
        }
        Ok(exit::CLEAN)
    }
}
