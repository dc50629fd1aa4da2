//! What is mounted: the union of all, in which no mount takes another's place.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Mount, Source};
use bottle_model::daemon::Daemon;
use bottle_model::images::{self, INIT, SHARED_PATHS, SHARED_TREES};
use bottle_model::paths::covers;

use super::{Claim, Member, Merger};

const OTHER_TARGET: &str =
    "one container has one mount on a path: choose another target, or mount the same in both";

impl Merger<'_> {
    /// The mounts of the container: the first at each target; any other there has to be the same.
    pub(super) fn mounts(&mut self) -> Vec<Mount> {
        let mut held: BTreeMap<&str, (usize, &Mount)> = BTreeMap::new();
        let mut mounts = Vec::new();
        let mut clashes = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            for mount in &member.service.mounts {
                match held.get(mount.target.as_str()) {
                    Some((_, same)) if *same == mount => {}
                    // Of two at one target Compose itself takes the last.
                    Some((first, other)) if *first != at => {
                        clashes.push((
                            mount.target.clone(),
                            claim(&self.members[*first], other),
                            claim(member, mount),
                        ));
                    }
                    _ => {
                        held.insert(&mount.target, (at, mount));
                        mounts.push(mount.clone());
                    }
                }
            }
        }
        for (at, member) in self.members.iter().enumerate() {
            for mount in &member.service.mounts {
                if let Some((what, other)) = self.hidden(at, mount) {
                    clashes.push((what, claim(member, mount), other));
                }
            }
        }
        for (what, first, second) in clashes {
            self.conflict(what, first, second, OTHER_TARGET);
        }
        mounts
    }

    /// What a mount hides from another daemon, or from the init.
    fn hidden(&self, at: usize, mount: &Mount) -> Option<(String, Claim)> {
        let target = mount.target.as_str();
        let own = &self.members[at];
        if covers(target, INIT) {
            let init =
                Claim { service: "the init".to_owned(), place: Vec::new(), value: "its program".to_owned() };
            return Some((INIT.to_owned(), init));
        }
        let standard = self.is_standard(own, target);
        for (_, other) in self.members.iter().enumerate().filter(|(index, _)| *index != at) {
            if other.service.mounts.contains(mount) {
                continue;
            }
            let program = other.row.argv.first().map(String::as_str);
            let needs = |path: &&str| path.starts_with('/') && covers(target, path);
            let builtin = Daemon::from_name(&other.row.name).filter(|_| self.request.built_in);
            let files = builtin.map_or(&[][..], images::files).iter().copied();
            if !standard {
                if let Some(file) = program.into_iter().chain(files).find(needs) {
                    return Some((file.to_owned(), other.claim(&[], "a file of its image there")));
                }
                let tree = SHARED_TREES.iter().find(|tree| covers(target, tree) || covers(tree, target));
                let shared = tree.or_else(|| SHARED_PATHS.iter().find(|path| covers(target, path)));
                if let Some(path) = shared.filter(|_| self.request.built_in) {
                    return Some(((*path).to_owned(), other.claim(&[], "a folder of its image there")));
                }
            }
            // Of nested mounts the inner one shows in the outer one's place, to everyone.
            let inner = other.service.mounts.iter().find(|inner| {
                inner.target != target && covers(target, &inner.target) && !own.service.mounts.contains(inner)
            });
            if let Some(inner) = inner {
                return Some((inner.target.clone(), claim(other, inner)));
            }
        }
        None
    }

    /// Whether a mount is one that a built-in daemon is made for.
    fn is_standard(&self, member: &Member<'_>, target: &str) -> bool {
        self.request.built_in && member.row.private.iter().any(|path| covers(path, target))
    }

    /// Mounts that not every daemon has, by daemon, beyond what its row keeps private already.
    pub(super) fn private(&self) -> BTreeMap<String, BTreeSet<String>> {
        if self.members.len() < 2 {
            return BTreeMap::new();
        }
        let everyones = |mount: &Mount| self.members.iter().all(|other| other.service.mounts.contains(mount));
        let own = self.members.iter().map(|member| {
            let mounts = member.service.mounts.iter().filter(|mount| !everyones(mount));
            let targets = mounts.map(|mount| mount.target.as_str());
            let kept = |target: &&str| member.row.private.iter().any(|path| covers(path, target));
            (member.row.name.clone(), targets.filter(|target| !kept(target)).map(str::to_owned).collect())
        });
        own.filter(|(_, paths): &(String, BTreeSet<String>)| !paths.is_empty()).collect()
    }
}

fn claim(member: &Member<'_>, mount: &Mount) -> Claim {
    let what = match &mount.source {
        Source::Bind(path) => path.clone(),
        Source::Volume(name) => format!("volume {name}"),
        Source::Config(name) => format!("config {name}"),
        Source::Secret(name) => format!("secret {name}"),
        Source::Image(name) => format!("image {name}"),
        Source::Anonymous => "a volume without a name".to_owned(),
        Source::Tmpfs => "a tmpfs".to_owned(),
        Source::Other(kind, source) => format!("{kind} {source}"),
    };
    let mode = if mount.read_only { " (read-only)" } else { "" };
    member.claim(&["volumes", &mount.target], format!("{what}{mode} on {}", mount.target))
}
