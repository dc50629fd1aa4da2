//! One build stage: what its instructions have put together so far.

use std::collections::BTreeMap;

use super::context::{Context, clean};
use super::facts::{Fact, ImageFacts, Manager, Mode, Origin, PathFact, UserFact};
use super::upstream;

/// Folders whose content no program misses: caches, lists of packages, temporary files.
const LEFTOVERS: [&str; 8] = [
    "/root/.cache",
    "/tmp",
    "/usr/share/doc",
    "/usr/share/man",
    "/var/cache",
    "/var/lib/apt/lists",
    "/var/log",
    "/var/tmp",
];

/// Folders that every base image has.
const USUAL: [&str; 14] = [
    "/",
    "/bin",
    "/etc",
    "/home",
    "/lib",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/local/bin",
];

/// Values of build arguments that only the builder knows.
const PREDEFINED: [&str; 8] = [
    "BUILDARCH",
    "BUILDOS",
    "BUILDPLATFORM",
    "BUILDVARIANT",
    "TARGETARCH",
    "TARGETOS",
    "TARGETPLATFORM",
    "TARGETVARIANT",
];

/// A stage while its instructions are carried out.
#[derive(Clone)]
pub(super) struct Stage<'a> {
    pub(super) facts: ImageFacts,
    /// Whether CMD was set since FROM.
    pub(super) own_cmd: bool,
    /// SHELL.
    pub(super) shell: Vec<String>,
    /// ARG since FROM.
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) context: &'a Context<'a>,
    groups: BTreeMap<String, Vec<String>>,
}

impl<'a> Stage<'a> {
    /// A stage that starts from an image; `None`: `scratch`.
    pub(super) fn new(context: &'a Context<'a>, base: Option<Fact<String>>) -> Self {
        let mut facts = ImageFacts { base_known: base.is_none(), ..ImageFacts::default() };
        if let Some(base) = &base {
            let own = |words: &[&str]| {
                (!words.is_empty())
                    .then(|| Fact { value: words.iter().map(|w| (*w).to_owned()).collect(), line: 0 })
            };
            facts.base_known = upstream::find(&base.value).is_some();
            for layer in upstream::layers(&base.value) {
                for name in layer.environment {
                    let value = format!("{{{name} of {}}}", layer.repository);
                    facts.environment.entry((*name).to_owned()).or_insert(Fact { value, line: 0 });
                }
                for (name, id, home) in layer.users {
                    let user =
                        UserFact { kind: "user", id: Some((*id).to_owned()), home: Some((*home).to_owned()) };
                    facts.users.insert((*name).to_owned(), Fact { value: user, line: 0 });
                }
                facts.exposed.extend(layer.exposed.iter().map(|port| ((*port).to_owned(), 0)));
                facts.volumes.extend(layer.volumes.iter().map(|path| ((*path).to_owned(), 0)));
                // An ENTRYPOINT takes the CMD of the image below with it.
                if facts.entrypoint.is_none() {
                    facts.cmd = facts.cmd.or_else(|| own(layer.cmd));
                    facts.entrypoint = own(layer.entrypoint);
                }
                if !layer.health.is_empty() && facts.health.is_none() {
                    let command = layer.health.iter().map(|word| (*word).to_owned()).collect();
                    facts.health =
                        Some(Fact { value: super::facts::Health { command, ..Default::default() }, line: 0 });
                }
            }
        }
        facts.base = base;
        Self {
            facts,
            own_cmd: false,
            shell: vec!["/bin/sh".to_owned(), "-c".to_owned()],
            arguments: BTreeMap::new(),
            context,
            groups: BTreeMap::new(),
        }
    }

    /// The stage that starts from this one.
    pub(super) fn child(&self) -> Self {
        Self { own_cmd: false, arguments: BTreeMap::new(), ..self.clone() }
    }

