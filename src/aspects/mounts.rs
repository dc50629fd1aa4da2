//! Mounts, compared by the paths that they cover.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Source;

use super::Pair;
use super::compare::{Difference, differences, rules};
use crate::finding::{Finding, Shown};
use crate::view::{MountView, Resource, View};

rules! {
    DROPPED = "mount-dropped" Conservation Error "a mount is gone"
        "The principal no longer finds what was mounted. A dropped CA breaks every TLS call, a dropped hook switches a scan off.";
    COLLISION = "mount-target-collision" Conservation Error "two mounts have one target"
        "Compose keeps the last of two mounts on one target and says nothing. The other is lost.";
    SOURCE = "mount-source-changed" Conservation Error "something else is mounted"
        "The path is the same and what stands there is not.";
    RO_TO_RW = "mount-ro-to-rw" Containment Error "a read-only mount became writable"
        "The principal can now change what it could only read, on the host.";
    RW_TO_RO = "mount-rw-to-ro" Conservation Error "a writable mount became read-only"
        "The principal can no longer write what it has to, for example the queue of supervise.";
    SHADOWED = "mount-shadowed" Conservation Error "a mount hides what the image put there"
        "A mount at or above a file that the daemon runs from hides it; so does a private path of another daemon.";
    OPTIONS = "mount-options-changed" Conservation Warning "options of a mount differ"
        "Propagation, create_host_path, subpath and the like.";
    COVERAGE = "mount-coverage-changed" Conservation Warning "a file and its folder changed places"
        "The same path is covered by a bind of its folder, or the reverse. Editing by rename works for the folder alone.";
    UNEXPECTED = "mount-unexpected" Containment Error "a mount is new"
        "The principal can open something that no one of its container had before.";
    SHARED = "mount-secret-shared" Containment Warning "neighbours can open a private path"
        "Daemons that share a container can open each other's files, unless BOT_BOTTLE_SIDECAR_ISOLATION=require walls them off.";
    UNDECLARED = "volume-undeclared" Conservation Error "a named volume is not declared"
        "Compose refuses a service that uses a volume without a top-level entry.";
    TMPFS = "tmpfs-lost" Conservation Error "a tmpfs is gone"
        "What was kept in memory is now written to the container's layer, or fails on a read-only root.";
}

pub(super) fn documents(before: &View, after: &View, findings: &mut Vec<Finding>) {
    for difference in differences(&before.resources, &after.resources, |a, b| a == b) {
        let (key, was, is) = match difference {
            // A mount of it tells.
            Difference::Lost(key, _) if undeclared(after, key) => continue,
            Difference::Lost(key, was) => (key, Some(was), None),
            Difference::Gained(key, is) => (key, None, Some(is)),
            Difference::Changed(key, was, is) => (key, Some(was), Some(is)),
        };
        let show = |resource: &Resource| {
            let section = key.split('/').next().unwrap_or_default();
            let place = format!("{section}s.{}", resource.key);
            Shown::plain(format!("{:?} external={}", resource.settings, resource.external), place)
        };
        // Whoever mounts it finds something else, at the same source and target.
        let content = |resource: &Resource| {
            let settings = resource.settings.iter().filter(|(name, _)| !name.starts_with("labels"));
            (
                resource.external,
                settings.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>(),
            )
        };
        let other = was.zip(is).is_some_and(|(was, is)| content(was) != content(is));
        findings.push(Finding {
            before: was.map(show),
            after: is.map(show),
            ..Finding::gained(if other { &SOURCE } else { &OPTIONS }, "", key.clone(), Shown::plain("", ""))
                .because(format!("{key} is declared differently"))
        });
    }
}

/// Whether a volume is mounted that the document does not declare.
fn undeclared(view: &View, key: &str) -> bool {
    let mut mounts = view.parties.values().flat_map(|party| &party.mounts).filter(|mount| !mount.declared);
    mounts.any(|mount| matches!(&mount.source, Source::Volume(name) if key == format!("volume/{name}")))
}

