//! Asks an engine what it runs, through the docker command, and the kernel where the engine is on this machine.

mod proc;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::{Command, Output, Stdio};

use bottle_model::compose::Compose;
use serde::de::DeserializeOwned;

use super::failure::Problem;
use super::pipeline::Scene;
use crate::running::inspect::{Container, Image, MountPoint};
use crate::running::{PROJECT, process};

/// Everything that an engine tells of the bottle that a document describes.
pub(super) fn scene(asked: &Compose) -> Result<Scene, Problem> {
    let project = asked.project.as_deref().unwrap_or_default();
    let ids =
        lines(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &format!("label={PROJECT}={project}")])?;
    if ids.is_empty() {
        return Err(Problem::new(format!(
            "there is no such bottle: the engine has no container of {project}"
        ))
        .hint(
            "`docker compose ls --all` lists the projects of an engine; DOCKER_HOST names another engine",
        ));
    }
    let mut scene =
        Scene { containers: inspect(&["inspect", "--type", "container"], &ids)?, ..Scene::default() };
    scene.engine = one(&["info", "--format", "{{json .}}"])?;
    networks(&mut scene, asked)?;
    let volume = |point: &&MountPoint| point.kind == "volume";
    let points = scene.containers.iter().flat_map(|container| container.mounts.iter().flatten());
    let names: BTreeSet<&String> = points.filter(volume).map(|point| &point.name).collect();
    scene.volumes = inspect(&["volume", "inspect"], &names)?;
    images(&mut scene, asked);
    for container in scene.containers.iter().filter(|container| container.state.running) {
        let mut observed = proc::observe(container, || run(&["top", &container.id, "-eo", "pid,ppid,uid"]));
        if container.service(project) == Some("sidecars") {
            let status = run(&["exec", &container.id, "sidecar-init", "status", "--json"]);
            observed.init = Some(status.map_err(|problem| problem.message).and_then(|text| {
                serde_json::from_str(&text).map_err(|error| format!("its answer is none: {error}"))
            }));
        }
        scene.observed.insert(container.id.clone(), observed);
    }
    Ok(scene)
}

/// Networks of the plan and of the containers, and who else is in those that are the bottle's own.
fn networks(scene: &mut Scene, asked: &Compose) -> Result<(), Problem> {
    let there: BTreeSet<String> = lines(&["network", "ls", "--format", "{{.Name}}"])?.into_iter().collect();
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
    scene.networks = inspect(&["network", "inspect"], &names)?;
    let known: BTreeSet<&String> = scene.containers.iter().map(|container| &container.id).collect();
    let members = scene.networks.iter().filter(|network| own.contains(&network.name));
    let strangers: BTreeSet<String> = members
        .flat_map(|network| network.containers.iter().flatten())
        .map(|(id, _)| id.clone())
        .filter(|id| !known.contains(id))
        .collect();
    scene.containers.extend(inspect::<Container>(&["inspect", "--type", "container"], &strangers)?);
    Ok(())
}

/// Images that run, and those that the references of the plan name now.
fn images(scene: &mut Scene, asked: &Compose) {
    let used: BTreeSet<&String> = scene.containers.iter().map(|container| &container.image).collect();
    let references = asked.services.values().filter_map(|service| service.image.as_ref());
    let references: BTreeSet<&String> =
        references.chain(scene.containers.iter().map(|container| &container.config.image)).collect();
    let mut found = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for reference in used.into_iter().chain(references) {
        // An image that has been removed since says nothing.
        let Ok(image) = one::<Image>(&["image", "inspect", "--format", "{{json .}}", reference]) else {
            continue;
        };
        ids.insert(reference.clone(), image.id.clone());
        found.insert(image.id, image.config.unwrap_or_default());
    }
    (scene.images, scene.ids) = (found, ids);
}

/// What `docker inspect` says of some things at once.
fn inspect<T: DeserializeOwned>(
    verb: &[&str],
    names: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<T>, Problem> {
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let words: Vec<&str> = verb.iter().copied().chain(names.iter().map(AsRef::as_ref)).collect();
    one(&words)
}

fn one<T: DeserializeOwned>(words: &[&str]) -> Result<T, Problem> {
    let text = run(words)?;
    serde_json::from_str(&text)
        .map_err(|error| Problem::new(format!("docker {} says what is not understood: {error}", words[0])))
}

fn lines(words: &[&str]) -> Result<Vec<String>, Problem> {
    Ok(run(words)?.lines().map(str::to_owned).collect())
}

/// Output of the docker command, which finds the engine as it always does.
fn run(words: &[&str]) -> Result<String, Problem> {
    let output = Command::new("docker").args(words).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::new("the docker command is not installed")
            .hint("`diff --running` asks the engine through it"),
        _ => Problem::new(format!("the docker command cannot be run: {error}")),
    })?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
        return Err(Problem::new(format!("docker {} failed: {}", words[0], said.trim()))
            .hint("DOCKER_HOST names the engine; is it up, and may you talk to it?"));
    }
    String::from_utf8(stdout).map_err(|_| Problem::new(format!("docker {} says what is no text", words[0])))
}
