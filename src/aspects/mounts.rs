//! Mounts, compared by the paths that they cover.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bottle_model::compose::Source;
use bottle_model::paths::upward;
use bottle_model::sorted::Set;

use super::compare::{Difference, differences};
use super::network;
use super::pair::Pair;
use crate::finding::{Finding, Shown};
use crate::rule::rules;
use crate::view::{MountView, Principal, Resource, UNCLAIMED, View};

rules! {
    comparison:
    DROPPED = MountDropped Conservation Error ["path"] "the bundle drops a mount that a principal had"
        "A path that was mounted for a principal in the legacy shape is mounted for it no longer, neither \
         at the same target nor as part of a folder that covers it. The program then works with what its \
         image happens to hold there, or with nothing: a missing CA breaks every TLS call of the agent, a \
         missing hook switches a scan off, and neither says so at the start.\n\n\
         Example: the legacy `git-gate` mounts `/etc/git-gate/pre-receive`, and no mount of `sidecars` \
         has that target. Pushes are accepted unscanned.\n\n\
         What to do: add the mount to the `sidecars` service at the same target. Under \
         `BOT_BOTTLE_SIDECAR_ISOLATION=require` a mount also counts as gone for a daemon whose neighbour \
         claims the path in `BOT_BOTTLE_SIDECAR_MOUNTS_…`: take the claim back, or name both.";
    COLLISION = MountTargetCollision Conservation Error ["path"] "the bundle mounts two things at one path"
        "Two mounts of one container have the same target. Compose keeps the last of the two and says \
         nothing, so that one daemon works with the other's file. `docker compose config` shows only the \
         survivor, which is why this is looked for before Compose sees the file.\n\n\
         Example: the legacy `egress` has `/srv/a:/data` and the legacy `git-gate` has `/srv/b:/data`. In \
         `sidecars` are both mounted at `/data`, and only `/srv/b` is there.\n\n\
         What to do: give one of the daemons another path, and configure the program for it.";
    SOURCE = MountSourceChanged Conservation Error ["path"] "the bundle mounts something else at a path"
        "The target of a mount is the same in both shapes, and its source is not: another path \
         of the host, another volume, or a volume, config or secret of the same name that is declared \
         differently at the top level. The program finds a file where it looks for one, and it is the \
         wrong one.\n\n\
         Example: `/srv/bottle/routes.yaml:/etc/egress/routes.yaml` became \
         `/srv/other/routes.yaml:/etc/egress/routes.yaml`, or the top-level volume `cache` gained \
         `driver_opts: {type: none, o: bind, device: /}`.\n\n\
         What to do: mount the legacy source. If the source moved on purpose, move it in the legacy shape \
         too, so that the two shapes keep describing one bottle.";
    RO_TO_RW = MountRoToRw Containment Error ["path"] "the bundle makes a read-only mount writable"
        "What a principal could only read it can write now, and on a bind mount that is a write to the \
         host. Configuration, hooks and certificates are mounted read-only so that a daemon that was \
         taken over cannot change its own rules.\n\n\
         Example: `/srv/bottle/routes.yaml:/etc/egress/routes.yaml:ro` lost its `:ro`, or its folder is \
         mounted writable in its place.\n\n\
         What to do: restore `read_only: true`, or `:ro` in the short syntax. If two daemons share a path \
         and only one of them may write, mount it twice at different targets.";
    RW_TO_RO = MountRwToRo Conservation Error ["path"] "the bundle makes a writable mount read-only"
        "A principal wrote to this path and cannot any more. Programs often notice only when they first \
         write, long after the container counts as healthy.\n\n\
         Example: the queue of supervise, `/run/supervise/queue`, is mounted with `read_only: true`, and \
         every request to the operator is lost.\n\n\
         What to do: make the mount writable again, or show in the legacy shape that nobody writes there \
         by making it read-only in both.";
    SHADOWED = MountShadowed Conservation Error ["path"] "a mount hides files that a principal needs"
        "A mount covers what a principal needs and has no mount for: a file of the image that it runs \
         from, the folders of its interpreter and libraries, sidecar-init itself, or a part of one of its \
         own folders, into which a neighbour's mount now reaches. A path that the handshake keeps private \
         for another daemon hides in the same way.\n\n\
         Example: the legacy `git-gate` mounts tools at `/usr/local/lib`. In its own image nothing was \
         there; in the bundle's image the libraries of mitmproxy are, and egress does not start.\n\n\
         What to do: mount narrower, file by file, or at a path that no image uses. For a claim, shorten \
         `BOT_BOTTLE_SIDECAR_MOUNTS_…`.";
    OPTIONS = MountOptionsChanged Conservation Warning ["path"] "the bundle mounts a path with other options"
        "Source and target of a mount are the same and its options are not: propagation, \
         `create_host_path`, `subpath`, `nocopy`, the size of a tmpfs, owner and mode of a secret. The \
         same goes for a top-level volume, config or secret that is new, is gone or has other labels.\n\n\
         Example: a bind lost `create_host_path: false`. When the source is missing, Compose used to stop \
         with an error and now makes an empty folder, which the daemon takes for its configuration.\n\n\
         What to do: copy the options of the legacy mount.";
    COVERAGE = MountCoverageChanged Conservation Warning ["path"] "the bundle mounts a folder instead of a file, or the reverse"
        "The same path is still covered by a bind of the same source, but a single file became its \
         folder, or the reverse. The content is the same today. It differs in two ways: an editor that \
         writes a new file and renames it is seen through the folder and not through the file, and the \
         folder brings everything else that it holds.\n\n\
         Example: `/srv/routes/routes.yaml:/etc/egress/routes.yaml` became `/srv/routes:/etc/egress`.\n\n\
         What to do: nothing, if the folder holds only what the daemon may see; accept it with a waiver \
         that says so. Otherwise keep the file's own mount.";
    UNEXPECTED = MountUnexpected Containment Error ["path"] "the bundle mounts something that no principal had"
        "A principal can open something that no principal of its container had in the legacy shape. \
         `volumes_from` and the file synchronisation of `develop` bring files in as well, and count as \
         mounts. The Docker socket is the worst case: whoever can open it owns the host.\n\n\
         Example: `sidecars` gained `/var/run/docker.sock:/var/run/docker.sock`, or the agent gained the \
         folder with the key of egress's CA.\n\n\
         What to do: remove it. If a daemon needs it, add it to that daemon in the legacy shape first, \
         where it can be judged for one daemon alone.";
    SHARED = MountSecretShared Containment Warning ["path", "whose", "who can open it"]
        "other daemons can open a private path"
        "Daemons that share a container share its file system. Without assured walls every daemon can \
         open what belonged to one alone: the credentials of git-gate, the CA key of pipelock. The paths \
         that a daemon's row calls private, those that `BOT_BOTTLE_SIDECAR_MOUNTS_…` adds, and mounts \
         that nobody claims are looked at.\n\n\
         Example: with `BOT_BOTTLE_SIDECAR_ISOLATION=best-effort`, supervise may be able to read \
         `/git-gate/creds` on a kernel without Landlock.\n\n\
         What to do: set `BOT_BOTTLE_SIDECAR_ISOLATION: require`, and claim further mounts with \
         `BOT_BOTTLE_SIDECAR_MOUNTS_<DAEMON>`. Otherwise accept it with a waiver that says why these \
         daemons may trust each other.";
    UNDECLARED = VolumeUndeclared Conservation Error "a named volume is not declared"
        "A service mounts a named volume that has no entry in the top-level `volumes:`. Compose refuses \
         the whole file, so that nothing starts at all.\n\n\
         Example: `cache:/cache` was copied into `sidecars`, and `volumes: {cache: {}}` was not copied to \
         the top level.\n\n\
         What to do: copy the top-level entry too, with its options.";
    TMPFS = TmpfsLost Conservation Error ["path"] "the bundle drops a tmpfs that a principal had"
        "A path that lived in memory is on disk now, or fails on a read-only root. Secrets that were \
         never meant to touch a disk are then kept in the layer of the container.\n\n\
         Example: the legacy `egress` has `tmpfs: [/run/keys]`, and `sidecars` has no mount at \
         `/run/keys`.\n\n\
         What to do: add the path to `tmpfs:` of `sidecars`, with the same options.";
}