    /// Value of a variable: ENV wins over ARG.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let environment = self.facts.environment.get(name).map(|fact| fact.value.clone());
        environment.or_else(|| self.arguments.get(name).cloned())
    }

    /// Declares an ARG: the given value wins over the one outside the stages, and that over the default.
    pub(super) fn argument(&mut self, name: &str, value: Option<String>) {
        let value = value.or_else(|| PREDEFINED.contains(&name).then(|| format!("{{{name}}}")));
        if let Some(value) = value {
            self.arguments.insert(name.to_owned(), value);
        }
    }

    /// Notes something that is not understood.
    pub(super) fn not_understood(&mut self, line: usize, what: &str) {
        self.facts.not_understood.insert((line, what.trim().to_owned()));
    }

    /// An absolute path, below WORKDIR if it is relative.
    pub(super) fn absolute(&self, path: &str) -> String {
        absolute(self.facts.workdir.as_ref().map_or("/", |folder| &folder.value), path)
    }

    /// Text of a file that was copied from the context.
    pub(super) fn text_of(&self, path: &str) -> Option<String> {
        match &self.facts.paths.get(&self.absolute(path))?.value.origin {
            Origin::Context(source) => self.context.text(source),
            Origin::Inline(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Whether a path is known to be a folder.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        let below = format!("{}/", path.trim_end_matches('/'));
        let known = self.facts.paths.get(path).is_some_and(|fact| fact.value.origin == Origin::Folder);
        known
            || USUAL.contains(&path)
            || self
                .facts
                .paths
                .range(below.clone()..)
                .next()
                .is_some_and(|(path, _)| path.starts_with(&below))
    }

    pub(super) fn add_package(&mut self, manager: Manager, name: &str, version: Option<&str>, line: usize) {
        let version = version.map(ToOwned::to_owned);
        self.facts.packages.insert((manager, name.to_owned()), Fact { value: version, line });
    }

    /// Takes a package away, or what `apk add --virtual` named so.
    pub(super) fn remove_package(&mut self, manager: Manager, name: &str, line: usize) {
        let names = self.groups.remove(name).unwrap_or_else(|| vec![name.to_owned()]);
        for name in names {
            if self.facts.packages.remove(&(manager, name.clone())).is_none() {
                self.facts.removed.insert(format!("{manager} package {name}"), line);
            }
        }
    }

    pub(super) fn group(&mut self, group: &str, package: &str) {
        self.groups.entry(group.to_owned()).or_default().push(package.to_owned());
    }

    pub(super) fn add_user(&mut self, name: &str, user: UserFact, line: usize) {
        self.facts.users.insert(name.to_owned(), Fact { value: user, line });
    }

    pub(super) fn put(&mut self, path: &str, origin: Origin, owner: Option<&str>, mode: Mode, line: usize) {
        let owner = self.owner(owner.unwrap_or("root:root"), "root:root");
        self.facts.removed.remove(path);
        self.facts.paths.insert(path.to_owned(), Fact { value: PathFact { origin, owner, mode }, line });
    }

    pub(super) fn make_folder(&mut self, path: &str, owner: Option<&str>, line: usize) {
        if self.is_folder(path) && !self.facts.paths.contains_key(path) && USUAL.contains(&path) {
            return;
        }
        let user = self.facts.user.as_ref().map_or("root", |user| &user.value).to_owned();
        if self.facts.paths.get(path).is_none_or(|fact| fact.value.origin != Origin::Folder) {
            let owner = owner.map_or_else(|| login(&user), ToOwned::to_owned);
            self.put(path, Origin::Folder, Some(&owner), Mode::Unset, line);
        }
    }

    pub(super) fn write(&mut self, path: &str, text: String, line: usize) {
        let user = login(self.facts.user.as_ref().map_or("root", |user| &user.value));
        self.put(path, Origin::Inline(text), Some(&user), Mode::Unset, line);
    }

    pub(super) fn link(&mut self, path: &str, target: &str, line: usize) {
        self.put(path, Origin::Link(target.to_owned()), None, Mode::Unset, line);
    }

    pub(super) fn remove(&mut self, path: &str, line: usize) {
        let path = path.trim_end_matches('/');
        let leftover = |path: &str| {
            LEFTOVERS.iter().any(|folder| {
                path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let glob = globset::GlobBuilder::new(path)
            .literal_separator(true)
            .build()
            .map(|glob| glob.compile_matcher());
        let below = |known: &str| match &glob {
            Ok(glob) => known
                .match_indices('/')
                .map(|(at, _)| &known[..at])
                .chain([known])
                .any(|part| glob.is_match(part)),
            Err(_) => known == path,
        };
        let count = self.facts.paths.len();
        self.facts.paths.retain(|known, _| !below(known));
        if count == self.facts.paths.len() && !leftover(path) {
            self.facts.removed.insert(path.to_owned(), line);
        }
    }

    /// Moves or copies a path of the stage.
    pub(super) fn copy_within(&mut self, from: &str, to: &str, moves: bool, line: usize) {
        let below = format!("{from}/");
        let known: Vec<(String, PathFact)> = self
            .facts
            .paths
            .iter()
            .filter(|(path, _)| *path == from || path.starts_with(&below))
            .map(|(path, fact)| (format!("{to}{}", &path[from.len()..]), fact.value.clone()))
            .collect();
        if known.is_empty() {
            let origin = Origin::Built { stage: String::new(), path: from.to_owned() };
            self.put(to, origin, None, Mode::Unset, line);
        }
        if moves {
            self.facts.paths.retain(|path, _| path != from && !path.starts_with(&below));
        }
        for (path, value) in known {
            self.facts.paths.insert(path, Fact { value, line });
        }
    }

    fn change(&mut self, path: &str, recursive: bool, line: usize, change: impl Fn(&mut PathFact)) {
        let below = format!("{}/", path.trim_end_matches('/'));
        if !self.facts.paths.contains_key(path) {
            self.put(path, Origin::Base, None, Mode::Unset, line);
        }
        for (known, fact) in &mut self.facts.paths {
            if known == path || recursive && known.starts_with(&below) {
                change(&mut fact.value);
                fact.line = line;
            }
        }
    }

    pub(super) fn chown(&mut self, path: &str, owner: &str, recursive: bool, line: usize) {
        let before = self.facts.paths.get(path).map_or("root:root", |fact| &fact.value.owner).to_owned();
        let owner = self.owner(owner, &before);
        self.change(path, recursive, line, |fact| fact.owner.clone_from(&owner));
    }

    /// Changes permissions; `false`: the mode is not understood.
    pub(super) fn chmod(&mut self, path: &str, mode: &str, recursive: bool, line: usize) -> bool {
        if let Ok(mode) = u32::from_str_radix(mode, 8) {
            self.change(path, recursive, line, |fact| fact.mode = Mode::Octal(mode));
            return true;
        }
        if !matches!(mode, "+x" | "a+x" | "u+x" | "ugo+x") {
            return false;
        }
        let bits = if mode == "u+x" { 0o100 } else { 0o111 };
        self.change(path, recursive, line, |fact| {
            fact.mode = match fact.mode {
                Mode::Octal(mode) => Mode::Octal(mode | bits),
                Mode::Source { .. } | Mode::Unset => Mode::Source { executable: true },
            };
        });
        true
    }

    /// `user:group`, by name where a number is known; what is left out stays as it was.
    fn owner(&self, owner: &str, before: &str) -> String {
        let name = |part: &str, kind: &str| -> String {
            if part == "0" {
                return "root".to_owned();
            }
            let mut users = self.facts.users.iter();
            let known = users.find(|(_, fact)| {
                fact.value.id.as_deref() == Some(part)
                    && (fact.value.kind == kind || fact.value.kind == "user")
            });
            known.map_or_else(|| part.to_owned(), |(name, _)| name.clone())
        };
        let (old_user, old_group) = before.split_once(':').unwrap_or((before, before));
        match owner.split_once([':', '.']) {
            None => format!("{}:{old_group}", name(owner, "user")),
            Some(("", group)) => format!("{old_user}:{}", name(group, "group")),
            // The login group of a user goes by its name.
            Some((user, "")) => format!("{0}:{0}", name(user, "user")),
            Some((user, group)) => format!("{}:{}", name(user, "user"), name(group, "group")),
        }
    }
}

/// A user with its login group, which goes by the same name.
fn login(user: &str) -> String {
    if user.contains(':') { user.to_owned() } else { format!("{user}:{user}") }
}

/// A clean absolute path, below `folder` if it is relative.
pub(super) fn absolute(folder: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    // `..` at the root stays there.
    let mut joined = joined;
    while let Some(rest) = joined.strip_prefix("/..") {
        joined = rest.to_owned();
    }
    format!("/{}", clean(&joined).unwrap_or_default())
}
