//! What is mounted: the union of every daemon's, in which no mount takes another's place.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Mount, Source};
use bottle_model::daemon::{Daemon, row};
use bottle_model::images::{self, INIT, SHARED_PATHS, SHARED_TREES};
use bottle_model::paths::{Paths, covers};
use bottle_model::plan::{Common, Plan, Tmpfs, Volume};

use crate::Conflict;

/// What one daemon mounts.
pub(crate) struct Own {
    daemon: Daemon,
    /// The standard files, then what its block adds.
    mounts: Vec<Mount>,
    standard: usize,
}

/// What one daemon mounts, by path.
pub(crate) struct Mounted<'a> {
    own: &'a Own,
    /// Each with its number.
    paths: Paths<'a, (usize, &'a Mount)>,
}

impl<'a> Mounted<'a> {
    pub(crate) fn of(own: &'a Own) -> Self {
        let mounts = own.mounts.iter().enumerate();
        Self { own, paths: mounts.map(|(at, mount)| (mount.target.as_str(), (at, mount))).collect() }
    }

    fn extra(&self) -> &'a [Mount] {
        &self.own.mounts[self.own.standard..]
    }

    fn has(&self, mount: &Mount) -> bool {
        self.paths.at(&mount.target).any(|(_, own)| *own == mount)
    }
}

