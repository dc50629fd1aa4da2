//! Reads the target's Dockerfiles, and of its files what their COPY instructions name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::files;
use crate::images::{Build, Image, Node, Tree};

/// What the images of a target hold and say, by the daemon or service that runs them.
///
/// `dockerfiles`: where each one's Dockerfile is below the root; one that is named and is not there is an error, those
/// of the default names may be absent.
pub(super) fn contents(
    root: &Path,
    dockerfiles: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Image>, Diagnostic> {
    let defaults = ["egress", "git-gate", "sidecars", "supervise"];
    let mut builds: BTreeMap<String, Build> = BTreeMap::new();
    for name in defaults {
        let dockerfile = format!("Dockerfile.{name}");
        if root.join(&dockerfile).is_file() {
            builds.insert(name.to_owned(), Build { dockerfile, ..Build::default() });
        }
    }
    for (name, dockerfile) in dockerfiles {
        builds.insert(name.clone(), Build { dockerfile: dockerfile.clone(), ..Build::default() });
    }
    let node = |path: &str| node(&root.join(path));
    let text = |path: &str| fs::read_to_string(root.join(path)).ok();
    let tree = Tree { node: &node, text: &text };
    let mut contents = BTreeMap::new();
    for (name, build) in builds {
        let path = files::tidy(&root.join(&build.dockerfile));
        let dockerfile = files::read(&path)?;
        let image = Image::built(&dockerfile, &build, tree)
            .map_err(|error| Diagnostic::in_file(&path, error.to_string()).at(error.line, 1))?;
        contents.insert(name, image);
    }
    Ok(contents)
}

fn node(path: &Path) -> Option<Node> {
    let data = fs::metadata(path).ok()?;
    if data.is_dir() {
        let names = fs::read_dir(path).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        return Some(Node::Folder(names.collect()));
    }
    data.is_file().then(|| Node::File { executable: data.permissions().mode() & 0o100 != 0 })
}