fn show(mount: &MountView) -> Shown {
    let source = match &mount.source {
        Source::Bind(path) | Source::Volume(path) | Source::Image(path) => path.as_str(),
        Source::Config(name) | Source::Secret(name) | Source::Other(_, name) => name.as_str(),
        Source::Anonymous => "anonymous volume",
        Source::Tmpfs => "tmpfs",
    };
    let mode = if mount.read_only { " (ro)" } else { "" };
    Shown::plain(format!("{source} → {}{mode}", mount.target), mount.place.clone())
}

/// Path below a mount's source that stands at `target`, if the mount covers it.
fn resolved(mount: &MountView, target: &str) -> Option<String> {
    let Source::Bind(source) = &mount.source else { return None };
    let rest = target.strip_prefix(mount.target.as_str())?;
    rest.starts_with('/').then(|| format!("{}{rest}", source.trim_end_matches('/')))
}

/// Whether a bind of a folder puts at a file's target what the file's own bind puts there.
fn covers(folder: &MountView, file: &MountView) -> bool {
    matches!((&file.source, resolved(folder, &file.target)), (Source::Bind(path), Some(other)) if *path == other)
}

/// Mounts by target; two on one target collide, and Compose keeps the last.
fn by_target(mounts: &[MountView]) -> BTreeMap<&str, Vec<&MountView>> {
    let mut targets: BTreeMap<&str, Vec<&MountView>> = BTreeMap::new();
    for mount in mounts {
        targets.entry(mount.target.as_str()).or_default().push(mount);
    }
    targets
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (&pair.before.mounts, &pair.after.mounts);
    for difference in differences(&by_target(before), &by_target(after), |_, _| false) {
        match difference {
            Difference::Lost(_, mounts) => mounts.iter().for_each(|mount| lost(pair, mount, findings)),
            Difference::Gained(_, mounts) => {
                gained(pair, mounts[0], findings);
                mounts[1..].iter().for_each(|mount| findings.push(collision(pair, mount)));
            }
            Difference::Changed(_, was, is) => {
                let common = was.len().min(is.len());
                if was.len() == is.len() {
                    was.iter().zip(is).for_each(|(was, is)| changed(pair, was, is, findings));
                }
                findings.extend(is[common..].iter().map(|mount| collision(pair, mount)));
                findings.extend(was[common..].iter().map(|mount| {
                    Finding::lost(&COLLISION, pair.name, mount.target.clone(), show(mount))
                        .because("it collided with another before")
                }));
            }
        }
    }
    overlaid(pair, findings);
    for file in pair.after.shadowed.symmetric_difference(&pair.before.shadowed) {
        let shown = Shown::plain(file.clone(), pair.is("volumes"));
        findings.push(if pair.after.shadowed.contains(file) {
            Finding::gained(&SHADOWED, pair.name, file.clone(), shown)
                .because(format!("{} does not find its {file}", pair.name))
        } else {
            Finding::lost(&SHADOWED, pair.name, file.clone(), shown).because("a mount hid it before")
        });
    }
    for difference in differences(&pair.before.exposed, &pair.after.exposed, |a, b| a == b) {
        let list = |names: &BTreeSet<String>| {
            Shown::plain(names.iter().map(String::as_str).collect::<Vec<_>>().join(", "), pair.is("volumes"))
        };
        let mine = |path: &str| {
            before
                .iter()
                .any(|mount| mount.target.starts_with(path) || path.starts_with(mount.target.as_str()))
        };
        match difference {
            Difference::Gained(path, others) if mine(path) => findings.push(
                Finding::gained(&SHARED, pair.name, path.clone(), list(others))
                    .because("daemons of the same container can open it"),
            ),
            Difference::Gained(..) => {}
            Difference::Lost(path, others) => findings.push(
                Finding::lost(&SHARED, pair.name, path.clone(), list(others))
                    .because("others could open it before"),
            ),
            Difference::Changed(path, was, is) => findings.push(
                Finding::changed(&SHARED, pair.name, path.clone(), list(was), list(is))
                    .because("others can open it"),
            ),
        }
    }
}

fn collision(pair: &Pair<'_>, mount: &MountView) -> Finding {
    Finding::gained(&COLLISION, pair.name, mount.target.clone(), show(mount))
        .because("Compose keeps the last of two mounts on one target")
}

