//! `cargo build` in a build stage: the crates that it needs have to be copied there.

use std::collections::BTreeSet;

use super::context::join;
use super::stage::{Stage, absolute};

/// Checks that a build finds its sources; `false`: the command is not understood.
///
/// What it makes is not known, so that files from it are [`super::Origin::Built`].
pub(super) fn build(stage: &mut Stage<'_>, arguments: &[&str], line: usize) -> bool {
    match arguments {
        ["build", options @ ..] => {
            let root = stage.absolute(".");
            let root = if root == "/" { String::new() } else { root };
            let named =
                options.windows(2).find(|pair| matches!(pair[0], "-p" | "--package")).map(|pair| pair[1]);
            let locked = options.iter().any(|option| matches!(*option, "--locked" | "--frozen"));
            if locked {
                require(stage, &format!("{root}/Cargo.lock"), line);
            }
            let manifest = format!("{root}/Cargo.toml");
            if require(stage, &manifest, line) {
                crates(stage, &root, named, line);
            }
            true
        }
        ["update" | "fetch" | "--version", ..] => true,
        _ => false,
    }
}

fn require(stage: &mut Stage<'_>, path: &str, line: usize) -> bool {
    let found = stage.facts.paths.contains_key(path);
    if !found {
        stage.facts.missing.insert((line, format!("{path}, which cargo build needs")));
    }
    found
}

/// Follows the path dependencies of the package that is built.
fn crates(stage: &mut Stage<'_>, root: &str, named: Option<&str>, line: usize) {
    let manifest = |stage: &Stage<'_>, folder: &str| {
        stage.text_of(&format!("{folder}/Cargo.toml")).and_then(|text| text.parse::<toml::Table>().ok())
    };
    let Some(workspace) = manifest(stage, root) else { return };
    let name = |table: &toml::Table| Some(table.get("package")?.get("name")?.as_str()?.to_owned());
    let mut wanted: Vec<String> = match named {
        Some(named) => {
            let folders = stage.facts.paths.keys().filter_map(|path| path.strip_suffix("/Cargo.toml"));
            let found = folders.filter(|folder| {
                manifest(stage, folder).and_then(|table| name(&table)).as_deref() == Some(named)
            });
            let found: Vec<String> = found.map(ToOwned::to_owned).collect();
            if found.is_empty() {
                stage.facts.missing.insert((line, format!("the crate {named}, which cargo build needs")));
            }
            found
        }
        None => vec![root.to_owned()],
    };
    let mut seen = BTreeSet::new();
    while let Some(folder) = wanted.pop() {
        if !seen.insert(folder.clone()) || !require(stage, &format!("{folder}/Cargo.toml"), line) {
            continue;
        }
        let sources = format!("{folder}/src/");
        if !stage.is_folder(sources.trim_end_matches('/')) {
            stage.facts.missing.insert((line, format!("{sources}, which cargo build needs")));
        }
        let Some(table) = manifest(stage, &folder) else { continue };
        for kind in ["dependencies", "build-dependencies"] {
            let dependencies = table.get(kind).and_then(toml::Value::as_table);
            for (dependency, entry) in dependencies.into_iter().flatten() {
                let inherited = entry.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                let (entry, base) = if inherited {
                    let shared = workspace
                        .get("workspace")
                        .and_then(|workspace| workspace.get("dependencies")?.get(dependency));
                    (shared.unwrap_or(entry), root)
                } else {
                    (entry, folder.as_str())
                };
                if let Some(path) = entry.get("path").and_then(toml::Value::as_str) {
                    wanted.push(absolute("/", &join(base, path)));
                }
            }
        }
    }
}
