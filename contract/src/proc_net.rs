//! Listening TCP sockets, from the text of `/proc/PID/net/tcp` and `tcp6` (`proc_net(5)`).

use std::net::IpAddr;

use crate::daemon::Listen;

/// TCP sockets that listen, with their inodes.
///
/// An IPv4 address that is mapped into IPv6 is given as the IPv4 address that it is.
#[must_use]
pub fn listening(text: &str) -> Vec<(Listen, u64)> {
    text.lines().skip(1).filter_map(socket).collect()
}

/// Reads `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
fn socket(line: &str) -> Option<(Listen, u64)> {
    const LISTEN: &str = "0A";
    let mut words = line.split_ascii_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != LISTEN {
        return None;
    }
    let inode = words.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((Listen { address: self::address(address)?, port }, inode))
}

/// The kernel prints each 32-bit word of an address in the byte order of the machine.
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

/// Whether a socket that listens at `is` accepts connections to `wanted`.
///
/// A socket on `::` accepts IPv4 too: `/proc` does not say whether it is `IPV6_V6ONLY`.
#[must_use]
pub fn serves(is: Listen, wanted: Listen) -> bool {
    let (address, target) = (is.address.to_canonical(), wanted.address.to_canonical());
    is.port == wanted.port
        && (address == target || (address.is_unspecified() && (address.is_ipv6() || target.is_ipv4())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn row(local: &str, state: &str) -> String {
        format!(
            "{HEAD}   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n"
        )
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn only_listening_sockets_are_read() {
        for (local, expect) in [
            ("0100007F:238B", "127.0.0.1:9099"),
            ("00000000:0050", "0.0.0.0:80"),
            ("00000000000000000000000001000000:238B", "[::1]:9099"),
            ("00000000000000000000000000000000:0050", "[::]:80"),
            ("0000000000000000FFFF00000100007F:238B", "127.0.0.1:9099"),
        ] {
            assert_eq!(listening(&row(local, "0A")), [(expect.parse().unwrap(), 4711)], "{local}");
            assert_eq!(listening(&row(local, "01")), [], "{local}");
        }
    }

    #[test]
    fn a_line_that_is_cut_off_or_malformed_is_passed_over() {
        let whole = row("0100007F:238B", "0A");
        let inode = whole.find("4711").unwrap();
        for text in ["", HEAD, &whole[..inode], &row("0100007:238B", "0A"), &row("0100007F", "0A")] {
            assert_eq!(listening(text), [], "{text}");
        }
    }

    #[test]
    fn a_wildcard_serves_every_address() {
        let listen = |text: &str| text.parse::<Listen>().unwrap();
        for (is, wanted, expect) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("[::]:1", "[::1]:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", false),
            ("0.0.0.0:1", "[::1]:1", false),
            ("0.0.0.0:2", "0.0.0.0:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
            ("[::ffff:0.0.0.0]:1", "127.0.0.1:1", true),
        ] {
            assert_eq!(serves(listen(is), listen(wanted)), expect, "{is} {wanted}");
        }
    }
}