/// What each daemon mounts.
pub(crate) fn each(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> Vec<Own> {
    let own = |(daemon, common): &(Daemon, Common<'_>)| {
        let mut mounts = standard(plan, *daemon);
        let standard = mounts.len();
        mounts.extend(extra(*common));
        Own { daemon: *daemon, mounts, standard }
    };
    daemons.iter().map(own).collect()
}

/// The mounts of the container: the first at each target.
pub(crate) fn merged(each: Vec<Own>, first: &[bool]) -> Vec<Mount> {
    let mounts = each.into_iter().flat_map(|own| own.mounts).zip(first);
    mounts.filter(|(_, first)| **first).map(|(mount, _)| mount).collect()
}

/// Of each mount of each daemon, whether it is the first at its target; any other has to be the same.
pub(crate) fn first(each: &[Mounted<'_>]) -> Result<Vec<bool>, Conflict> {
    let mut held: BTreeMap<&str, (Daemon, &Mount)> = BTreeMap::new();
    let mut firsts = Vec::new();
    for mounted in each {
        let daemon = mounted.own.daemon;
        for mount in &mounted.own.mounts {
            match held.entry(&mount.target) {
                Entry::Vacant(free) => {
                    free.insert((daemon, mount));
                    firsts.push(true);
                }
                Entry::Occupied(taken) => {
                    let (first, one) = *taken.get();
                    firsts.push(false);
                    if one != mount {
                        return Err(Conflict::Target {
                            target: mount.target.clone(),
                            first,
                            one: shown(one),
                            second: daemon,
                            other: shown(mount),
                        });
                    }
                }
            }
        }
        for mount in mounted.extra() {
            hides(each, mounted, mount)?;
        }
    }
    Ok(firsts)
}

/// Refuses a mount that hides from another daemon what that has, or what the image has for it.
fn hides(each: &[Mounted<'_>], mounted: &Mounted<'_>, mount: &Mount) -> Result<(), Conflict> {
    let (target, daemon) = (mount.target.as_str(), mounted.own.daemon);
    let conflict = |hidden: &str, from: &str| {
        Err(Conflict::Hides {
            target: target.to_owned(),
            daemon,
            hidden: hidden.to_owned(),
            from: from.to_owned(),
        })
    };
    if covers(target, INIT) {
        return conflict(INIT, "the init");
    }
    for other in each {
        let name = other.own.daemon.name();
        let moved = other.own.daemon == daemon && daemon == Daemon::Pipelock;
        if other.has(mount) && !moved {
            continue;
        }
        for file in images::files(other.own.daemon) {
            if covers(target, file) {
                return conflict(file, name);
            }
        }
        if other.has(mount) {
            continue;
        }
        let shared = SHARED_TREES.iter().find(|tree| covers(target, tree) || covers(tree, target));
        let shared = shared.or_else(|| SHARED_PATHS.iter().find(|path| covers(target, path)));
        if let Some(path) = shared {
            return conflict(path, name);
        }
        // Of nested mounts the inner one shows in the outer one's place, to everyone.
        let differs = |nested: &&(usize, &Mount)| !mounted.has(nested.1);
        if let Some((_, inner)) = other.paths.below(target).filter(differs).min_by_key(|(at, _)| *at) {
            return conflict(&inner.target, name);
        }
        if let Some((_, outer)) = other.paths.above(target).filter(differs).min_by_key(|(at, _)| *at) {
            return conflict(&format!("a part of {}", outer.target), name);
        }
    }
    Ok(())
}

/// Paths beyond the table's that are a daemon's own: its extra mounts.
pub(crate) fn private(plan: &Plan, each: &[Mounted<'_>]) -> BTreeMap<String, BTreeSet<String>> {
    if each.len() < 2 {
        return BTreeMap::new();
    }
    each.iter()
        .map(|mounted| {
            let daemon = mounted.own.daemon;
            let table = &row(daemon, plan.chain).private;
            let paths = mounted
                .extra()
                .iter()
                .filter(|mount| !each.iter().all(|other| other.has(mount)))
                .map(|mount| mount.target.clone())
                .filter(|target| !table.iter().any(|path| covers(path, target)));
            (daemon.name().to_owned(), paths.collect())
        })
        .collect()
}

fn standard(plan: &Plan, daemon: Daemon) -> Vec<Mount> {
    let mut mounts = Vec::new();
    let mut add = |source: &str, target: &str, read_only| mounts.push(bind(source, target, read_only));
    match daemon {
        Daemon::Egress => {
            if let Some(egress) = &plan.egress {
                add(egress.routes.as_str(), "/etc/egress/routes.yaml", true);
                add(egress.ca_dir.as_str(), "/home/mitmproxy/.mitmproxy", false);
                if let Some(ca) = &egress.upstream_ca {
                    add(ca.as_str(), "/etc/egress/upstream-ca.pem", true);
                }
            }
        }
        Daemon::Pipelock => {
            add(plan.pipelock.config.as_str(), "/etc/pipelock/pipelock.yaml", true);
            add(plan.pipelock.ca_cert.as_str(), "/etc/pipelock/ca.pem", true);
            add(plan.pipelock.ca_key.as_str(), "/etc/pipelock/ca-key.pem", true);
        }
        Daemon::GitGate => {
            if let Some(gate) = &plan.git_gate {
                add(gate.entrypoint.as_str(), "/git-gate-entrypoint.sh", true);
                add(gate.pre_receive.as_str(), "/etc/git-gate/pre-receive", true);
                add(gate.access_hook.as_str(), "/etc/git-gate/access-hook", true);
                for (name, path) in gate.credentials.iter() {
                    add(path.as_str(), &format!("/git-gate/creds/{name}"), true);
                }
            }
        }
        Daemon::Supervise => {
            if let Some(supervise) = &plan.supervise {
                add(supervise.queue.as_str(), "/run/supervise/queue", false);
            }
        }
    }
    mounts
}

/// What a block mounts beyond the standard files.
pub(crate) fn extra(common: Common<'_>) -> impl Iterator<Item = Mount> {
    common.volumes.iter().map(volume).chain(common.tmpfs.iter().map(tmpfs))
}

fn volume(volume: &Volume) -> Mount {
    let mut options = Vec::new();
    let source = volume.source.to_string();
    let source = if source.starts_with('/') {
        let bind = volume.bind.as_ref();
        if bind.is_none_or(|bind| !bind.create_host_path) {
            options.push(("bind.create_host_path", "false".to_owned()));
        }
        let propagation = bind.and_then(|bind| bind.propagation);
        options.extend(propagation.map(|propagation| ("bind.propagation", propagation.to_string())));
        let selinux = bind.and_then(|bind| bind.selinux);
        options.extend(selinux.map(|selinux| ("bind.selinux", selinux.to_string())));
        Source::Bind(source)
    } else {
        if let Some(named) = &volume.volume {
            options.extend(named.nocopy.then(|| ("volume.nocopy", "true".to_owned())));
            options.extend(named.subpath.iter().map(|path| ("volume.subpath", path.to_string())));
        }
        Source::Volume(source)
    };
    Mount {
        target: volume.target.to_string(),
        source,
        read_only: volume.read_only,
        options: options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

fn tmpfs(tmpfs: &Tmpfs) -> Mount {
    let mut options = BTreeMap::new();
    if let Some(size) = tmpfs.size {
        options.insert("tmpfs.size".to_owned(), size.get().to_string());
    }
    if let Some(mode) = &tmpfs.mode {
        options.insert("tmpfs.mode".to_owned(), mode.bits().to_string());
    }
    Mount { target: tmpfs.target.to_string(), source: Source::Tmpfs, read_only: false, options }
}

fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        target: target.to_owned(),
        source: Source::Bind(source.to_owned()),
        read_only,
        options: BTreeMap::from([("bind.create_host_path".to_owned(), "false".to_owned())]),
    }
}

fn shown(mount: &Mount) -> String {
    let what = match &mount.source {
        Source::Bind(path) => path.as_str(),
        Source::Volume(name) => return format!("volume {name} on {}", mount.target),
        _ => "a tmpfs",
    };
    let mode = if mount.read_only { " (read-only)" } else { "" };
    format!("{what}{mode}")
}
