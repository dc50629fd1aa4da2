//! The build context: its files, less those that `.dockerignore` leaves out.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};

use super::Build;

/// Entry at a path of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A folder, with the names of its entries.
    Folder(Vec<String>),
    /// A symbolic link and where it leads.
    Link(String),
}

/// The tree that an image is built from. Paths are relative, with `/`; the root is the empty path.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    /// The entry at a path; `None`: nothing.
    pub node: &'a dyn Fn(&str) -> Option<Node>,
    /// Text of a file; `None`: no such file, or not UTF-8.
    pub text: &'a dyn Fn(&str) -> Option<String>,
}

/// Links that may lead to each other.
const HOPS: usize = 40;

/// Files that one instruction may copy before it counts as not understood.
const MANY: usize = 20_000;

/// The files of a build context.
pub(super) struct Context<'a> {
    tree: Tree<'a>,
    root: String,
    ignored: Vec<(GlobMatcher, bool)>,
    named: BTreeMap<String, Named<'a>>,
}

/// Another context that COPY and FROM may name (compose-spec, build, `additional_contexts`).
pub(super) enum Named<'a> {
    /// A folder.
    Folder(Context<'a>),
    /// An image.
    Image(String),
    /// Something that only the builder can fetch, as it was written.
    Remote(String),
}

/// Separates the name of a context from a path in it.
const IN: &str = "::";

/// A file that a source of COPY names.
pub(super) struct Copied {
    /// Path in the context.
    pub(super) path: String,
    /// Path below the destination; the file's own name if the source is a file.
    pub(super) below: String,
    /// Whether its owner may execute it.
    pub(super) executable: bool,
    /// Where it leads, if it is a symbolic link.
    pub(super) link: Option<String>,
}

/// What a source of COPY comes to.
pub(super) enum Sources {
    /// These files, and whether the source named a folder.
    Files(Vec<Copied>, bool),
    /// Nothing matches.
    Missing,
    /// More than [`MANY`] files, or a pattern that cannot be read.
    NotUnderstood,
}

impl<'a> Context<'a> {
    /// The contexts of a build; a Dockerfile's own ignore file wins over that of the context.
    pub(super) fn of(build: &Build, tree: Tree<'a>) -> Self {
        let own = (tree.text)(&format!("{}.dockerignore", build.dockerfile));
        let named = build.contexts.iter().map(|(name, source)| {
            let named = match source.strip_prefix("docker-image://") {
                Some(image) => Named::Image(image.to_owned()),
                None if is_local(source) => Named::Folder(Self::at(tree, source, None)),
                None => Named::Remote(source.clone()),
            };
            (name.clone(), named)
        });
        Self { named: named.collect(), ..Self::at(tree, &build.context, own) }
    }

    fn at(tree: Tree<'a>, root: &str, ignore: Option<String>) -> Self {
        let text = ignore.or_else(|| (tree.text)(&join(root, ".dockerignore"))).unwrap_or_default();
        let ignored = text.lines().filter_map(pattern).collect();
        Self { tree, root: root.to_owned(), ignored, named: BTreeMap::new() }
    }

