//! Paths of the host, made absolute as Compose does it.

use std::path::Path;

use super::tree::{Tree, Value};

/// Where relative paths begin.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    /// Folder of the project, or of the file that is extended or included; empty: a text without a file.
    pub(super) folder: &'a str,
    /// `HOME`.
    pub(super) home: Option<&'a str>,
}

impl Base<'_> {
    /// A path with `~` expanded, absolute where the base is.
    pub(super) fn path(&self, path: &str) -> String {
        let expanded = match (path.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => clean(&format!("{home}/{rest}")),
            _ => path.to_owned(),
        };
        if expanded.is_empty() || Path::new(&expanded).is_absolute() || is_windows(&expanded) {
            expanded
        } else if self.folder.is_empty() {
            clean(&expanded)
        } else {
            clean(&format!("{}/{expanded}", self.folder))
        }
    }

    /// Makes the relative paths of a document absolute; it has to be unfolded.
    pub(super) fn resolve(&self, document: &mut Tree) {
        if let Some(services) = document.get_mut("services").and_then(Tree::as_map_mut) {
            services.values_mut().for_each(|service| self.resolve_service(service));
        }
        for section in ["configs", "secrets"] {
            let Some(resources) = document.get_mut(section).and_then(Tree::as_map_mut) else { continue };
            resources.values_mut().for_each(|resource| self.entry(resource, "file"));
        }
        let Some(volumes) = document.get_mut("volumes").and_then(Tree::as_map_mut) else { return };
        for volume in volumes.values_mut() {
            if volume.get("driver").and_then(Tree::as_text) != Some("local") {
                continue;
            }
            let Some(options) = volume.get_mut("driver_opts") else { continue };
            // A bind mount in disguise.
            if options.get("o").and_then(Tree::as_text) == Some("bind") {
                self.entry(options, "device");
            }
        }
    }

    /// As [`Self::resolve`], for a single service.
    pub(super) fn resolve_service(&self, service: &mut Tree) {
        if let Some(build) = service.get_mut("build") {
            if let Some(context) = build.get_mut("context") {
                self.context(context);
            }
            if let Some(contexts) = build.get_mut("additional_contexts").and_then(Tree::as_map_mut) {
                contexts.values_mut().for_each(|context| self.context(context));
            }
            if let Some(keys) = build.get_mut("ssh").and_then(Tree::as_map_mut) {
                keys.values_mut().for_each(|key| self.node(key));
            }
        }
        for file in items(service, "env_file") {
            self.entry(file, "path");
        }
        for file in items(service, "label_file") {
            self.node(file);
        }
        if let Some(extends) = service.get_mut("extends") {
            self.entry(extends, "file");
        }
        if let Some(develop) = service.get_mut("develop") {
            for watch in items(develop, "watch") {
                self.entry(watch, "path");
            }
        }
        for mount in items(service, "volumes") {
            if mount.get("type").and_then(Tree::as_text) == Some("bind") {
                self.entry(mount, "source");
            }
        }
    }

    fn entry(&self, tree: &mut Tree, key: &str) {
        if let Some(node) = tree.get_mut(key) {
            self.node(node);
        }
    }

    fn node(&self, node: &mut Tree) {
        if let Value::Text(path) = &mut node.value {
            *path = self.path(path);
        }
    }

    /// A build context may be remote, or another service.
    fn context(&self, node: &mut Tree) {
        const REMOTE: [&str; 6] = ["https://", "http://", "git://", "ssh://", "github.com/", "git@"];
        let remote = |text: &str| {
            text.contains("://")
                || text.starts_with("service:")
                || REMOTE.iter().any(|prefix| text.starts_with(prefix))
        };
        if node.as_text().is_some_and(|text| !remote(text)) {
            self.node(node);
        }
    }
}

fn items<'t>(tree: &'t mut Tree, key: &str) -> impl Iterator<Item = &'t mut Tree> {
    tree.get_mut(key).and_then(Tree::as_list_mut).into_iter().flatten()
}

/// Whether a path begins with a drive letter of Windows.
pub(super) fn has_drive(path: &str) -> bool {
    let mut chars = path.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':')
}

fn is_windows(path: &str) -> bool {
    (has_drive(path) && path.get(2..3).is_some_and(|next| matches!(next, "/" | "\\")))
        || path.starts_with("\\\\")
}

/// A path without empty parts, `.` and resolvable `..`.
pub(super) fn clean(path: &str) -> String {
    if is_windows(path) {
        return path.to_owned();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute() {
        let base = Base { folder: "/p/q", home: Some("/home/u") };
        for (path, absolute) in [
            ("./x", "/p/q/x"),
            ("x/", "/p/q/x"),
            ("../x", "/p/x"),
            ("../../../x", "/x"),
            (".", "/p/q"),
            ("~", "/home/u"),
            ("~/x", "/home/u/x"),
            ("/x", "/x"),
            ("C:\\x", "C:\\x"),
            ("c:/x", "c:/x"),
            ("", ""),
        ] {
            assert_eq!(base.path(path), absolute, "{path}");
        }
        assert_eq!(Base { folder: "", home: None }.path("./a/../../b"), "../b");
    }

    #[test]
    fn cleaning_is_lexical() {
        for (path, cleaned) in [("/a//b/./c/", "/a/b/c"), ("/..", "/"), ("a/..", "."), ("../..", "../..")] {
            assert_eq!(clean(path), cleaned);
        }
    }
}