pub(super) fn documents(before: &View<'_>, after: &View<'_>, findings: &mut Vec<Finding>) {
    // The key is the document's own; what it declares goes by its name.
    let same =
        |a: &Resource<'_>, b: &Resource<'_>| a.external == b.external && a.effective().eq(b.effective());
    for difference in differences(&before.resources, &after.resources, same) {
        let (key, was, is) = match difference {
            // The mount that uses it is reported.
            Difference::Lost(key, _) if undeclared(after, key) => continue,
            Difference::Lost(key, was) => (key, Some(was), None),
            Difference::Gained(key, is) => (key, None, Some(is)),
            Difference::Changed(key, was, is) => (key, Some(was), Some(is)),
        };
        let show = |resource: &Resource<'_>| {
            let section = key.split('/').next().unwrap_or_default();
            let place = format!("{section}s.{}", resource.key);
            Shown::plain(format!("{:?} external={}", resource.settings, resource.external), place)
        };
        // Whoever mounts it finds something else, at the same source and target.
        let content = |resource: &Resource<'_>| {
            let settings = resource.effective().filter(|(name, _)| !name.starts_with("labels"));
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (resource.external, settings.collect::<Vec<_>>())
        };
        let other = was.zip(is).is_some_and(|(was, is)| content(was) != content(is));
        let rule = match (key.starts_with("model/"), is) {
            (true, Some(_)) => &network::REACH_GAINED,
            (true, None) => &network::REACH_LOST,
            _ if other => &SOURCE,
            _ => &OPTIONS,
        };
        findings.push(Finding {
            before: was.map(show),
            after: is.map(show),
            ..Finding::gained(rule, "", key.clone(), Shown::plain("", ""))
                .because(format!("{key} is declared differently"))
        });
    }
}

