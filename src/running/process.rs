//! What the processes of a container show of themselves.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::daemon::Listen;
use bottle_model::status::Status;

/// Facts of one container that `docker inspect` does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its processes, if the engine could name them.
    pub processes: Vec<Process>,
    /// Users of its image by name, where they could be read.
    pub users: BTreeMap<String, u32>,
    /// Mounts of its first process by target, if they could be read.
    pub mounts: Option<BTreeMap<String, Reality>>,
    /// What the init of a merged container answers, or why it does not; `None`: it was not asked.
    pub init: Option<Result<Status, String>>,
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

/// What is really mounted at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reality {
    /// What was mounted, or something that looks the same.
    Same,
    /// A file or folder of the host that has been replaced since: the container has the old one.
    Stale,
    /// Something that the engine does not know of.
    Foreign(String),
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