    /// Another context, by its name.
    pub(super) fn named(&self, name: &str) -> Option<&Named<'a>> {
        self.named.get(name)
    }

    /// The files that a source names in another context.
    pub(super) fn sources_of(&self, name: &str, source: &str) -> Sources {
        let Some(Named::Folder(context)) = self.named(name) else { return Sources::Missing };
        match context.sources(source) {
            Sources::Files(mut files, folder) => {
                for file in &mut files {
                    file.path = format!("{name}{IN}{}", file.path);
                }
                Sources::Files(files, folder)
            }
            other => other,
        }
    }

    /// Text of a file of the context, or of one of the others.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let other = path.split_once(IN).and_then(|(name, path)| Some((self.named(name)?, path)));
        if let Some((Named::Folder(context), path)) = other {
            return context.text(path);
        }
        if self.ignores(path) { None } else { (self.tree.text)(&join(&self.root, path)) }
    }

    /// The files that a source names.
    pub(super) fn sources(&self, source: &str) -> Sources {
        let Some(source) = clean(source) else { return Sources::Missing };
        let mut found = vec![String::new()];
        for part in source.split('/').filter(|part| !part.is_empty()) {
            let Some(matches) = self.matches(&found, part) else { return Sources::NotUnderstood };
            found = matches;
        }
        let (mut files, mut folder) = (Vec::new(), false);
        for named in found {
            // A link that a source names is followed, within the context.
            let Some(path) = self.followed(&named) else { continue };
            match (self.tree.node)(&join(&self.root, &path)) {
                Some(Node::File { executable }) if !self.ignores(&path) => {
                    let below = named.rsplit('/').next().unwrap_or(&named).to_owned();
                    files.push(Copied { path, below, executable, link: None });
                }
                Some(Node::Folder(_)) => {
                    folder = true;
                    if self.walk(&path, &path, &mut files).is_none() {
                        return Sources::NotUnderstood;
                    }
                }
                _ => {}
            }
        }
        if files.is_empty() && !folder { Sources::Missing } else { Sources::Files(files, folder) }
    }

    /// Where the links at a path lead; `None`: out of the context, or in a circle.
    fn followed(&self, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        for _ in 0..HOPS {
            let Some(Node::Link(target)) = (self.tree.node)(&join(&self.root, &path)) else {
                return Some(path);
            };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            path = if target.starts_with('/') { clean(&target)? } else { clean(&join(folder, &target))? };
        }
        None
    }

    /// Paths below `folders` whose last part matches; `None`: a pattern that cannot be read.
    fn matches(&self, folders: &[String], part: &str) -> Option<Vec<String>> {
        if !part.contains(['*', '?', '[', '\\']) {
            return Some(folders.iter().map(|folder| join(folder, part)).collect());
        }
        let matcher = glob(part)?;
        let mut found = Vec::new();
        if part == "**" {
            let mut left = folders.to_vec();
            while let Some(folder) = left.pop() {
                if let Some(Node::Folder(names)) = (self.tree.node)(&join(&self.root, &folder)) {
                    left.extend(names.iter().map(|name| join(&folder, name)));
                    found.push(folder);
                }
                if found.len() + left.len() > MANY {
                    return None;
                }
            }
            found.sort();
            return Some(found);
        }
        for folder in folders {
            if let Some(Node::Folder(mut names)) = (self.tree.node)(&join(&self.root, folder)) {
                names.sort();
                names.retain(|name| matcher.is_match(name));
                found.extend(names.iter().map(|name| join(folder, name)));
            }
        }
        Some(found)
    }

    fn walk(&self, top: &str, folder: &str, files: &mut Vec<Copied>) -> Option<()> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let Some(Node::Folder(mut names)) = (self.tree.node)(&join(&self.root, &folder)) else {
                continue;
            };
            names.sort();
            for name in names {
                let path = join(&folder, &name);
                match (self.tree.node)(&join(&self.root, &path)) {
                    Some(node @ (Node::File { .. } | Node::Link(_))) if !self.ignores(&path) => {
                        let below =
                            path.strip_prefix(top).unwrap_or(&path).trim_start_matches('/').to_owned();
                        let (executable, link) = match node {
                            Node::File { executable } => (executable, None),
                            Node::Folder(_) => (false, None),
                            Node::Link(target) => (false, Some(target)),
                        };
                        files.push(Copied { path, below, executable, link });
                    }
                    // A folder that is left out may hold what `!` takes in again.
                    Some(Node::Folder(_)) if !self.ignores(&path) || self.takes_in() => folders.push(path),
                    _ => {}
                }
                if files.len() + folders.len() > MANY {
                    return None;
                }
            }
        }
        Some(())
    }

    fn takes_in(&self) -> bool {
        self.ignored.iter().any(|(_, takes_in)| *takes_in)
    }

    /// Whether a path is left out: the last pattern that matches it, or a folder above it, decides.
    fn ignores(&self, path: &str) -> bool {
        let prefixes = || path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]);
        let deciding =
            self.ignored.iter().rev().find(|(glob, _)| prefixes().any(|prefix| glob.is_match(prefix)));
        deciding.is_some_and(|(_, takes_in)| !takes_in)
    }
}