/// Whether a volume is mounted that the document does not declare.
fn undeclared(view: &View<'_>, key: &str) -> bool {
    let mut mounts = view
        .principals
        .values()
        .flat_map(|principal| principal.mounts.iter())
        .filter(|mount| !mount.declared);
    mounts.any(|mount| matches!(&*mount.source, Source::Volume(name) if key == format!("volume/{name}")))
}

fn show(mount: &MountView<'_>) -> Shown {
    let source = match &*mount.source {
        Source::Bind(path) => path.clone(),
        Source::Volume(name) => format!("volume {name}"),
        Source::Image(name) => format!("image {name}"),
        Source::Config(name) => format!("config {name}"),
        Source::Secret(name) => format!("secret {name}"),
        Source::Other(kind, name) => format!("{kind} {name}"),
        Source::Anonymous => "anonymous volume".to_owned(),
        Source::Tmpfs => "tmpfs".to_owned(),
    };
    let mode = if mount.read_only { " (ro)" } else { "" };
    let declared = if mount.declared { "" } else { ", not declared" };
    Shown::plain(format!("{source} → {}{mode}{declared}", mount.target), mount.place)
}

/// Path below a mount's source that appears at `target`, if the mount covers it.
fn resolved(mount: &MountView<'_>, target: &str) -> Option<String> {
    let Source::Bind(source) = &*mount.source else { return None };
    let rest = target.strip_prefix(mount.target)?;
    rest.starts_with('/').then(|| format!("{}{rest}", source.trim_end_matches('/')))
}

/// Whether a bind of a folder puts at a file's target what the file's own bind puts there.
fn covers(folder: &MountView<'_>, file: &MountView<'_>) -> bool {
    matches!((&*file.source, resolved(folder, file.target)), (Source::Bind(path), Some(other)) if *path == other)
}

