//! From a merged tree to a document: profiles, resources, and where everything stands.

use std::collections::BTreeSet;

use bottle_model::compose::{Compose, Resource, Setting, Source};
use indexmap::IndexMap;

use super::load::{Loader, Unit};
use super::tree::{Failure, Mark, Node, Tree, Value};
use super::{Document, Sources, consistency, defaults, service, value};

/// Reads a merged and unfolded document.
pub(super) fn document(
    tree: Tree,
    mut loader: Loader<'_>,
    unit: &Unit,
) -> Result<(Document, Sources), (Failure, Vec<String>)> {
    match read(&tree, &mut loader, unit) {
        Ok((mut document, marks)) => {
            document.unresolved = loader.unresolved;
            Ok((document, Sources::new(loader.files, tree, marks)))
        }
        Err(failure) => Err((failure, loader.files)),
    }
}

/// Where the mounts and the ports of each service stand.
pub(super) type Marks = IndexMap<String, [Vec<Mark>; 2]>;

fn read(tree: &Tree, loader: &mut Loader<'_>, unit: &Unit) -> Result<(Document, Marks), Failure> {
    let root = Node::root(tree);
    let mut document = Document::default();
    if tree.get("services").is_none() && matches!(&tree.value, Value::Map(map) if map.is_empty()) {
        return Err(root.fail("is empty"));
    }
    document.unmodelled = std::mem::take(&mut loader.unmodelled).into_iter().collect();
    if root.get("services").is_none() {
        return Err(root.fail("is not a compose file: it has no services"));
    }
    for section in ["services", "networks", "volumes", "configs", "secrets", "models"] {
        let Some(node) = root.get(section) else { continue };
        for (name, entry) in node.entries()? {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.is_empty() || !name.chars().all(fits) {
                return Err(entry.fail("has a name with other than letters, digits, `.`, `_` and `-`"));
            }
        }
    }
    let mut compose = Compose { project: loader.project.clone(), ..Compose::default() };
    let mut marks = Marks::new();
    let profiles = loader.profiles(&unit.env);
    if let Some(services) = root.get("services") {
        for (name, node) in services.entries()? {
            let active = on(&node, &profiles)?;
            // What is off has to be right, too.
            let read = service::read(&node, loader, unit, active)?;
            if active {
                compose.services.insert(name.to_owned(), read.service);
                marks.insert(name.to_owned(), [read.mounts, read.ports]);
            }
        }
        consistency::check(&root, &services, &compose.services)?;
    }
    for (section, into) in [
        ("networks", &mut compose.networks),
        ("volumes", &mut compose.volumes),
        ("configs", &mut compose.configs),
        ("secrets", &mut compose.secrets),
        ("models", &mut compose.models),
    ] {
        if let Some(node) = root.get(section) {
            *into = resources(&node, section, loader)?;
        }
    }
    unused(&mut compose);
    ungranted(&mut compose);
    defaults::remove(&mut compose);
    document.compose = compose;
    Ok((document, marks))
}

/// Whether a service belongs to no profile, or to one that is on.
fn on(service: &Node<'_>, profiles: &BTreeSet<String>) -> Result<bool, Failure> {
    let Some(node) = service.get("profiles") else { return Ok(true) };
    let own = node.texts()?;
    Ok(own.is_empty() || profiles.contains("*") || own.iter().any(|name| profiles.contains(name)))
}

/// Compose creates only what an active service uses.
fn unused(compose: &mut Compose) {
    let mut used: [BTreeSet<String>; 5] = Default::default();
    for service in compose.services.values() {
        used[0].extend(service.networks.keys().cloned());
        if service.networks.is_empty() && !service.settings.contains_key("network_mode") {
            used[0].insert("default".to_owned());
        }
        for mount in &service.mounts {
            match &mount.source {
                Source::Volume(name) => used[1].insert(name.clone()),
                Source::Config(name) => used[2].insert(name.clone()),
                Source::Secret(name) => used[3].insert(name.clone()),
                _ => false,
            };
        }
        if let Some(Setting::Map(models)) = service.settings.get("models") {
            used[4].extend(models.keys().cloned());
        }
        if let Some(Setting::Map(build)) = service.settings.get("build") {
            let secrets =
                build.iter().filter(|(path, _)| path.starts_with("secrets.") && path.ends_with(".source"));
            used[3].extend(secrets.map(|(_, name)| name.clone()));
        }
    }
    let Compose { networks, volumes, configs, secrets, models, .. } = &mut *compose;
    let kinds = [networks, volumes, configs, secrets, models];
    for (resources, used) in kinds.into_iter().zip(used) {
        resources.retain(|name, _| used.contains(name));
    }
    if compose.networks.get("default") == Some(&Resource::default()) {
        compose.networks.shift_remove("default");
    }
}

