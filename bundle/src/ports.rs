//! What is published: each port for the one daemon that listens on it.

use std::collections::BTreeMap;

use bottle_model::compose::Port;
use bottle_model::daemon::Daemon;
use bottle_model::plan::{Common, Plan, PublishedPort};

use crate::Conflict;

pub(crate) fn of(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> Result<Vec<Port>, Conflict> {
    let mut ports = Vec::new();
    let mut owners: BTreeMap<(u16, &str), Daemon> =
        daemons.iter().map(|(daemon, _)| ((daemon.port(), "tcp"), *daemon)).collect();
    for (daemon, common) in daemons {
        let hop = plan.hop() == Some(*daemon);
        let Some(wanted) = common.ports else {
            if !hop {
                ports.push(port(daemon.port(), "tcp"));
            }
            continue;
        };
        for entry in wanted {
            let (target, protocol) = (entry.target.get(), entry.protocol.as_str());
            let owner = *owners.entry((target, protocol)).or_insert(*daemon);
            if owner != *daemon {
                return Err(Conflict::Port { port: format!("{target}/{protocol}"), daemon: *daemon, owner });
            }
            if hop && (target, protocol) == (daemon.port(), "tcp") {
                return Err(Conflict::HiddenPort { port: target, hop: *daemon });
            }
            ports.push(published(entry));
        }
    }
    Ok(ports)
}

/// A port as the plan has it; on the host's loopback address unless it says otherwise.
pub(crate) fn published(entry: &PublishedPort) -> Port {
    let mut port = port(entry.target.get(), entry.protocol.as_str());
    port.published = entry.published.map(|number| number.to_string());
    if let Some(address) = &entry.host_ip {
        port.host_ip = Some(address.to_string());
    }
    port
}

fn port(target: u16, protocol: &str) -> Port {
    Port {
        target,
        protocol: protocol.to_owned(),
        host_ip: Some("127.0.0.1".to_owned()),
        published: None,
        options: BTreeMap::new(),
    }
}