fn lost(pair: &Pair<'_>, mount: &MountView, findings: &mut Vec<Finding>) {
    let folder = pair.after.mounts.iter().find(|folder| covers(folder, mount) || covers(mount, folder));
    let Some(folder) = folder else {
        let rule = if mount.source == Source::Tmpfs { &TMPFS } else { &DROPPED };
        findings.push(
            Finding::lost(rule, pair.name, mount.target.clone(), show(mount))
                .because("nothing is mounted there"),
        );
        return;
    };
    findings.push(
        Finding::changed(&COVERAGE, pair.name, mount.target.clone(), show(mount), show(folder))
            .because("another bind covers the same path"),
    );
    access(pair, mount, folder, findings);
}

fn changed(pair: &Pair<'_>, was: &MountView, is: &MountView, findings: &mut Vec<Finding>) {
    let MountView { target, source, read_only: _, options, declared, place: _ } = was;
    let changed =
        |rule, why: &str| Finding::changed(rule, pair.name, target.clone(), show(was), show(is)).because(why);
    if *source != is.source {
        findings.push(changed(&SOURCE, "something else is mounted there"));
    }
    access(pair, was, is, findings);
    if *options != is.options {
        let text = |options, place: &String| Shown::plain(format!("{options:?}"), place.clone());
        let (before, after) = (text(options, &was.place), text(&is.options, &is.place));
        findings.push(
            Finding::changed(&OPTIONS, pair.name, target.clone(), before, after)
                .because("the mount has other options"),
        );
    }
    if *declared && !is.declared {
        findings.push(changed(&UNDECLARED, "the volume has no top-level entry"));
    }
}

/// Whether what a mount brings can be written.
fn access(pair: &Pair<'_>, was: &MountView, is: &MountView, findings: &mut Vec<Finding>) {
    let (rule, why) = match (was.read_only, is.read_only) {
        (true, false) => (&RO_TO_RW, "it can be written now"),
        (false, true) => (&RW_TO_RO, "it cannot be written any more"),
        _ => return,
    };
    findings.push(Finding::changed(rule, pair.name, was.target.clone(), show(was), show(is)).because(why));
}

fn gained(pair: &Pair<'_>, mount: &MountView, findings: &mut Vec<Finding>) {
    let before = &pair.before.mounts;
    if !mount.declared {
        findings.push(
            Finding::gained(&UNDECLARED, pair.name, mount.target.clone(), show(mount))
                .because("the volume has no top-level entry"),
        );
    }
    if let Some(above) = before.iter().find(|above| covers(above, mount)) {
        access(pair, above, mount, findings);
        return;
    }
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let own =
        |was: &MountView| covers(mount, was) && parent(&was.target).as_deref() == Some(mount.target.as_str());
    let theirs =
        |was: &MountView| (was.target == mount.target && was.source == mount.source) || covers(mount, was);
    if !before.iter().any(own) && pair.neighbour_had(|party| party.mounts.iter().any(theirs)).is_none() {
        findings.push(
            Finding::gained(&UNEXPECTED, pair.name, mount.target.clone(), show(mount))
                .because("nobody of this container had it"),
        );
    }
}

/// Mounts of neighbours inside a folder of the principal's: they hide what it had there.
fn overlaid(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let had = |target: &str| pair.before.mounts.iter().any(|mount| mount.target == target);
    let neighbours = pair.after.together.iter().filter(|name| *name != pair.name);
    let mut inside: BTreeMap<&str, &MountView> = BTreeMap::new();
    for name in neighbours.filter(|name| !pair.before.together.contains(*name)) {
        let (Some(was), Some(is)) = (pair.views.0.parties.get(name), pair.views.1.parties.get(name)) else {
            continue;
        };
        let theirs = &was.mounts;
        for mount in &is.mounts {
            if theirs.iter().any(|was| was.target == mount.target) && !had(&mount.target) {
                inside.insert(&mount.target, mount);
            }
        }
    }
    for mount in inside.into_values() {
        let folder = pair.before.mounts.iter().find(|folder| {
            mount.target.strip_prefix(folder.target.as_str()).is_some_and(|rest| rest.starts_with('/'))
                && !covers(folder, mount)
        });
        if let Some(folder) = folder {
            findings.push(
                Finding::gained(&SHADOWED, pair.name, mount.target.clone(), show(mount))
                    .because(format!("a neighbour's mount lies inside {}", folder.target)),
            );
        }
    }
}
