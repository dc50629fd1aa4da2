//! Mounts, compared by the paths that they cover.

use bottle_model::compose::Source;

use super::Pair;
use super::compare::{Difference, differences, rules};
use crate::finding::{Finding, Shown};
use crate::view::{MountView, View};

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
            Difference::Lost(key, was) => (key, Some(was), None),
            Difference::Gained(key, is) => (key, None, Some(is)),
            Difference::Changed(key, was, is) => (key, Some(was), Some(is)),
        };
        let show = |resource: &crate::view::Resource| {
            let section = key.split('/').next().unwrap_or_default();
            let place = format!("{section}s.{}", resource.key);
            Shown::plain(format!("{:?} external={}", resource.settings, resource.external), place)
        };
        findings.push(Finding {
            before: was.map(show),
            after: is.map(show),
            ..Finding::lost(&OPTIONS, "", key.clone(), Shown::plain("", ""))
                .because(format!("{key} is declared differently"))
        });
    }
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
    (rest.starts_with('/')).then(|| format!("{source}{rest}"))
}

/// Whether a bind of a folder puts at a file's target what the file's own bind puts there.
fn covers(folder: &MountView, file: &MountView) -> bool {
    matches!((&file.source, resolved(folder, &file.target)), (Source::Bind(path), Some(other)) if *path == other)
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (&pair.before.mounts, &pair.after.mounts);
    let at = |mounts: &'_ [MountView], target: &str| mounts.iter().position(|mount| mount.target == target);
    for mount in before {
        let Some(index) = at(after, &mount.target) else {
            let folder = after.iter().find(|folder| covers(folder, mount) || covers(mount, folder));
            findings.push(if let Some(folder) = folder {
                Finding::changed(&COVERAGE, pair.name, mount.target.clone(), show(mount), show(folder))
                    .because("another bind covers the same path")
            } else {
                let rule = if mount.source == Source::Tmpfs { &TMPFS } else { &DROPPED };
                Finding::lost(rule, pair.name, mount.target.clone(), show(mount))
                    .because("nothing is mounted there")
            });
            continue;
        };
        let now = &after[index];
        let MountView { target, source, read_only, options, declared, place: _ } = mount;
        let changed = |rule, why: &str| {
            Finding::changed(rule, pair.name, target.clone(), show(mount), show(now)).because(why)
        };
        if *source != now.source {
            findings.push(changed(&SOURCE, "something else is mounted there"));
        }
        match (read_only, now.read_only) {
            (true, false) => findings.push(changed(&RO_TO_RW, "it can be written now")),
            (false, true) => findings.push(changed(&RW_TO_RO, "it cannot be written any more")),
            _ => {}
        }
        if *options != now.options {
            let text = |options| Shown::plain(format!("{options:?}"), now.place.clone());
            findings.push(
                Finding::changed(&OPTIONS, pair.name, target.clone(), text(options), text(&now.options))
                    .because("the mount has other options"),
            );
        }
        if *declared && !now.declared {
            findings.push(changed(&UNDECLARED, "the volume has no top-level entry"));
        }
    }
    for (index, mount) in after.iter().enumerate() {
        if at(after, &mount.target) != Some(index) && !before.iter().skip(1).any(|was| was == mount) {
            findings.push(
                Finding::gained(&COLLISION, pair.name, mount.target.clone(), show(mount))
                    .because("Compose keeps the last of two mounts on one target"),
            );
        }
        if at(before, &mount.target).is_some() {
            continue;
        }
        if !mount.declared {
            findings.push(
                Finding::gained(&UNDECLARED, pair.name, mount.target.clone(), show(mount))
                    .because("the volume has no top-level entry"),
            );
        }
        let had = |mounts: &[MountView]| {
            mounts
                .iter()
                .any(|was| (was.target == mount.target && was.source == mount.source) || covers(mount, was))
        };
        let shared = pair.neighbour_had(|party| had(&party.mounts)).is_some();
        let narrow = before.iter().any(|was| {
            covers(was, mount)
                || (covers(mount, was)
                    && was.target.rsplit_once('/').is_some_and(|(parent, _)| parent == mount.target))
        });
        if !shared && !narrow {
            findings.push(
                Finding::gained(&UNEXPECTED, pair.name, mount.target.clone(), show(mount))
                    .because("nobody of this container had it"),
            );
        }
    }
    // A collision that the merger undid is lost mounts, and the count of mounts tells.
    if before.len() > after.len() && before.iter().all(|mount| at(after, &mount.target).is_some()) {
        for (index, mount) in
            before.iter().enumerate().filter(|(index, mount)| at(before, &mount.target) != Some(*index))
        {
            findings.push(
                Finding::lost(&COLLISION, pair.name, mount.target.clone(), show(mount))
                    .because(format!("mount {index} of the target stands no longer")),
            );
        }
    }
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
        let list = |names: &std::collections::BTreeSet<String>| {
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