/// The engine mounts a file as it is: Compose ignores whose it shall be and its mode.
fn ungranted(compose: &mut Compose) {
    let (configs, secrets) = (&compose.configs, &compose.secrets);
    let file = |resource: Option<&Resource>| {
        resource.is_some_and(|resource| !resource.external && resource.settings.contains_key("file"))
    };
    for mount in compose.services.values_mut().flat_map(|service| &mut service.mounts) {
        let is_file = match &mount.source {
            Source::Config(name) => file(configs.get(name)),
            Source::Secret(name) => file(secrets.get(name)),
            _ => false,
        };
        if is_file {
            mount.options.clear();
        }
    }
}

fn resources(
    node: &Node<'_>,
    section: &str,
    loader: &Loader<'_>,
) -> Result<IndexMap<String, Resource>, Failure> {
    let mut resources = IndexMap::new();
    for (name, node) in node.entries()? {
        let mut resource = resource(&node, name, section, loader)?;
        let contents: &[&str] = match section {
            "configs" => &["file", "environment", "content"],
            "secrets" => &["file", "environment"],
            _ => &[],
        };
        let given = contents.iter().filter(|key| resource.settings.contains_key(**key)).count();
        if given > 1 {
            return Err(node.fail(format!("has more than one of {}", contents.join(", "))));
        }
        let blank = |key: &&str| resource.settings.get(*key).is_some_and(String::is_empty);
        if ["file", "environment"].iter().any(blank) {
            return Err(node.fail("has an empty file or environment"));
        }
        if !contents.is_empty() && given == 0 && !resource.external {
            return Err(node.fail(format!("needs one of {}", contents.join(", "))));
        }
        if resource.external {
            // What exists already stays as it is.
            resource.internal = false;
            resource.settings.clear();
        }
        resources.insert(name.to_owned(), resource);
    }
    Ok(resources)
}

fn resource(node: &Node<'_>, key: &str, section: &str, loader: &Loader<'_>) -> Result<Resource, Failure> {
    let mut resource = Resource::default();
    for (name, node) in node.plain()? {
        match name {
            "context_size" => {
                resource.settings.insert(name.to_owned(), node.integer()?.to_string());
            }
            "runtime_flags" => value::leaves(&node, name, &mut resource.settings)?,
            "name" if section == "models" => {
                resource.settings.insert(name.to_owned(), node.text()?.to_owned());
            }
            "name" => resource.name = Some(node.text()?.to_owned()).filter(|name| !name.is_empty()),
            "internal" => resource.internal = node.boolean()?,
            "external" => resource.external = node.boolean()?,
            "attachable" | "enable_ipv6" => {
                if node.boolean()? {
                    resource.settings.insert(name.to_owned(), "true".to_owned());
                }
            }
            "enable_ipv4" => {
                resource.settings.insert(name.to_owned(), node.boolean()?.to_string());
            }
            "driver" if node.tree.as_text() == Some("") => {}
            _ if matches!(node.tree.value, Value::Map(_)) => {
                value::leaves(&node, name, &mut resource.settings)?;
            }
            _ => {
                resource.settings.insert(name.to_owned(), value::text_or_empty(&node)?);
            }
        }
    }
    if resource.external {
        let own = |key: &&str| !matches!(*key, "name" | "external");
        if section == "volumes"
            && let Some(key) = node.plain()?.map(|(key, _)| key).find(own)
        {
            return Err(node.fail(format!("is external and has {key}, which Compose refuses")));
        }
    }
    if section == "models" {
        resource
            .settings
            .retain(|name, value| !(value.is_empty() || (name == "context_size" && value == "0")));
        return Ok(resource);
    }
    let derived = match (&loader.project, resource.external) {
        (_, true) => Some(key.to_owned()),
        (Some(project), false) => Some(format!("{project}_{key}")),
        (None, false) => None,
    };
    // A name that Compose would give too says nothing.
    if resource.name == derived {
        resource.name = None;
    }
    Ok(resource)
}