/// The first in the file.
fn first<'v, 'a>(mounts: impl Iterator<Item = &'v MountView<'a>>) -> Option<&'v MountView<'a>>
where
    'a: 'v,
{
    mounts.min_by_key(|mount| mount.place)
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (&pair.before.mounts, &pair.after.mounts);
    // Two on one target collide, and Compose keeps the last.
    for difference in differences(before.by_path(), after.by_path(), |_, _| false) {
        match difference {
            Difference::Lost(_, mounts) => mounts.iter().for_each(|(_, mount)| lost(pair, mount, findings)),
            Difference::Gained(_, mounts) => {
                gained(pair, &mounts[0].1, findings);
                findings.extend(mounts[1..].iter().map(|(_, mount)| collision(pair, mount)));
            }
            Difference::Changed(_, was, is) => {
                let common = was.len().min(is.len());
                if was.len() == is.len() {
                    was.iter().zip(is).for_each(|((_, was), (_, is))| changed(pair, was, is, findings));
                }
                findings.extend(is[common..].iter().map(|(_, mount)| collision(pair, mount)));
                findings.extend(was[common..].iter().map(|(_, mount)| {
                    Finding::lost(&COLLISION, pair.name, mount.target, show(mount))
                        .because("it collided with another before")
                }));
            }
        }
    }
    overlaid(pair, findings);
    for file in pair.after.shadowed.symmetric_difference(&pair.before.shadowed) {
        let shown = Shown::plain(*file, pair.is("volumes"));
        findings.push(if pair.after.shadowed.contains(file) {
            Finding::gained(&SHADOWED, pair.name, *file, shown)
                .because(format!("{} does not find its {file}", pair.name))
        } else {
            Finding::lost(&SHADOWED, pair.name, *file, shown).because("a mount hid it before")
        });
    }
    for difference in differences(&pair.before.exposed, &pair.after.exposed, |a, b| a == b) {
        let list = |names: &Set<&str>| {
            Shown::plain(names.iter().copied().collect::<Vec<_>>().join(", "), pair.is("volumes"))
        };
        match difference {
            Difference::Gained(path, others) => {
                let news = news(pair, path, others);
                if !news.is_empty() {
                    let shown = Shown::plain(news.join(", "), pair.is("volumes"));
                    findings.push(
                        Finding::gained(&SHARED, pair.name, path.clone(), shown)
                            .because("daemons of the same container can open it"),
                    );
                }
            }
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

/// Others that can open what the principal alone had below a path, each with what of it unless it is all.
fn news<'v>(pair: &Pair<'_>, path: &str, others: &Set<&'v str>) -> Vec<Cow<'v, str>> {
    let path = path.strip_suffix(UNCLAIMED).unwrap_or(path);
    let mut own: Vec<&MountView<'_>> = pair.before.mounts.touching(path).collect();
    own.sort_by_key(|mount| mount.place);
    let news = |other: &&'v str| {
        let neighbour = pair.neighbours.iter().find(|neighbour| neighbour.name == *other);
        let theirs = neighbour.and_then(|neighbour| neighbour.before);
        let had = |mount: &MountView<'_>| {
            theirs.is_some_and(|theirs| theirs.mounts.at(mount.target).any(|was| was.source == mount.source))
        };
        let fresh = || own.iter().filter(|mount| !had(mount)).map(|mount| mount.target);
        match fresh().count() {
            0 => None,
            count if count == own.len() => Some(Cow::Borrowed(*other)),
            _ => Some(format!("{other} ({})", fresh().collect::<Vec<_>>().join(" ")).into()),
        }
    };
    others.iter().filter_map(news).collect()
}

/// Whether a finding says already that a neighbour can open a path of a principal.
fn shared(principal: &Principal<'_>, path: &str, neighbour: &str) -> bool {
    let has = |others: &Set<&str>| others.contains(neighbour);
    let at = |path: &str| principal.exposed.get(path).is_some_and(has);
    let below = || {
        let folder = [path.trim_end_matches('/'), "/"].concat();
        let paths = principal.exposed.since(&folder);
        paths.take_while(|(path, _)| path.starts_with(&folder)).any(|(_, others)| has(others))
    };
    upward(path).any(at) || upward(path).any(|path| at(&[path, UNCLAIMED].concat())) || below()
}

fn collision(pair: &Pair<'_>, mount: &MountView<'_>) -> Finding {
    Finding::gained(&COLLISION, pair.name, mount.target, show(mount))
        .because("Compose keeps the last of two mounts on one target")
}

fn lost(pair: &Pair<'_>, mount: &MountView<'_>, findings: &mut Vec<Finding>) {
    let (above, below) = (pair.after.mounts.above(mount.target), pair.after.mounts.below(mount.target));
    let above = above.filter(|folder| covers(folder, mount));
    let folder = first(above.chain(below.filter(|file| covers(mount, file))));
    let Some(folder) = folder else {
        let rule = if *mount.source == Source::Tmpfs { &TMPFS } else { &DROPPED };
        findings.push(
            Finding::lost(rule, pair.name, mount.target, show(mount)).because("nothing is mounted there"),
        );
        return;
    };
    findings.push(
        Finding::changed(&COVERAGE, pair.name, mount.target, show(mount), show(folder))
            .because("another bind covers the same path"),
    );
    access(pair, mount, folder, findings);
}

fn changed(pair: &Pair<'_>, was: &MountView<'_>, is: &MountView<'_>, findings: &mut Vec<Finding>) {
    let MountView { target, source, read_only: _, options, declared, place: _ } = was;
    let changed =
        |rule, why: &str| Finding::changed(rule, pair.name, *target, show(was), show(is)).because(why);
    if *source != is.source {
        findings.push(changed(&SOURCE, "something else is mounted there"));
    }
    access(pair, was, is, findings);
    if !was.effective().eq(is.effective()) {
        let text = |options, place| Shown::plain(format!("{options:?}"), place);
        let (before, after) = (text(options, was.place), text(&is.options, is.place));
        findings.push(
            Finding::changed(&OPTIONS, pair.name, *target, before, after)
                .because("the mount has other options"),
        );
    }
    if *declared && !is.declared {
        findings.push(changed(&UNDECLARED, "the volume has no top-level entry"));
    }
}

/// Whether what a mount brings can be written.
fn access(pair: &Pair<'_>, was: &MountView<'_>, is: &MountView<'_>, findings: &mut Vec<Finding>) {
    let (rule, why) = match (was.read_only, is.read_only) {
        (true, false) => (&RO_TO_RW, "it can be written now"),
        (false, true) => (&RW_TO_RO, "it cannot be written any more"),
        _ => return,
    };
    findings.push(Finding::changed(rule, pair.name, was.target, show(was), show(is)).because(why));
}

fn gained(pair: &Pair<'_>, mount: &MountView<'_>, findings: &mut Vec<Finding>) {
    let before = &pair.before.mounts;
    if !mount.declared {
        findings.push(
            Finding::gained(&UNDECLARED, pair.name, mount.target, show(mount))
                .because("the volume has no top-level entry"),
        );
    }
    if let Some(above) = first(before.above(mount.target).filter(|above| covers(above, mount))) {
        access(pair, above, mount, findings);
        return;
    }
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let own = |was: &MountView<'_>| covers(mount, was) && parent(was.target).as_deref() == Some(mount.target);
    let theirs = |principal: &Principal<'_>| {
        principal.mounts.at(mount.target).any(|was| was.source == mount.source)
            || principal.mounts.below(mount.target).any(|was| covers(mount, was))
    };
    // A mount that a neighbour shares is reported for the neighbour.
    let shared = pair.neighbours.iter().any(|neighbour| {
        neighbour.before.is_some_and(theirs)
            && neighbour.after.is_some_and(|principal| shared(principal, mount.target, pair.name))
    });
    if !(before.below(mount.target).any(own) || shared) {
        findings.push(
            Finding::gained(&UNEXPECTED, pair.name, mount.target, show(mount))
                .because("no principal of this container had it"),
        );
    }
}

/// Mounts of neighbours inside a folder of the principal's: they hide what it had there.
fn overlaid(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let own = &pair.before.mounts;
    let mut inside: BTreeMap<&str, &MountView<'_>> = BTreeMap::new();
    for neighbour in pair.neighbours.iter().filter(|other| !pair.before.together.contains(other.name)) {
        let (Some(was), Some(is)) = (neighbour.before, neighbour.after) else { continue };
        let theirs = own.iter().filter(|own| own.target != "/").flat_map(|own| was.mounts.below(own.target));
        for theirs in theirs.filter(|theirs| own.at(theirs.target).next().is_none()) {
            inside.extend(is.mounts.at(theirs.target).last().map(|mount| (mount.target, mount)));
        }
    }
    for mount in inside.into_values() {
        let above = own.above(mount.target);
        let folder = first(above.filter(|folder| folder.target != "/" && !covers(folder, mount)));
        if let Some(folder) = folder {
            findings.push(
                Finding::gained(&SHADOWED, pair.name, mount.target, show(mount))
                    .because(format!("a neighbour's mount lies inside {}", folder.target)),
            );
        }
    }
}
