//! Published ports.

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
    let same = |a: &PortView, b: &PortView| {
        let PortView { target, protocol, host_ip, published, options, effective: _, place: _ } = a;
        (target, protocol, host_ip, published, options)
            == (&b.target, &b.protocol, &b.host_ip, &b.published, &b.options)
    };
    for was in &pair.before.ports {
        if let Some(is) = pair.after.ports.iter().find(|is| same(was, is)) {
            match (was.effective, is.effective) {
                (false, true) => findings.push(
                    Finding { before: None, ..Finding::gained(&NEWLY, pair.name, subject(is), show(is)) }
                        .because("the container was on internal networks alone before"),
                ),
                (true, false) => findings.push(
                    Finding::lost(&INEFFECTIVE, pair.name, subject(was), show(was))
                        .because("the container is on internal networks alone"),
                ),
                _ => {}
            }
            continue;
        }
        let other = pair
            .after
            .ports
            .iter()
            .find(|is| is.target == was.target && !pair.before.ports.iter().any(|p| same(p, is)));
        findings.push(match other {
            Some(is) if is.protocol != was.protocol => {
                Finding::changed(&PROTOCOL, pair.name, subject(was), show(was), show(is))
                    .because("another protocol")
            }
            Some(is) if is.host_ip != was.host_ip => {
                Finding::changed(&WIDENED, pair.name, subject(was), show(was), show(is))
                    .because("another host address")
            }
            _ => Finding::lost(&DROPPED, pair.name, subject(was), show(was))
                .because("it is published no longer"),
        });
    }
    for is in &pair.after.ports {
        if !pair.before.ports.iter().any(|was| same(was, is) || was.target == is.target) {
            findings.push(
                Finding::gained(&ADDED, pair.name, subject(is), show(is))
                    .because("it was not published before"),
            );
        } else if !pair.before.ports.iter().any(|was| same(was, is))
            && pair.after.ports.len() > pair.before.ports.len()
        {
            findings.push(
                Finding::gained(&ADDED, pair.name, subject(is), show(is))
                    .because("it is published once more"),
            );
        }
    }
    for (index, is) in pair.after.ports.iter().enumerate() {
        let count =
            |ports: &std::collections::BTreeSet<PortView>| ports.iter().filter(|port| same(port, is)).count();
        let first = pair.after.ports.iter().position(|port| same(port, is)) == Some(index);
        if first && count(&pair.before.ports) > 0 && count(&pair.after.ports) > count(&pair.before.ports) {
            findings.push(
                Finding::gained(&ADDED, pair.name, subject(is), show(is)).because("it is published twice"),
            );
        }
    }
    for socket in &pair.after.listen {
        let clash = pair.after.together.iter().filter(|name| name.as_str() > pair.name).find(|name| {
            let ports = |view: &crate::view::View| {
                view.parties
                    .get(*name)
                    .is_some_and(|party| party.listen.iter().any(|s| s.port == socket.port))
            };
            ports(pair.views.1)
        });
        if let Some(other) = clash
            && !pair.before.together.contains(other)
        {
            findings.push(
                Finding::gained(&COLLISION, pair.name, socket.to_string(), Shown::plain(other.clone(), ""))
                    .because(format!("{other} listens on the same port of the same container")),
            );
        }
    }
}
