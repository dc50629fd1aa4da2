//! What `/proc` says of processes and sockets (proc(5)).

use std::collections::BTreeSet;

use bottle_contract::daemon::Listen;
use bottle_contract::proc_net;

/// Parent and session of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: i32,
    pub(crate) session: i32,
}

/// Reads `/proc/PID/stat`.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may hold anything, parentheses too.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let after = text.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(&text[after + 1..]);
    let mut fields = rest.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Stat { parent, session })
}

/// Every process that can be seen.
pub(crate) fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// User, group and supplementary groups that a process runs with now.
pub(crate) fn identity(pid: i32) -> Option<(u32, u32, Vec<u32>)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let first = |name: &str| field(name)?.split_ascii_whitespace().next()?.parse().ok();
    let groups = field("Groups:")?.split_ascii_whitespace().filter_map(|group| group.parse().ok()).collect();
    Some((first("Uid:")?, first("Gid:")?, groups))
}

/// Inodes of the sockets and pipes that a process holds.
pub(crate) fn sockets_and_pipes(pid: i32) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            let (kind, inode) = target.to_str()?.strip_suffix(']')?.split_once(":[")?;
            matches!(kind, "socket" | "pipe").then(|| inode.parse().ok())?
        })
        .collect()
}

/// TCP sockets that listen in this network namespace, with their inodes.
pub(crate) fn listening() -> Vec<(Listen, u64)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|file| proc_net::listening(&std::fs::read_to_string(file).unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = parse_stat(b"12 (a ) S 9 (b) S 7 8 9 0 -1 4194560 1 2").unwrap();
        assert_eq!(stat, Stat { parent: 7, session: 9 });
        assert_eq!(parse_stat(b"garbage"), None);
    }
}
