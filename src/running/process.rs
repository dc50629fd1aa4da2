//! What the processes of a container show of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bottle_model::daemon::Listen;
use serde::Deserialize;

/// Facts of one container that no inspection tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its processes, if the engine could name them.
    pub processes: Vec<Process>,
    /// Users of its image by name, where they could be read.
    pub users: BTreeMap<String, u32>,
    /// Mounts of its first process by target, if they could be read.
    pub mounts: Option<BTreeMap<String, Reality>>,
    /// What the init of a merged container answers, or why it does not; `None`: it was not asked.
    pub init: Option<Result<InitStatus, String>>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number on the engine's machine.
    pub pid: i32,
    /// The number of its parent there.
    pub parent: i32,
    /// Its effective user.
    pub user: u32,
    /// Its number within the container, if known.
    pub inner: Option<i32>,
    /// Its command line, if known.
    pub argv: Option<Vec<String>>,
    /// Names of the variables that it was started with, if known.
    pub variables: Option<BTreeSet<String>>,
    /// TCP sockets that it listens on, if known.
    pub listening: Option<BTreeSet<Listen>>,
}

/// What a target in a container really holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reality {
    /// What was mounted, or what cannot be told from it.
    Same,
    /// A file or folder of the host that has been replaced since: the container has the old one.
    Stale,
    /// Something that the engine does not know of.
    Foreign(String),
}

/// Answer of `sidecar-init status --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct InitStatus {
    /// `require`, `best-effort` or `off`.
    pub isolation: String,
    /// State of every daemon.
    pub daemons: Vec<DaemonStatus>,
}

/// State of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonStatus {
    /// Its name.
    pub name: String,
    /// Its number within the container.
    pub pid: Option<i32>,
    /// `running`, `stopping`, `waiting` or `dead`.
    pub state: String,
    /// Whom it runs as.
    pub user: String,
    /// Walls that its row asks for and that do not stand.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// TCP sockets that listen, with their inodes, from `/proc/PID/net/tcp` or `tcp6` (`proc_net(5)`).
#[must_use]
pub fn listening(text: &str) -> Vec<(Listen, u64)> {
    const LISTEN: &str = "0A";
    let socket = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (address, port) = words.next()?.split_once(':')?;
        if words.nth(1)? != LISTEN {
            return None;
        }
        let inode = words.nth(5)?.parse().ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        Some((Listen { address: self::address(address)?, port }, inode))
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Words of an address stand in the byte order of the machine.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let words: Option<Vec<[u8; 4]>> = (0..4).map(word).collect();
            let bytes: [u8; 16] = words?.concat().try_into().ok()?;
            Some(IpAddr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// Mounts by target: the root of what is mounted, within its file system (`proc_pid_mountinfo(5)`).
#[must_use]
pub fn mount_table(text: &str) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ').skip(3);
        if let (Some(root), Some(target)) = (words.next(), words.next()) {
            // The last mount on a target hides the others.
            table.insert(unescape(target), unescape(root));
        }
    }
    table
}

/// Blanks are written as octal numbers.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Users by name, from `/etc/passwd`.
#[must_use]
pub fn users(text: &str) -> BTreeMap<String, u32> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(user).collect()
}

/// Processes as `docker top ID -eo pid,ppid,uid` lists them.
#[must_use]
pub fn top(text: &str) -> Vec<Process> {
    let process = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, parent, user) = (words.next()?, words.next()?, words.next()?);
        Some(Process {
            pid: pid.parse().ok()?,
            parent: parent.parse().ok()?,
            user: user.parse().ok()?,
            ..Process::default()
        })
    };
    text.lines().skip(1).filter_map(process).collect()
}
