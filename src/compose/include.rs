//! `include`: projects of their own whose resources become part of this one (compose-spec, "include").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bottle_model::compose::Port;

use super::budget::Budget;
use super::load::{Loader, Unit, folder_of};
use super::ports;
use super::tree::{Failure, Mark, Node, Tree, Value};

/// Includes within includes deeper than this are refused.
const DEPTH: usize = 16;

/// Adds what a document includes.
pub(super) fn apply(
    loader: &mut Loader<'_>,
    document: &mut Tree,
    path: &Path,
    unit: &Unit,
) -> Result<(), Failure> {
    let Some(includes) = document.as_map_mut().and_then(|map| map.shift_remove("include")) else {
        return Ok(());
    };
    let fail = |mark: Mark, message: &str| Failure {
        mark,
        place: "include".to_owned(),
        message: message.to_owned(),
    };
    let Value::List(includes) = includes.value else {
        return Err(fail(includes.mark, "has to be a list"));
    };
    if unit.trail.len() >= DEPTH {
        let mark = includes.first().map(|include| include.mark).unwrap_or_default();
        return Err(fail(mark, &format!("includes are more than {DEPTH} deep")));
    }
    for include in includes {
        let mark = include.mark;
        let Value::Map(map) = &include.value else {
            return Err(fail(mark, "has to be a string or a map"));
        };
        if let Some(key) =
            map.keys().find(|key| !matches!(key.as_str(), "path" | "env_file" | "project_directory"))
        {
            return Err(fail(mark, &format!("{key} is not known here")));
        }
        let texts = |key: &str| texts(&include, key).map_err(|message| fail(mark, &message));
        let base = loader.base(&unit.folder);
        let files: Vec<PathBuf> =
            texts("path")?.into_iter().map(|file| PathBuf::from(base.path(file))).collect();
        let Some(first) = files.first() else { return Err(fail(mark, "has no path")) };
        let folder = match texts("project_directory")?.as_slice() {
            [] => folder_of(first),
            [folder, ..] => base.path(folder),
        };
        let env_files: Vec<String> = texts("env_file")?.into_iter().map(|file| base.path(file)).collect();
        let mut trail = unit.trail.clone();
        trail.push(path.to_owned());
        if trail.contains(first) {
            let way: Vec<String> =
                trail.iter().chain([first]).map(|path| path.display().to_string()).collect();
            return Err(fail(mark, &format!("leads round in a circle: {}", way.join(" → "))));
        }
        let env = if env_files.is_empty() {
            loader.more_env(&unit.env, &[format!("{folder}/.env")], false)?
        } else {
            loader.more_env(&unit.env, &env_files, true)?
        };
        let mut parsed = Vec::with_capacity(files.len());
        for file in &files {
            parsed.push(loader.parse(file)?);
        }
        let project = loader.merged(parsed, &Unit { folder, env: env.clone(), trail })?;
        let set = |name: &&str| loader.variable(&env, name).is_some();
        if let Some(name) = environments(&project).find(set) {
            let why =
                format!("has a config with the content of {name}, which Compose refuses in an included file");
            return Err(fail(mark, &why));
        }
        if let Some(port) = spelt_twice(&project, &mut loader.budget) {
            let why =
                format!("publishes {port} twice in two spellings, which Compose refuses in an included file");
            return Err(fail(mark, &why));
        }
        import(document, project, mark)?;
    }
    Ok(())
}

/// Variables that are the content of a config.
fn environments(project: &Tree) -> impl Iterator<Item = &str> {
    let configs = project.get("configs").and_then(Tree::as_map).into_iter();
    configs.flat_map(|configs| configs.values()).filter_map(|config| config.get("environment")?.as_text())
}

/// A port that a service publishes in two spellings; what is spelt alike counts once.
fn spelt_twice(project: &Tree, budget: &mut Budget) -> Option<u16> {
    let services = project.get("services").and_then(Tree::as_map).into_iter();
    for list in services.flat_map(|services| services.values()).filter_map(|service| service.get("ports")) {
        let Value::List(items) = &list.value else { continue };
        let mut known: BTreeMap<Vec<Port>, &Tree> = BTreeMap::new();
        for item in items {
            let mut found = Vec::new();
            // What cannot be read is refused where the whole is read.
            if ports::read(&Node::root(item), budget, &mut found).is_err() {
                continue;
            }
            let ports: Vec<Port> = found.into_iter().map(|(port, _)| port).collect();
            let target = ports.first().map(|port| port.target);
            if known.insert(ports, item).is_some_and(|earlier| earlier != item) {
                return target;
            }
        }
    }
    None
}

/// A string, or a list of strings.
fn texts<'t>(include: &'t Tree, key: &str) -> Result<Vec<&'t str>, String> {
    let strings = match include.get(key).map(|node| &node.value) {
        None => Some(Vec::new()),
        Some(Value::Text(text)) => Some(vec![text.as_str()]),
        Some(Value::List(items)) => items.iter().map(Tree::as_text).collect(),
        _ => None,
    };
    strings.ok_or_else(|| format!("{key} has to be a string or a list of strings"))
}

/// Takes over resources; the same name for two different ones is a conflict.
fn import(document: &mut Tree, included: Tree, mark: Mark) -> Result<(), Failure> {
    let Value::Map(included) = included.value else { return Ok(()) };
    let Some(document) = document.as_map_mut() else { return Ok(()) };
    for (section, resources) in *included {
        if !matches!(section.as_str(), "services" | "volumes" | "networks" | "secrets" | "configs" | "models")
        {
            continue;
        }
        let own = document.entry(section.clone()).or_insert_with(|| Tree::map([], resources.mark));
        let (Some(own), Value::Map(resources)) = (own.as_map_mut(), resources.value) else { continue };
        for (name, resource) in *resources {
            match own.get(&name) {
                Some(known) if *known != resource => {
                    return Err(Failure {
                        mark,
                        place: format!("{section}.{name}"),
                        message: "is included, and stands in this file too".to_owned(),
                    });
                }
                Some(_) => {}
                None => {
                    own.insert(name, resource);
                }
            }
        }
    }
    Ok(())
}
