//! The third source: what an engine really runs, as a document and as facts of its processes.
//!
//! Everything here is pure; the shell that asks the engine is `cli::engine`.

mod container;
mod document;
mod host_config;
mod image;
pub mod inspect;
mod network;
mod observe;
pub mod process;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bottle_model::compose::{Compose, Setting};

use inspect::{Container, Engine, ImageConfig, Network, Volume};
use process::Observed;

pub use document::{document, expected};
pub use observe::observe;

/// Label by which Compose knows the containers of a project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Label by which Compose knows the containers of a service.
const SERVICE: &str = "com.docker.compose.service";
/// Label in which Compose writes down what a container waits for.
const DEPENDS: &str = "com.docker.compose.depends_on";
/// Prefix of the labels that Compose adds by itself.
const COMPOSE: &str = "com.docker.compose.";

/// What an engine says of one bottle.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Containers of the project, and strangers in its networks.
    pub containers: Vec<Container>,
    /// Networks that the plan names or that the containers are in.
    pub networks: Vec<Network>,
    /// Named volumes that are mounted.
    pub volumes: Vec<Volume>,
    /// What images say, by id.
    pub images: BTreeMap<String, ImageConfig>,
    /// Ids of images by the references that are in use now.
    pub ids: BTreeMap<String, String>,
    /// Defaults of the engine.
    pub engine: Engine,
    /// What the processes of a container show, by the container's id.
    pub observed: BTreeMap<String, Observed>,
}

impl Scene {
    /// Whether daemons run merged.
    #[must_use]
    pub fn merged(&self, project: &str) -> bool {
        self.containers.iter().any(|container| container.service(project) == Some("sidecars"))
    }

    /// Names of running containers that could not be looked into.
    pub fn unseen(&self) -> impl Iterator<Item = &str> {
        self.containers.iter().filter(|container| self.blind(container)).map(Container::name)
    }

    fn blind(&self, container: &Container) -> bool {
        let Some(observed) = self.observed.get(&container.id) else { return false };
        let first = observed.processes.iter().find(|process| process.pid == container.state.pid);
        let read = first.is_some_and(|process| process.argv.is_some() && process.variables.is_some());
        observed.mounts.is_none() || !read
    }
}

/// Names in Compose's own labels are no labels of anybody.
fn labels(all: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = (&String, &String)> {
    all.into_iter().flatten().filter(|(name, _)| !name.starts_with(COMPOSE))
}

/// Key of a network or volume in a document, by its name in the engine; one that no document declares keeps its name.
fn key<'a>(
    resources: impl Iterator<Item = (&'a String, &'a bottle_model::compose::Resource)>,
    compose: &Compose,
    name: &'a str,
) -> &'a str {
    let project = compose.project.as_deref().unwrap_or_default();
    for (key, resource) in resources {
        let found = match &resource.name {
            Some(own) => own == name,
            None if resource.external => key == name,
            None => name.strip_prefix(project).and_then(|rest| rest.strip_prefix('_')) == Some(key),
        };
        if found {
            return key;
        }
    }
    name
}

/// A setting of a document as a text.
fn text<'a>(settings: &'a BTreeMap<String, Setting>, name: &str) -> Option<&'a str> {
    match settings.get(name) {
        Some(Setting::Text(text)) => Some(text),
        _ => None,
    }
}