/// Whether a context is a folder: not a URL, a repository, or another service.
pub(super) fn is_local(context: &str) -> bool {
    const REMOTE: [&str; 4] = ["git@", "github.com/", "service:", "target:"];
    !context.contains("://") && !REMOTE.iter().any(|prefix| context.starts_with(prefix))
}

/// A pattern as Go's `filepath.Match` has it, with `**`: braces mean themselves.
pub(super) fn glob(pattern: &str) -> Option<GlobMatcher> {
    let pattern = pattern.replace('{', "[{]").replace('}', "[}]");
    GlobBuilder::new(&pattern).literal_separator(true).build().ok().map(|glob| glob.compile_matcher())
}

/// A line of an ignore file: its pattern, and whether it takes files in again.
fn pattern(line: &str) -> Option<(GlobMatcher, bool)> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (line, takes_in) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim_start(), true));
    let cleaned = clean(line)?;
    Some((glob(&cleaned)?, takes_in))
}

/// A path below a folder.
pub(super) fn join(folder: &str, name: &str) -> String {
    match (folder.trim_end_matches('/'), name) {
        ("" | ".", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// A relative path without `.`, `..` and doubled slashes; `None` if it leaves the root.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(tree: Tree<'_>) -> Context<'_> {
        Context::of(&Build { dockerfile: "Dockerfile".to_owned(), ..Build::default() }, tree)
    }

    fn found(ignore: &str, source: &str) -> String {
        let files = ["a.py", "b.py", "sub/c.py", "sub/deep/d.sh", "sub/x.txt"];
        let node = |path: &str| {
            if files.contains(&path) {
                return Some(Node::File { executable: path.contains(".sh") });
            }
            let below = |file: &&str| -> Option<String> {
                let rest =
                    if path.is_empty() { Some(*file) } else { file.strip_prefix(path)?.strip_prefix('/') };
                rest.map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
            };
            let mut names: Vec<String> = files.iter().filter_map(below).collect();
            names.dedup();
            (!names.is_empty()).then_some(Node::Folder(names))
        };
        let text = |path: &str| (path == ".dockerignore").then(|| ignore.to_owned());
        match context(Tree { node: &node, text: &text }).sources(source) {
            Sources::Missing => "missing".to_owned(),
            Sources::NotUnderstood => "not understood".to_owned(),
            Sources::Files(files, folder) => {
                let names: Vec<_> =
                    files.iter().map(|file| format!("{}={}", file.below, file.path)).collect();
                format!("{}{}", if folder { "folder " } else { "" }, names.join(" "))
            }
        }
    }

    #[test]
    fn sources_are_files_folders_and_patterns() {
        assert_eq!(found("", "a.py"), "a.py=a.py");
        assert_eq!(found("", "./*.py"), "a.py=a.py b.py=b.py");
        assert_eq!(found("", "/sub/*.py"), "c.py=sub/c.py");
        assert_eq!(found("", "sub"), "folder c.py=sub/c.py x.txt=sub/x.txt deep/d.sh=sub/deep/d.sh");
        assert_eq!(found("", "none"), "missing");
        assert_eq!(found("", "n*"), "missing");
        assert_eq!(found("", "../a.py"), "missing");
        assert_eq!(found("", "[z-a]"), "not understood");
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        assert_eq!(found("a.py", "a.py"), "missing");
        assert_eq!(found("*\n!sub\nsub/*.txt", "."), "folder sub/c.py=sub/c.py sub/deep/d.sh=sub/deep/d.sh");
        assert_eq!(found("**/*.sh\n# b.py", "sub"), "folder c.py=sub/c.py x.txt=sub/x.txt");
        assert_eq!(found("sub", "sub"), "folder ");
        assert_eq!(found("sub\n!sub/deep/d.sh", "sub"), "folder deep/d.sh=sub/deep/d.sh");
    }
}
