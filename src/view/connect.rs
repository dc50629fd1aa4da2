//! Who finds whom, who can dial whom, and what is published.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::daemon::Isolation;

use super::PortView;
use super::build::House;
use super::container::{Container, Member};
use super::names::Host;

impl House<'_> {
    /// Names that the principal's texts may use for others, with what they mean.
    pub(super) fn hosts(&self, container: &Container<'_>, member: &Member) -> Vec<Host> {
        let mut hosts: Vec<Host> = Vec::new();
        let mut add = |name: &str, of: &Container<'_>, stale: bool| {
            if hosts.iter().any(|host| host.name == name) {
                return;
            }
            hosts.push(Host {
                name: name.to_owned(),
                principals: of.members.iter().map(|member| member.name.clone()).collect(),
                by_port: of
                    .members
                    .iter()
                    .flat_map(|member| member.sockets.iter().map(|socket| (socket.port, member.name.clone())))
                    .collect(),
                stale,
            });
        };
        let agent = container.merger.is_none();
        for other in self.containers.iter().filter(|other| other.name != container.name) {
            let merged = other.merger.is_some();
            let reachable: Vec<&str> = container
                .networks
                .iter()
                .filter(|(n, ..)| other.networks.iter().any(|(m, ..)| n == m))
                .map(|(n, ..)| n.as_str())
                .collect();
            for network in reachable {
                for name in other.names_on(network) {
                    let own = name == other.name || other.service.hostname.as_deref() == Some(name);
                    add(name, other, merged && agent && !own);
                }
                if let Some(name) = &other.service.container_name {
                    add(name, other, false);
                }
            }
        }
        // Inside a merged container an alias of it, or a host entry on loopback, leads back to the container.
        if container.merger.is_some() {
            for (network, ..) in &container.networks {
                for name in container.names_on(network) {
                    add(name, container, false);
                }
            }
            for (name, addresses) in &container.service.extra_hosts {
                if addresses.iter().all(|address| is_loopback(address)) {
                    add(name, container, false);
                }
            }
        }
        // Service names of daemons that no longer resolve are recognised, as stale.
        for other in self.containers {
            if other.merger.is_none() {
                continue;
            }
            for daemon in &other.members {
                if daemon.name != member.name {
                    add(self.service_of(&daemon.name), other, true);
                }
            }
        }
        hosts
    }

    /// Legacy service name of a daemon.
    pub(super) fn service_of<'b>(&'b self, daemon: &'b str) -> &'b str {
        self.roles
            .services
            .iter()
            .find(|(_, name)| *name == daemon)
            .map_or(daemon, |(service, _)| service.as_str())
    }

    /// Names of the principal on its networks; those of its neighbours in the container are left to them.
    pub(super) fn names(
        &self,
        container: &Container<'_>,
        member: &Member,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let own = self.service_of(&member.name);
        container
            .networks
            .iter()
            .map(|(network, ..)| {
                let mut names: BTreeSet<String> =
                    container.names_on(network).into_iter().map(str::to_owned).collect();
                // Where the agent is not, only further aliases tell anything.
                if container.merger.is_some() || !self.is_agent_network(network) {
                    names.remove(container.name);
                }
                if container.merger.is_some() && self.is_agent_network(network) {
                    for other in container.members.iter().filter(|other| other.name != member.name) {
                        names.remove(self.service_of(&other.name));
                    }
                    if member.hidden && !names.insert(own.to_owned()) {
                        names.insert(format!("{own} (the hop)"));
                    }
                }
                (network.clone(), names)
            })
            .collect()
    }

    fn is_agent_network(&self, network: &str) -> bool {
        self.containers
            .iter()
            .filter(|container| container.name == self.roles.agent)
            .any(|agent| agent.networks.iter().any(|(name, ..)| name == network))
    }

    /// Other principals that the principal finds by their legacy service name.
    pub(super) fn resolves(
        &self,
        container: &Container<'_>,
        member: &Member,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let mut resolves: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for other in self.containers {
            let same = other.name == container.name;
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                let name = if daemon.name == "agent" {
                    self.roles.agent.as_str()
                } else {
                    self.service_of(&daemon.name)
                };
                let on_network = container.networks.iter().any(|(network, ..)| {
                    other.networks.iter().any(|(theirs, ..)| theirs == network)
                        && other.names_on(network).contains(name)
                });
                let entry = container.service.extra_hosts.get(name);
                let found = match entry {
                    Some(addresses) => same && addresses.iter().all(|address| is_loopback(address)),
                    None => on_network || (!same && daemon.hidden && container.shares_network(other)),
                };
                if found {
                    resolves.entry(name.to_owned()).or_default().insert(daemon.name.clone());
                }
            }
        }
        resolves
    }

    /// Sockets that the principal can dial. What the merger hides on purpose counts as before.
    pub(super) fn reach(&self, container: &Container<'_>, member: &Member) -> BTreeSet<String> {
        let mut reach = BTreeSet::new();
        for other in self.containers {
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                for socket in &daemon.sockets {
                    let open = !socket.address.is_loopback() || daemon.hidden;
                    if other.name == container.name || (open && container.shares_network(other)) {
                        reach.insert(format!("{}:{}", daemon.name, socket.port));
                    }
                }
            }
        }
        reach
    }
}

pub(super) fn ports(container: &Container<'_>, member: &Member) -> BTreeSet<PortView> {
    let effective = !container.networks.iter().all(|(_, internal, _)| *internal);
    let listens = |member: &Member, port: u16| member.sockets.iter().any(|socket| socket.port == port);
    container
        .service
        .ports
        .iter()
        .enumerate()
        .filter(|(_, port)| {
            listens(member, port.target)
                || !container.members.iter().any(|member| listens(member, port.target))
        })
        .map(|(at, port)| PortView {
            target: port.target,
            protocol: port.protocol.clone(),
            host_ip: port.host_ip.clone().unwrap_or_else(|| "0.0.0.0".to_owned()),
            published: port.published.clone(),
            options: port.options.clone(),
            effective,
            place: format!("services.{}.ports.{at}", container.name),
        })
        .collect()
}

pub(super) fn internet(container: &Container<'_>, member: &Member) -> BTreeSet<String> {
    if let Some(merger) = &container.merger
        && merger.isolation() == Isolation::Require
        && merger.row(&member.name).is_some_and(|row| row.connect.as_ref().is_some_and(Vec::is_empty))
    {
        return BTreeSet::new();
    }
    let mode = container.service.settings.get("network_mode").map(ToString::to_string);
    container
        .networks
        .iter()
        .filter(|(_, internal, _)| !internal)
        .map(|(name, ..)| name.clone())
        .chain(mode.filter(|mode| mode != "none"))
        .collect()
}

/// Host entries, without those that bring a neighbour of the same container back under its old name.
pub(super) fn extra_hosts(container: &Container<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let hides = |name: &str, addresses: &[String]| {
        container.members.iter().any(|member| {
            member.hidden && member.name == name && addresses.iter().all(|address| address == "127.0.0.1")
        })
    };
    container
        .service
        .extra_hosts
        .iter()
        .filter(|(name, addresses)| !hides(name, addresses))
        .map(|(name, addresses)| (name.clone(), addresses.iter().cloned().collect()))
        .collect()
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
