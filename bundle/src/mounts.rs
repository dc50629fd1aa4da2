//! What is mounted: the union of every daemon's, in which no mount takes another's place.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Mount, Source};
use bottle_model::daemon::{Daemon, row};
use bottle_model::images::{self, INIT, SHARED_PATHS, SHARED_TREES};
use bottle_model::plan::{Common, Plan, Tmpfs, Volume};
use bottle_model::privacy::covers;

use crate::Conflict;

/// What one daemon mounts.
pub(crate) struct Own {
    daemon: Daemon,
    standard: Vec<Mount>,
    extra: Vec<Mount>,
}

impl Own {
    fn all(&self) -> impl Iterator<Item = &Mount> {
        self.standard.iter().chain(&self.extra)
    }

    fn has(&self, mount: &Mount) -> bool {
        self.all().any(|own| own == mount)
    }
}

/// What each daemon mounts.
pub(crate) fn each(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> Vec<Own> {
    daemons
        .iter()
        .map(|(daemon, common)| Own {
            daemon: *daemon,
            standard: standard(plan, *daemon),
            extra: extra(*common),
        })
        .collect()
}

/// The mounts of the container.
pub(crate) fn merged(each: &[Own]) -> Result<Vec<Mount>, Conflict> {
    let mut mounts: Vec<(Daemon, &Mount)> = Vec::new();
    for own in each {
        for mount in own.all() {
            match mounts.iter().find(|(_, held)| held.target == mount.target) {
                Some((_, held)) if *held == mount => {}
                Some((first, held)) => {
                    return Err(Conflict::Target {
                        target: mount.target.clone(),
                        first: *first,
                        one: shown(held),
                        second: own.daemon,
                        other: shown(mount),
                    });
                }
                None => mounts.push((own.daemon, mount)),
            }
        }
        for mount in &own.extra {
            hides(each, own, mount)?;
        }
    }
    Ok(mounts.into_iter().map(|(_, mount)| mount.clone()).collect())
}

/// Refuses a mount that hides from another daemon what that has, or what the image has for it.
fn hides(each: &[Own], own: &Own, mount: &Mount) -> Result<(), Conflict> {
    let target = mount.target.as_str();
    let conflict = |hidden: &str, from: &str| {
        Err(Conflict::Hides {
            target: target.to_owned(),
            daemon: own.daemon,
            hidden: hidden.to_owned(),
            from: from.to_owned(),
        })
    };
    if covers(target, INIT) {
        return conflict(INIT, "the init");
    }
    for other in each {
        let moved = other.daemon == own.daemon && own.daemon == Daemon::Pipelock;
        if other.has(mount) && !moved {
            continue;
        }
        for file in images::files(other.daemon) {
            if covers(target, file) {
                return conflict(file, other.daemon.name());
            }
        }
        if other.has(mount) {
            continue;
        }
        let shared = SHARED_TREES.iter().find(|tree| covers(target, tree) || covers(tree, target));
        let shared = shared.or_else(|| SHARED_PATHS.iter().find(|path| covers(target, path)));
        if let Some(path) = shared {
            return conflict(path, other.daemon.name());
        }
        // Of nested mounts the inner one shows in the outer one's place, to everyone.
        let differs = |nested: &&Mount| nested.target != target && !own.has(nested);
        if let Some(inner) = other.all().filter(differs).find(|inner| covers(target, &inner.target)) {
            return conflict(&inner.target, other.daemon.name());
        }
        if let Some(outer) = other.all().filter(differs).find(|outer| covers(&outer.target, target)) {
            return conflict(&format!("a part of {}", outer.target), other.daemon.name());
        }
    }
    Ok(())
}

/// Paths beyond the table's that are a daemon's own: its extra mounts.
pub(crate) fn private(plan: &Plan, each: &[Own]) -> BTreeMap<String, BTreeSet<String>> {
    if each.len() < 2 {
        return BTreeMap::new();
    }
    each.iter()
        .map(|own| {
            let table = row(own.daemon, plan.chain).private;
            let paths = own
                .extra
                .iter()
                .filter(|mount| !each.iter().all(|other| other.has(mount)))
                .map(|mount| mount.target.clone())
                .filter(|target| !table.iter().any(|path| covers(path, target)));
            (own.daemon.name().to_owned(), paths.collect())
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
pub(crate) fn extra(common: Common<'_>) -> Vec<Mount> {
    common.volumes.iter().map(volume).chain(common.tmpfs.iter().map(tmpfs)).collect()
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
