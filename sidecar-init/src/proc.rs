//! What `/proc` says of processes and sockets (proc(5)).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bottle_model::daemon::Listen;

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

/// Inodes of the sockets that a process holds.
pub(crate) fn sockets(pid: i32) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// TCP sockets that listen in this network namespace, with their inodes.
pub(crate) fn listening() -> Vec<(Listen, u64)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|file| parse_listening(&std::fs::read_to_string(file).unwrap_or_default()))
        .collect()
}

fn parse_listening(text: &str) -> Vec<(Listen, u64)> {
    const LISTEN: &str = "0A";
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if *fields.get(3)? != LISTEN {
                return None;
            }
            let (address, port) = fields.get(1)?.split_once(':')?;
            let listen =
                Listen { address: parse_address(address)?, port: u16::from_str_radix(port, 16).ok()? };
            Some((listen, fields.get(9)?.parse().ok()?))
        })
        .collect()
}

/// Words of an address stand in the byte order of the machine.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// Whether a socket that listens at `is` takes what is sent to `wanted`.
pub(crate) fn serves(is: Listen, wanted: Listen) -> bool {
    let any = |address: IpAddr| address.is_unspecified();
    is.port == wanted.port
        && (is.address == wanted.address
            || (any(is.address) && (is.address.is_ipv6() || wanted.address.is_ipv4()))
            || is.address.to_canonical() == wanted.address.to_canonical())
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

    #[test]
    fn listening_sockets_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                    0: 0100007F:238B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n\
                    1: 0100007F:238C 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1\n";
        assert_eq!(parse_listening(text), [(Listen::loopback(9099), 4711)]);
        assert_eq!(parse_address("00000000000000000000000001000000"), "::1".parse().ok());
    }

    #[test]
    fn a_wildcard_serves_every_address() {
        let listen = |text: &str| text.parse::<Listen>().unwrap();
        for (is, wanted, expect) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", false),
            ("0.0.0.0:1", "[::1]:1", false),
            ("0.0.0.0:2", "0.0.0.0:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
        ] {
            assert_eq!(serves(listen(is), listen(wanted)), expect, "{is} {wanted}");
        }
    }
}
