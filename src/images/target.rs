//! Reads Dockerfiles from the disk, and the files that their COPY instructions name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Build, Image, Node, Tree};
use crate::diagnostic::Diagnostic;
use crate::files;

/// The images of a target, by the daemon or service that runs them.
///
/// `named`: the Dockerfiles that `[images]` names, below the root. The default names are used where they exist.
pub(crate) fn contents(
    root: &Path,
    named: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Image>, Diagnostic> {
    let mut all = BTreeMap::new();
    for name in ["egress", "git-gate", "sidecars", "supervise"] {
        let dockerfile = format!("Dockerfile.{name}");
        if root.join(&dockerfile).is_file() {
            all.insert(name.to_owned(), Build { dockerfile, ..Build::default() });
        }
    }
    for (name, dockerfile) in named {
        all.insert(name.clone(), Build { dockerfile: dockerfile.clone(), ..Build::default() });
    }
    read(root, all)
}

/// The images of some builds below a folder.
pub(crate) fn read(
    root: &Path,
    builds: BTreeMap<String, Build>,
) -> Result<BTreeMap<String, Image>, Diagnostic> {
    below(root, |tree| {
        let mut contents = BTreeMap::new();
        for (name, build) in builds {
            let path = files::tidy(&root.join(&build.dockerfile));
            let dockerfile = files::read(&path)?;
            let image = Image::built(&dockerfile, &build, tree)
                .map_err(|error| Diagnostic::in_file(&path, error.to_string()).at(error.line, 1))?;
            contents.insert(name, image);
        }
        Ok(contents)
    })
}

/// Lends the files below a folder.
pub(crate) fn below<T>(root: &Path, read: impl FnOnce(Tree<'_>) -> T) -> T {
    let node = |path: &str| node(&root.join(path));
    let text = |path: &str| files::read(&root.join(path)).ok();
    read(Tree { node: &node, text: &text })
}

fn node(path: &Path) -> Option<Node> {
    let data = fs::symlink_metadata(path).ok()?;
    if data.is_symlink() {
        return Some(Node::Link(fs::read_link(path).ok()?.to_str()?.to_owned()));
    }
    if data.is_dir() {
        let names = fs::read_dir(path).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        return Some(Node::Folder(names.collect()));
    }
    data.is_file().then(|| Node::File { executable: data.permissions().mode() & 0o100 != 0 })
}
