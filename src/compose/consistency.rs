//! What the active services of a project have to be for each other, whatever each is for itself.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Service;
use indexmap::IndexMap;

use super::tree::{Failure, Node, Tree, Value};

type Services = IndexMap<String, Service>;

/// Attributes that make a service depend on the one that they name.
const IMPLYING: [&str; 6] = ["links", "network_mode", "ipc", "pid", "uts", "volumes_from"];

/// Checks the active services against each other and against what the document declares; `all` has the services that
/// are off as well.
pub(super) fn check(document: &Node<'_>, all: &Node<'_>, active: &Services) -> Result<(), Failure> {
    let mut containers: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in active {
        let Some(node) = all.get(name) else { continue };
        if service.image.is_none() && node.get("build").is_none() && node.get("provider").is_none() {
            return Err(node.fail("has neither an image nor a build"));
        }
        declared(document, &node)?;
        platform(&node)?;
        for (other, dependency) in &service.depends_on {
            let off = all.get(other).is_some();
            if active.contains_key(other) || (off && !dependency.required) {
                continue;
            }
            let why = if off { "which no active profile has" } else { "and there is no such service" };
            return Err(depending(&node, other, format!("names {other}, {why}")));
        }
        let Some(container) = service.container_name.as_deref() else { continue };
        if let Some(first) = containers.insert(container, name) {
            let message = format!("is {container}, as {first}'s is");
            return Err(node
                .get("container_name")
                .map_or_else(|| node.fail(&message), |node| node.fail(&message)));
        }
    }
    let mut circle = cycle(active);
    let (Some(first), Some(last)) = (circle.first().copied(), circle.last()) else { return Ok(()) };
    let Some(node) = all.get(last) else { return Ok(()) };
    circle.push(first);
    Err(depending(&node, first, format!("closes a circle of services that wait: {}", circle.join(" → "))))
}

/// A failure where a service says that it depends on another.
fn depending(service: &Node<'_>, other: &str, message: String) -> Failure {
    if let Some(written) = service.get("depends_on")
        && let Some(entry) = written.get(other)
    {
        return entry.fail(message);
    }
    let fits = |text: &str| text.strip_prefix("service:").unwrap_or(text).split(':').next() == Some(other);
    for attribute in IMPLYING {
        let Some(written) = service.get(attribute) else { continue };
        let items = written.texts().unwrap_or_default();
        if written.tree.as_text().is_some_and(fits) || items.iter().any(|item| fits(item)) {
            return written.fail(message);
        }
    }
    service.fail(message)
}

/// Refuses names of networks, volumes, configs, secrets and models that the document does not declare.
fn declared(document: &Node<'_>, service: &Node<'_>) -> Result<(), Failure> {
    let check = |section: &str, kind: &str, name: &str, node: &Node<'_>| {
        let known = document.get(section).is_some_and(|section| section.tree.get(name).is_some());
        if known || (section, name) == ("networks", "default") {
            return Ok(());
        }
        Err(node.fail(format!("names the {kind} {name}, and the file declares no such {kind}")))
    };
    for (section, kind) in [("networks", "network"), ("models", "model")] {
        let Some(named) = service.get(section) else { continue };
        named.entries()?.try_for_each(|(name, node)| check(section, kind, name, &node))?;
    }
    let volumes = service.get("volumes");
    for mount in volumes.as_ref().map(|node| node.items()).transpose()?.into_iter().flatten() {
        let text = |key| mount.tree.get(key).and_then(Tree::as_text).filter(|text| !text.is_empty());
        if let (Some("volume"), Some(name)) = (text("type"), text("source")) {
            check("volumes", "volume", name, &mount)?;
        }
    }
    let build = service.get("build");
    let build_secrets = build.as_ref().and_then(|build| build.get("secrets"));
    for (section, kind, list) in [
        ("secrets", "secret", build_secrets),
        ("configs", "config", service.get("configs")),
        ("secrets", "secret", service.get("secrets")),
    ] {
        for item in list.as_ref().map(|node| node.items()).transpose()?.into_iter().flatten() {
            let name = item.tree.get("source").and_then(Tree::as_text).unwrap_or_default();
            check(section, kind, name, &item)?;
        }
    }
    Ok(())
}

