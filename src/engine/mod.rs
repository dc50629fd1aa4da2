//! Asks an engine what it runs, through the docker command, and the kernel where the engine is on this machine.

mod docker;
mod proc;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bottle_model::compose::Compose;
use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::running::inspect::{Container, Image, ImageConfig, MountPoint};
use crate::running::{PROJECT, Scene};
use docker::Docker;

/// Why an engine could not be asked.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct EngineError {
    message: String,
    hint: Option<String>,
}

impl EngineError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<EngineError> for Diagnostic {
    fn from(error: EngineError) -> Self {
        Self { hint: error.hint, ..Self::new(error.message) }
    }
}

/// Asks the engine about the bottle that a document describes; all queries together may take as long as `limit`.
///
/// # Errors
///
/// The docker command is missing or fails, the engine runs no such bottle, or the time is up.
pub fn scene(asked: &Compose, limit: Duration) -> Result<Scene, EngineError> {
    let docker = Docker::within(limit);
    let project = asked.project.as_deref().unwrap_or_default();
    let own = format!("label={PROJECT}={project}");
    let ids = docker.lines(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &own])?;
    if ids.is_empty() {
        return Err(EngineError::new(format!(
            "there is no such bottle: the engine has no container of {project}"
        ))
        .hint(
            "`docker compose ls --all` lists the projects of an engine; DOCKER_HOST names another engine",
        ));
    }
    let containers = docker.inspect(&["inspect", "--type", "container"], &ids)?;
    let mut scene = Scene { containers, ..Scene::default() };
    scene.engine = docker.one(&["info", "--format", "{{json .}}"])?;
    networks(&docker, &mut scene, asked)?;
    let volume = |point: &&MountPoint| point.kind == "volume";
    let points = scene.containers.iter().flat_map(|container| container.mounts.iter().flatten());
    let names: BTreeSet<&String> = points.filter(volume).map(|point| &point.name).collect();
    scene.volumes = docker.inspect(&["volume", "inspect"], &names)?;
    images(&docker, &mut scene, asked);
    for container in scene.containers.iter().filter(|container| container.state.running) {
        let mut observed =
            proc::observe(container, || docker.run(&["top", &container.id, "-eo", "pid,ppid,uid"]));
        if container.service(project) == Some("sidecars") {
            let status = docker.run(&["exec", &container.id, "sidecar-init", "status", "--json"]);
            observed.init = Some(status.map_err(|problem| problem.message).and_then(|text| {
                serde_json::from_str(&text).map_err(|error| format!("the status is not valid JSON: {error}"))
            }));
        }
        scene.observed.insert(container.id.clone(), observed);
    }
    docker.in_time()?;
    Ok(scene)
}

/// What images say by default, of those that the engine has.
///
/// # Errors
///
/// The docker command is missing or fails, or the time is up.
pub fn image_configs<'a>(
    references: impl IntoIterator<Item = &'a str>,
    limit: Duration,
) -> Result<BTreeMap<String, ImageConfig>, EngineError> {
    let docker = Docker::within(limit);
    docker.run(&["version", "--format", "{{.Server.Version}}"])?;
    let mut found = BTreeMap::new();
    for reference in references {
        // An image that the engine does not have says nothing.
        if let Ok(image) = docker.one::<Image>(&["image", "inspect", "--format", "{{json .}}", reference]) {
            found.insert(reference.to_owned(), image.config.unwrap_or_default());
        }
    }
    docker.in_time()?;
    Ok(found)
}

/// Networks of the plan and of the containers, and who else is in those that are the bottle's own.
fn networks(docker: &Docker, scene: &mut Scene, asked: &Compose) -> Result<(), EngineError> {
    let there: BTreeSet<String> =
        docker.lines(&["network", "ls", "--format", "{{.Name}}"])?.into_iter().collect();
    let project = asked.project.as_deref().unwrap_or_default();
    let name =
        |key: &String, name: &Option<String>| name.clone().unwrap_or_else(|| format!("{project}_{key}"));
    let own: BTreeSet<String> = asked
        .networks
        .iter()
        .filter(|(_, network)| !network.external)
        .map(|(key, network)| name(key, &network.name))
        .collect();
    let attached =
        scene.containers.iter().flat_map(|container| container.network_settings.networks.iter().flatten());
    let mut names: BTreeSet<String> = attached.map(|(name, _)| name.clone()).collect();
    names.extend(asked.networks.iter().map(|(key, network)| name(key, &network.name)));
    // A namespace that is shared is no network.
    names.retain(|name| there.contains(name) && !matches!(name.as_str(), "host" | "none"));
    scene.networks = docker.inspect(&["network", "inspect"], &names)?;
    let known: BTreeSet<&String> = scene.containers.iter().map(|container| &container.id).collect();
    let members = scene.networks.iter().filter(|network| own.contains(&network.name));
    let strangers: BTreeSet<String> = members
        .flat_map(|network| network.containers.iter().flatten())
        .map(|(id, _)| id.clone())
        .filter(|id| !known.contains(id))
        .collect();
    scene.containers.extend(docker.inspect::<Container>(&["inspect", "--type", "container"], &strangers)?);
    Ok(())
}

/// Images that run, and those that the references of the plan name now.
fn images(docker: &Docker, scene: &mut Scene, asked: &Compose) {
    let used: BTreeSet<&String> = scene.containers.iter().map(|container| &container.image).collect();
    let references = asked.services.values().filter_map(|service| service.image.as_ref());
    let references: BTreeSet<&String> =
        references.chain(scene.containers.iter().map(|container| &container.config.image)).collect();
    let mut found = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for reference in used.into_iter().chain(references) {
        // An image that has been removed since says nothing.
        let Ok(image) = docker.one::<Image>(&["image", "inspect", "--format", "{{json .}}", reference])
        else {
            continue;
        };
        ids.insert(reference.clone(), image.id.clone());
        found.insert(image.id, image.config.unwrap_or_default());
    }
    (scene.images, scene.ids) = (found, ids);
}
