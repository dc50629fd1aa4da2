//! Published ports.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use super::pair::Pair;
use crate::finding::{Finding, Shown};
use crate::rule::rules;
use crate::view::PortView;

rules! {
    comparison:
    DROPPED = PortDropped Conservation Error ["port"] "the bundle does not publish a port, or publishes it elsewhere"
        "Nothing on the host reaches the daemon where it did: the port is published no longer, or on \
         another address or number that those who used the old one do not know.\n\n\
         Example: the legacy `git-gate` publishes `127.0.0.1:9418:9418` and `sidecars` does not, so that \
         a push from the host is refused.\n\n\
         What to do: publish the port from `sidecars` with the same address, number and protocol. Only \
         the hop behind the first proxy is not published on purpose, and it was not before.";
    ADDED = PortAdded Containment Error ["port"] "the bundle publishes a port that was not published"
        "The host, and whoever can reach the address that the port is published on, can now dial the \
         daemon. The merged container makes that easy to do by mistake: one list of ports has those of \
         all daemons, and so a listener that was meant for its peers alone is easily among them.\n\n\
         Example: `sidecars` publishes 9099, the port of egress, and the proxy that injects credentials \
         is open to the host.\n\n\
         What to do: remove the port. In the legacy shape only the daemons that the agent faces publish \
         any.";
    WIDENED = PortHostIpWidened Containment Error ["port"] "the bundle publishes a port on an address that more hosts can reach"
        "A port on a loopback address belongs to the host alone. On another address it belongs to \
         everyone who can send a packet there, and the engine's rules come before most firewalls. Going \
         from one address to another counts too, in IPv4 and in IPv6; going back to loopback does not, \
         and neither does moving between loopback addresses.\n\n\
         Example: `127.0.0.1:8888:8888` became `8888:8888`, which means every address of the host.\n\n\
         What to do: write `host_ip: 127.0.0.1`, or whatever the legacy entry says.";
    PROTOCOL = PortProtocolChanged Conservation Error ["port"] "the bundle publishes a port with another protocol"
        "A published port is known by host address, host port, container port and protocol. With another \
         protocol it is another port, and what used the old one finds nothing.\n\n\
         Example: `9418/tcp` became `9418/udp`.\n\n\
         What to do: copy the protocol of the legacy entry.";
    COLLISION = PortListenCollision Conservation Error ["port"] "two daemons listen on one socket"
        "Two daemons that had a container each could both listen on the same port. In one network \
         namespace the second fails to bind. An unspecified address takes the port on every address, \
         loopback included; two different loopback addresses do not collide.\n\n\
         Example: with a map file, one daemon listens on `0.0.0.0:9090` and another keeps its admin \
         interface on `127.0.0.1:9090`.\n\n\
         What to do: give one of them another port, and change it for its clients.";
    NEWLY = PortNewlyEffective Containment Warning ["port"] "a port that had no effect is published in the bundle"
        "The engine publishes nothing for a container whose networks are all `internal`, whatever its \
         `ports:` say. In the bundle the same entry is on a container that is on an ordinary network \
         too, and so it begins to work.\n\n\
         Example: the legacy `supervise` is on the internal network alone and lists `127.0.0.1::9100`. \
         From `sidecars` that port is really open on the host.\n\n\
         What to do: nothing, if the port was meant to be open: accept it with a waiver. Otherwise remove \
         the entry from both shapes.";
    INEFFECTIVE = PortIneffective Conservation Error ["port"] "a published port has no effect in the bundle"
        "The entry is still there and does nothing: the container is on internal networks alone, or uses \
         the host's network, and the engine publishes no port for it.\n\n\
         Example: `sidecars` left the external network and kept its `ports:`. Nothing on the host can \
         dial them.\n\n\
         What to do: put `sidecars` on the network that the legacy daemon was on.";
}

