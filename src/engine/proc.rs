//! Reads from `/proc` what the processes of a container show, if the engine runs on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use bottle_model::daemon::Listen;
use bottle_model::proc_net;

use super::EngineError;

use crate::running::inspect::Container;
use crate::running::process::{self, Observed, Process, Reality};

/// Where an engine mounts something of its own into every container.
const ENGINES: [&str; 9] = [
    "/",
    "/proc",
    "/sys",
    "/dev",
    "/etc/resolv.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/sbin/docker-init",
    "/dev/init",
];

/// Links that lead to each other.
const HOPS: usize = 40;

/// Bytes of a file of users.
const LARGEST: u64 = 1 << 20;

/// `O_NONBLOCK` and `O_NOFOLLOW` (`open(2)`).
const NONBLOCK: i32 = 0o4000;
const NOFOLLOW: i32 = 0o400_000;

/// What can be seen of a container; `top` lists its processes.
pub(super) fn observe(container: &Container, top: impl FnOnce() -> Result<String, EngineError>) -> Observed {
    let mut observed = Observed {
        processes: top().map(|text| process::top(&text)).unwrap_or_default(),
        ..Observed::default()
    };
    let first = folder(container.state.pid);
    // The number may be somebody else's on this machine, when the engine is on another.
    let here = fs::read_to_string(first.join("cgroup")).is_ok_and(|text| text.contains(&container.id));
    if !here {
        return observed;
    }
    let root = first.join("root");
    observed.users = process::users(&passwd(&root).unwrap_or_default());
    observed.mounts =
        fs::read_to_string(first.join("mountinfo")).ok().map(|text| mounts(container, &root, &text));
    for process in &mut observed.processes {
        look(process);
    }
    observed
}

/// The users of a container, who may have put anything in the place of the file.
fn passwd(root: &Path) -> Option<String> {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(NONBLOCK | NOFOLLOW).open(inside(root, "/etc/passwd")).ok()?;
    let mut text = String::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn folder(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn look(process: &mut Process) {
    let folder = folder(process.pid);
    let words = |name: &str| {
        let bytes = fs::read(folder.join(name)).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(text.trim_end_matches('\0').split('\0').map(str::to_owned).collect::<Vec<String>>())
    };
    process.argv = words("cmdline");
    process.variables = words("environ").map(|entries| {
        entries.iter().filter_map(|entry| entry.split_once('=')).map(|(name, _)| name.to_owned()).collect()
    });
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    process.inner = numbers.and_then(|numbers| numbers.split_whitespace().last()?.parse().ok());
    process.listening = listening(&folder);
}

/// Open sockets of a process that listen in its network namespace.
fn listening(folder: &Path) -> Option<BTreeSet<Listen>> {
    let inode =
        |link: PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    let own: BTreeSet<u64> = fs::read_dir(folder.join("fd"))
        .ok()?
        .filter_map(|entry| inode(fs::read_link(entry.ok()?.path()).ok()?))
        .collect();
    let tables =
        ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(folder.join(table)).unwrap_or_default());
    let all = tables.iter().flat_map(|text| proc_net::listening(text));
    Some(all.filter(|(_, inode)| own.contains(inode)).map(|(socket, _)| socket).collect())
}

/// What is really mounted at each target.
fn mounts(container: &Container, root: &Path, table: &str) -> BTreeMap<String, Reality> {
    let mut table = process::mount_table(table);
    let mut real = BTreeMap::new();
    let mut below = Vec::new();
    let points = container.mounts.iter().flatten().map(|point| {
        let bind = (point.kind == "bind").then_some(point.source.as_str());
        (point.destination.clone(), bind)
    });
    let memory: BTreeMap<String, String> = container.host("Tmpfs").unwrap_or_default();
    for (target, source) in points.chain(memory.into_keys().map(|target| (target, None))) {
        let path = inside(root, &target);
        let there = within(root, &path);
        if let Some(held) = table.remove(&there) {
            let stale = held.ends_with("//deleted") || source.is_some_and(|source| replaced(source, &path));
            real.insert(target, if stale { Reality::Stale } else { Reality::Same });
        }
        below.push(there);
    }
    // `/sbin` may be a link in the image.
    let own: BTreeSet<String> = ENGINES.iter().map(|path| within(root, &inside(root, path))).collect();
    let engines = |target: &str| {
        own.contains(target)
            || ["/proc/", "/sys/", "/dev/"].iter().any(|folder| target.starts_with(folder))
            || below.iter().any(|above| Path::new(target).starts_with(above))
    };
    table.retain(|target, _| !engines(target));
    real.extend(table.into_iter().map(|(target, held)| (target, Reality::Foreign(held))));
    real
}

/// A path of this machine below a container's root, as the container names it.
fn within(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    Path::new("/").join(below).to_string_lossy().into_owned()
}

/// Whether a path of this machine is not what a container has of it.
fn replaced(source: &str, there: &Path) -> bool {
    match (fs::metadata(source), fs::symlink_metadata(there)) {
        (Ok(here), Ok(there)) => (here.dev(), here.ino()) != (there.dev(), there.ino()),
        _ => false,
    }
}

/// A path of a container, its links followed within the container's root.
fn inside(root: &Path, path: &str) -> PathBuf {
    let mut left: Vec<PathBuf> = parts(Path::new(path));
    let mut at = root.to_owned();
    let mut hops = 0;
    while let Some(part) = left.pop() {
        if part.as_os_str() == ".." {
            if at != root {
                at.pop();
            }
            continue;
        }
        let next = at.join(&part);
        match fs::read_link(&next) {
            Ok(link) if hops < HOPS => {
                hops += 1;
                if link.is_absolute() {
                    root.clone_into(&mut at);
                }
                left.extend(parts(&link));
            }
            _ => at = next,
        }
    }
    at
}

/// Components of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}
