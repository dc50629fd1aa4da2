//! A bottle as it runs, and as its plan would have it on this engine: two documents of one kind.

use bottle_model::compose::Compose;

use super::inspect::Container;
use super::{Scene, container, image, network};
use crate::compose::{Document, Unmodelled, remove_defaults};

/// The document that a plan renders, with what its images say by default on this engine.
///
/// `known` names the services of which the checker knows what their images have to run.
#[must_use]
pub fn expected(mut compose: Compose, scene: &Scene, known: impl Fn(&str) -> bool) -> Compose {
    let project = compose.project.clone().unwrap_or_default();
    for (name, service) in &mut compose.services {
        let reference = service.image.as_deref().unwrap_or_default();
        let found = running(scene, &project).find(|container| container.service(&project) == Some(name));
        let own = found.filter(|container| container.config.image == reference);
        let id = own.map(|container| &container.image).or_else(|| scene.ids.get(reference));
        if let Some(image) = id.and_then(|id| scene.images.get(id)) {
            image::complete(service, image, known(name));
        }
    }
    compose
}

/// Containers of the bottle that run.
fn running<'a>(scene: &'a Scene, project: &'a str) -> impl Iterator<Item = &'a Container> {
    let alive = |container: &&Container| container.state.running && !container.state.paused;
    scene.containers.iter().filter(alive).filter(move |container| container.service(project).is_some())
}

/// What runs, as a document; `asked` is what the plan renders, and settles keys and spelling alone.
#[must_use]
pub fn document(scene: &Scene, asked: &Compose) -> Document {
    let project = asked.project.clone().unwrap_or_default();
    let mut compose = Compose { project: Some(project.clone()), ..Compose::default() };
    for found in &scene.networks {
        let key = super::key(asked.networks.iter(), asked, &found.name);
        compose.networks.insert(key.to_owned(), network::network(found, asked.networks.get(key)));
    }
    for found in &scene.volumes {
        let key = super::key(asked.volumes.iter(), asked, &found.name);
        compose.volumes.insert(key.to_owned(), network::volume(found, asked.volumes.get(key)));
    }
    let mut unmodelled = Vec::new();
    let alive =
        scene.containers.iter().filter(|container| container.state.running && !container.state.paused);
    for found in alive {
        let own = found.service(&project);
        let name = match own {
            Some(service) if !compose.services.contains_key(service) => service.to_owned(),
            _ => format!("container {}", found.name()),
        };
        let asked = own.and_then(|service| asked.services.get(service));
        let (service, unknown) = container::service(found, &name, asked, &compose, scene);
        unmodelled.extend(unknown.into_iter().map(|attribute| Unmodelled {
            service: name.clone(),
            place: format!("services.{name}.{attribute}"),
            attribute,
        }));
        compose.services.insert(name, service);
    }
    // A document's order is its reader's convenience: the plan's.
    let place = |name: &String| asked.services.get_index_of(name).unwrap_or(usize::MAX);
    compose.services.sort_by(|a, _, b, _| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    remove_defaults(&mut compose);
    Document { compose, unmodelled, unresolved: Vec::new() }
}