fn show(port: &PortView<'_>) -> Shown {
    let published = port.published.unwrap_or("any");
    let text = format!("{}:{published}→{}/{}", port.host_ip, port.target, port.protocol);
    Shown::plain(text, port.place)
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let subject = |port: &PortView<'_>| format!("{}/{}", port.target, port.protocol);
    let mut after = Waiting::new(pair.after.ports.iter().collect());
    let mut left = Vec::new();
    for was in &pair.before.ports {
        let Some(is) = after.take(was, 0) else {
            left.push(was);
            continue;
        };
        if is.effective && !was.effective {
            findings.push(
                Finding::gained(&NEWLY, pair.name, subject(is), show(is))
                    .because("its networks were all internal before, or the daemon listened on loopback"),
            );
        } else if was.effective && !is.effective {
            findings.push(
                Finding::lost(&INEFFECTIVE, pair.name, subject(was), show(was))
                    .because("its networks are all internal, or the daemon listens on loopback"),
            );
        }
    }
    for was in left {
        let Some(is) = (1..PARTS).find_map(|wildcards| after.take(was, wildcards)) else {
            findings.push(
                Finding::lost(&DROPPED, pair.name, subject(was), show(was))
                    .because("it is no longer published"),
            );
            continue;
        };
        let changed = |rule, why: &str| {
            Finding::changed(rule, pair.name, subject(was), show(was), show(is)).because(why)
        };
        let wider = wider(was.host_ip, is.host_ip);
        if wider {
            findings.push(changed(&WIDENED, "more can reach the host address"));
        }
        if is.protocol != was.protocol {
            findings.push(changed(&PROTOCOL, "another protocol"));
        } else if !wider {
            findings.push(changed(&DROPPED, "it is published elsewhere"));
        }
    }
    for is in after.left() {
        findings.push(
            Finding::gained(&ADDED, pair.name, subject(is), show(is)).because("it was not published before"),
        );
    }
    for (socket, others) in &pair.after.clashes {
        let known = pair.before.clashes.get(socket);
        // Two that clash are reported once, for the first by name.
        for other in others.iter().filter(|other| **other > pair.name) {
            if known.is_none_or(|known| !known.contains(other)) {
                let place = pair.is("ports");
                findings.push(
                    Finding::gained(&COLLISION, pair.name, socket.to_string(), Shown::plain(*other, place))
                        .because(format!("{other} binds it too")),
                );
            }
        }
    }
}

/// Parts of a port that tell it from others, the target among them.
const PARTS: usize = 4;

/// What a port is found by. Options (`name`, `mode`, `app_protocol`) publish nothing else on a single engine.
type Key<'a> = (u16, Option<&'a str>, Option<Option<&'a str>>, Option<&'a str>);

/// Target, protocol, published port and host address, the last `wildcards` of them left out.
fn key<'a>(port: &PortView<'a>, wildcards: usize) -> Key<'a> {
    let PortView { target, protocol, host_ip, published, options: _, effective: _, place: _ } = port;
    (
        *target,
        (wildcards < 3).then_some(*protocol),
        (wildcards < 2).then_some(*published),
        (wildcards < 1).then_some(*host_ip),
    )
}

/// Ports of the bundle that wait for their counterparts.
struct Waiting<'v, 'a> {
    ports: Vec<&'v PortView<'a>>,
    taken: Vec<bool>,
    /// Numbers of ports by what they are found by, for each number of wildcards.
    found: [BTreeMap<Key<'a>, VecDeque<usize>>; PARTS],
}

impl<'v, 'a> Waiting<'v, 'a> {
    fn new(ports: Vec<&'v PortView<'a>>) -> Self {
        let mut found: [BTreeMap<Key<'a>, VecDeque<usize>>; PARTS] = Default::default();
        for (wildcards, found) in found.iter_mut().enumerate() {
            for (at, port) in ports.iter().enumerate() {
                found.entry(key(port, wildcards)).or_default().push_back(at);
            }
        }
        Self { taken: vec![false; ports.len()], ports, found }
    }

    /// Takes the first port that is like another one but for the wildcards.
    fn take(&mut self, port: &PortView<'a>, wildcards: usize) -> Option<&'v PortView<'a>> {
        let fitting = self.found[wildcards].get_mut(&key(port, wildcards))?;
        while let Some(at) = fitting.pop_front() {
            if !std::mem::replace(&mut self.taken[at], true) {
                return Some(self.ports[at]);
            }
        }
        None
    }

    /// Those that nobody took.
    fn left(self) -> impl Iterator<Item = &'v PortView<'a>> {
        self.ports.into_iter().zip(self.taken).filter(|(_, taken)| !taken).map(|(port, _)| port)
    }
}

/// Whether an address of the host can be reached by others than another one; loopback by the host alone.
fn wider(was: &str, is: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().map(|address| address.to_canonical());
    match (address(was), address(is)) {
        (Ok(was), Ok(is)) => {
            let all = was == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || (was.is_unspecified() && is.is_ipv6());
            was != is && !all && !is.is_loopback()
        }
        _ => was != is,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_wider_if_others_reach_it() {
        for (was, is) in [
            ("127.0.0.1", "0.0.0.0"),
            ("127.0.0.1", "::"),
            ("127.0.0.1", "192.0.2.1"),
            ("::1", "::"),
            ("192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "0.0.0.0"),
            ("::", "0.0.0.0"),
            ("127.0.0.1", "::ffff:192.0.2.1"),
        ] {
            assert!(wider(was, is), "{was} → {is}");
        }
        for (was, is) in [
            ("0.0.0.0", "127.0.0.1"),
            ("0.0.0.0", "::"),
            ("::", "2001:db8::1"),
            ("127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::1"),
            ("192.0.2.1", "127.0.0.1"),
            ("127.0.0.1", "::ffff:127.0.0.1"),
        ] {
            assert!(!wider(was, is), "{was} → {is}");
        }
    }
}
