//! Published ports.

use std::net::{IpAddr, Ipv4Addr};

use super::Pair;
use super::compare::rules;
use crate::finding::{Finding, Shown};
use crate::view::PortView;

rules! {
    DROPPED = "port-dropped" Conservation Error "a published port is gone"
        "Nothing on the host reaches the daemon there any more.";
    ADDED = "port-added" Containment Error "a port is published that was not"
        "The host, and whoever reaches it, can now dial the daemon.";
    WIDENED = "port-host-ip-widened" Containment Error "a port is published on more addresses"
        "A port on 127.0.0.1 is the host's own; on another address the network's.";
    PROTOCOL = "port-protocol-changed" Conservation Error "a port changed its protocol"
        "Port identity is host IP, published and target port, and protocol.";
    COLLISION = "port-listen-collision" Conservation Error "two daemons listen on one socket"
        "In one container only one of two daemons can bind an address and port.";
    NEWLY = "port-newly-effective" Containment Warning "a port begins to be published"
        "The engine publishes nothing of a container whose networks are all internal. In the bundle the same entry works.";
    INEFFECTIVE = "port-ineffective" Conservation Warning "a port is no longer published"
        "The engine publishes nothing of a container whose networks are all internal.";
}

fn show(port: &PortView) -> Shown {
    let published = port.published.as_deref().unwrap_or("any");
    let text = format!("{}:{published}→{}/{}", port.host_ip, port.target, port.protocol);
    Shown::plain(text, port.place.clone())
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let subject = |port: &PortView| format!("{}/{}", port.target, port.protocol);
    let mut after: Vec<&PortView> = pair.after.ports.iter().collect();
    let mut left = Vec::new();
    for was in &pair.before.ports {
        let Some(is) = take(&mut after, |is| same(was, is)) else {
            left.push(was);
            continue;
        };
        if is.effective && !was.effective {
            findings.push(
                Finding::gained(&NEWLY, pair.name, subject(is), show(is))
                    .because("the container was on internal networks alone before"),
            );
        } else if was.effective && !is.effective {
            findings.push(
                Finding::lost(&INEFFECTIVE, pair.name, subject(was), show(was))
                    .because("the container is on internal networks alone"),
            );
        }
    }
    for was in left {
        let sure = take(&mut after, |is| {
            is.target == was.target && is.protocol == was.protocol && is.published == was.published
        });
        let near = sure
            .or_else(|| take(&mut after, |is| is.target == was.target && is.protocol == was.protocol))
            .or_else(|| take(&mut after, |is| is.target == was.target));
        let Some(is) = near else {
            findings.push(
                Finding::lost(&DROPPED, pair.name, subject(was), show(was))
                    .because("it is published no longer"),
            );
            continue;
        };
        let changed = |rule, why: &str| {
            Finding::changed(rule, pair.name, subject(was), show(was), show(is)).because(why)
        };
        let wider = wider(&was.host_ip, &is.host_ip);
        if wider {
            findings.push(changed(&WIDENED, "more can reach the host address"));
        }
        if is.protocol != was.protocol {
            findings.push(changed(&PROTOCOL, "another protocol"));
        } else if !wider {
            findings.push(changed(&DROPPED, "it is published elsewhere"));
        }
    }
    for is in after {
        findings.push(
            Finding::gained(&ADDED, pair.name, subject(is), show(is)).because("it was not published before"),
        );
    }
    for (socket, others) in &pair.after.clashes {
        let known = pair.before.clashes.get(socket);
        // Of two that clash, the first by name tells.
        for other in others.iter().filter(|other| other.as_str() > pair.name) {
            if known.is_none_or(|known| !known.contains(other)) {
                let place = pair.is("ports");
                findings.push(
                    Finding::gained(
                        &COLLISION,
                        pair.name,
                        socket.clone(),
                        Shown::plain(other.clone(), place),
                    )
                    .because(format!("{other} binds it too")),
                );
            }
        }
    }
}

fn same(a: &PortView, b: &PortView) -> bool {
    let PortView { target, protocol, host_ip, published, options, effective: _, place: _ } = a;
    (target, protocol, host_ip, published, options)
        == (&b.target, &b.protocol, &b.host_ip, &b.published, &b.options)
}

/// Takes the first port that fits.
fn take<'a>(ports: &mut Vec<&'a PortView>, fits: impl Fn(&PortView) -> bool) -> Option<&'a PortView> {
    ports.iter().position(|port| fits(port)).map(|at| ports.remove(at))
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