/// A service that is built for certain platforms has to run on one of them.
fn platform(service: &Node<'_>) -> Result<(), Failure> {
    let text = service.tree.get("platform").and_then(Tree::as_text).filter(|text| !text.is_empty());
    let built = service.tree.get("build").and_then(|build| build.get("platforms"));
    let (Some(platform), Some(Value::List(built))) = (text, built.map(|built| &built.value)) else {
        return Ok(());
    };
    if built.is_empty() || built.iter().any(|item| item.as_text() == Some(platform)) {
        return Ok(());
    }
    Err(service.fail(format!("runs on the platform {platform}, which build.platforms does not name")))
}

/// Services that wait for each other in a circle, each for the next and the last for the first; empty: none do.
fn cycle(services: &Services) -> Vec<&str> {
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    let mut awaited: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut free: Vec<&str> = Vec::new();
    for (name, service) in services {
        let on = service.depends_on.keys().filter(|other| services.contains_key(*other));
        let count = on.map(|other| awaited.entry(other).or_default().push(name)).count();
        waiting.insert(name, count);
        free.extend((count == 0).then_some(name.as_str()));
    }
    while let Some(name) = free.pop() {
        waiting.remove(name);
        for other in awaited.get(name).into_iter().flatten() {
            let Some(count) = waiting.get_mut(other) else { continue };
            *count -= 1;
            free.extend((*count == 0).then_some(*other));
        }
    }
    // Each of those that are left waits for one of them.
    let next =
        |name: &str| services[name].depends_on.keys().find(|other| waiting.contains_key(other.as_str()));
    let mut path: Vec<&str> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut here = services.keys().find(|name| waiting.contains_key(name.as_str()));
    while let Some(name) = here {
        if !seen.insert(name) {
            let start = path.iter().position(|other| other == name).unwrap_or_default();
            return path.split_off(start);
        }
        path.push(name);
        here = next(name);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use crate::compose::read_text;

    #[test]
    fn what_services_cannot_be_for_each_other_is_told_with_its_place() {
        let off = "  off: {image: i, profiles: [p]}\n";
        for (body, message) in [
            ("  a: {user: x}\n", "2:3: services.a has neither an image nor a build"),
            (
                "  a:\n    image: i\n    depends_on:\n    - absent\n",
                "5:7: services.a.depends_on.absent names absent, and there is no such service",
            ),
            (
                "  a:\n    image: i\n    links: ['absent:alias']\n",
                "4:5: services.a.links names absent, and there is no such service",
            ),
            (
                "  a:\n    image: i\n    network_mode: service:off\n",
                "4:5: services.a.network_mode names off, which no active profile has",
            ),
            (
                "  a: {image: i, depends_on: [b]}\n  b: {image: i, volumes_from: [c]}\n  c:\n    image: i\n    links: [b]\n",
                "6:5: services.c.links closes a circle of services that wait: b → c → b",
            ),
            (
                "  a: {image: i, container_name: one}\n  b:\n    image: i\n    container_name: one\n",
                "5:5: services.b.container_name is one, as a's is",
            ),
        ] {
            let error = read_text(&format!("services:\n{body}{off}"), &|_| None).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn what_is_off_may_be_missing_where_it_is_not_required() {
        let text = "services:\n  a:\n    image: i\n    depends_on: {off: {condition: service_started, required: false}}\n  \
                    off: {profiles: [p], depends_on: [off], container_name: one}\n  b: {build: ., container_name: one}\n";
        assert!(read_text(text, &|_| None).is_ok());
    }
}
