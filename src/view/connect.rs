//! Who finds whom, who can dial whom, and what is published.

use std::borrow::Cow;
use std::net::IpAddr;

use bottle_model::compose::EnvValue;
use bottle_model::daemon::{Chain, Listen};
use bottle_model::sorted::{Map, Set};

use super::build::House;
use super::container::{Container, Member, Space};
use super::names::Host;
use super::{Endpoint, Place, PortView, Word};

impl<'h, 'a> House<'h, 'a> {
    /// Names that the principal's texts may use for others, with what they mean.
    pub(super) fn hosts(&self, container: &'h Container<'a>, member: &Member<'a>) -> Vec<Host<'h, 'a>> {
        let mut hosts: Vec<Host<'h, 'a>> = Vec::new();
        let mut add = |name: &'a str, of: &'h Container<'a>, stale: bool| {
            if !name.is_empty() && !hosts.iter().any(|host| host.name == name) {
                let own =
                    [Some(of.name), of.service.hostname.as_deref(), of.service.container_name.as_deref()];
                let merged = of.merger.is_some() && own.contains(&Some(name));
                hosts.push(Host { name, members: &of.members, stale, merged });
            }
        };
        let agent = container.merger.is_none();
        for other in self.containers.iter().filter(|other| other.name != container.name) {
            let merged = other.merger.is_some();
            for (network, ..) in &container.networks {
                if !other.networks.iter().any(|(theirs, ..)| theirs == network) {
                    continue;
                }
                for name in other.names_on(network) {
                    let own = name == other.name || other.service.hostname.as_deref() == Some(name);
                    add(name, other, merged && agent && !own);
                }
                if let Some(name) = &other.service.container_name {
                    add(name, other, false);
                }
            }
        }
        // A name of the container itself, or a host entry on loopback, leads back to it.
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
        // Service names of daemons that no longer resolve are recognised, as stale.
        for other in self.containers {
            if other.merger.is_none() {
                continue;
            }
            for daemon in &other.members {
                if daemon.name != member.name {
                    add(daemon.service, other, true);
                }
            }
        }
        hosts
    }

    /// Names of the principal on its networks; those of its neighbours in the container are left to them.
    pub(super) fn names(
        &self,
        container: &Container<'a>,
        member: &Member<'a>,
    ) -> Map<Cow<'a, str>, Set<Cow<'a, str>>> {
        container
            .networks
            .iter()
            .map(|(network, ..)| {
                let mut names: Set<Cow<'a, str>> = container.names_on(network).map(Cow::from).collect();
                // Where the agent is not, only further aliases tell anything.
                if container.merger.is_some() || !self.is_agent_network(network) {
                    names.remove(container.name);
                }
                if container.merger.is_some() && self.is_agent_network(network) {
                    for other in container.members.iter().filter(|other| other.name != member.name) {
                        names.remove(other.service);
                    }
                    if member.hidden && !names.insert(member.service.into()) {
                        names.insert(format!("{} (the hop)", member.service).into());
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
        container: &Container<'a>,
        member: &Member<'a>,
    ) -> Map<&'a str, Set<&'a str>> {
        let mut resolves: Map<&'a str, Set<&'a str>> = Map::new();
        for other in self.containers {
            let same = other.name == container.name;
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                let name = if daemon.name == "agent" { self.roles.agent.as_str() } else { daemon.service };
                // For its own container such a name means the address on the network, where loopback does not listen.
                let heard = daemon.sockets.is_empty()
                    || daemon.sockets.iter().any(|socket| !socket.address.is_loopback());
                let on_network = container.finds(other, name) && (heard || !same);
                let entry = container.service.extra_hosts.get(name);
                let found = match entry {
                    Some(addresses) => same && addresses.iter().all(|address| is_loopback(address)),
                    None => on_network || (!same && daemon.hidden && container.shares_network(other)),
                };
                if found {
                    let impostors = self.containers.iter().filter(|third| {
                        entry.is_none()
                            && third.name != other.name
                            && third.name != container.name
                            && container.finds(third, name)
                    });
                    let who = resolves.or_default(name);
                    who.insert(daemon.name);
                    who.extend(impostors.flat_map(|third| third.members.iter().map(|member| member.name)));
                }
            }
        }
        resolves
    }

    /// Sockets that the principal can dial; `false` for those that do not count as its own: the hop that the
    /// merger hides and that the agent has no business with before, and what the init's walls keep it from.
    pub(super) fn reach(
        &self,
        container: &Container<'a>,
        member: &Member<'a>,
        hosts: &[Host<'h, 'a>],
    ) -> Map<Endpoint<'a>, bool> {
        let hop = if container.name == self.roles.agent { self.lone_hop(container, hosts) } else { None };
        let dials = container.dials(member);
        let mut reach = Map::new();
        for other in self.containers {
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                for socket in &daemon.sockets {
                    let open = opens(container, other, *socket);
                    if open || (daemon.hidden && container.shares_network(other)) {
                        let counts = open
                            && hop.is_none_or(|hop| hop != daemon.name)
                            && dials.is_none_or(|ports| ports.contains(&socket.port));
                        let endpoint = Endpoint { principal: daemon.name, port: socket.port };
                        *reach.or_default(endpoint) |= counts;
                    }
                }
            }
        }
        reach
    }

    /// The proxy behind the one that the agent talks to, in a document that merges nothing.
    fn lone_hop(&self, agent: &Container<'a>, hosts: &[Host<'h, 'a>]) -> Option<&'a str> {
        if self.containers.iter().any(|container| container.merger.is_some()) {
            return None;
        }
        let chains = [Chain::PipelockFirst, Chain::EgressFirst];
        if !self.roles.built_in {
            return self.roles.hop(chains[0]).map(|(hop, _)| hop);
        }
        let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
        let first = proxies.iter().find_map(|name| match agent.service.environment.get(*name)? {
            EnvValue::Literal(url) => Word::recognise(url.into(), hosts).targets.pop(),
            EnvValue::Inherit => None,
        })?;
        let fronts = |chain: &Chain| first.principals.iter().eq([&chain.first().name()]);
        self.roles.hop(chains.into_iter().find(fronts)?).map(|(hop, _)| hop)
    }

    /// Sockets of the principal that another daemon of its network namespace binds too: socket → who.
    pub(super) fn clashes(
        &self,
        container: &Container<'a>,
        member: &Member<'a>,
    ) -> Map<Listen, Set<&'a str>> {
        let mut clashes: Map<Listen, Set<&'a str>> = Map::new();
        for other in self.containers.iter().filter(|other| other.space == container.space) {
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                for socket in &member.sockets {
                    if daemon.sockets.iter().any(|theirs| overlap(*socket, *theirs)) {
                        clashes.or_default(*socket).insert(daemon.name);
                    }
                }
            }
        }
        clashes
    }
}

/// Host entries, without those that bring a neighbour of the same container back under its old name.
pub(super) fn extra_hosts<'a>(container: &Container<'a>) -> Map<&'a str, Set<&'a str>> {
    let hides = |name: &str, addresses: &[String]| {
        container.members.iter().any(|member| {
            member.hidden && member.service == name && addresses.iter().all(|address| address == "127.0.0.1")
        })
    };
    container
        .service
        .extra_hosts
        .iter()
        .filter(|(name, addresses)| !hides(name, addresses))
        .map(|(name, addresses)| (name.as_str(), addresses.iter().map(String::as_str).collect()))
        .collect()
}

/// Whether a container can dial a socket of another, or of its own.
fn opens(container: &Container<'_>, other: &Container<'_>, socket: Listen) -> bool {
    if container.space == other.space {
        return true;
    }
    if socket.address.is_loopback() {
        return false;
    }
    // The host has an address on every network, and each network's gateway leads to the host.
    let published = other.published().any(|port| {
        port.target == socket.port
            && port.protocol == "tcp"
            && !port.host_ip.as_deref().is_some_and(is_loopback)
    });
    match (container.space, other.space) {
        (Space::Host, _) => published || !other.networks.is_empty(),
        (_, Space::Host) => !container.networks.is_empty(),
        _ => container.shares_network(other) || (published && !container.networks.is_empty()),
    }
}

/// Whether two sockets of one network namespace exclude each other; an unspecified IPv6 address takes IPv4 too.
fn overlap(one: Listen, other: Listen) -> bool {
    let takes = |any: IpAddr, address: IpAddr| any.is_unspecified() && (any.is_ipv6() || address.is_ipv4());
    one.port == other.port
        && (one.address == other.address
            || takes(one.address, other.address)
            || takes(other.address, one.address))
}

pub(super) fn ports<'a>(container: &Container<'a>, member: &Member<'a>) -> Set<PortView<'a>> {
    let effective = container.publishes();
    let listens = |member: &Member<'_>, port: u16| member.sockets.iter().any(|socket| socket.port == port);
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
            protocol: &port.protocol,
            host_ip: port.host_ip.as_deref().unwrap_or("0.0.0.0"),
            published: port.published.as_deref(),
            options: &port.options,
            effective,
            place: Place::Port(container.name, at),
        })
        .collect()
}

pub(super) fn internet<'a>(container: &Container<'a>, member: &Member<'a>) -> Set<Cow<'a, str>> {
    if container.dials(member).is_some_and(<[u16]>::is_empty) {
        return Set::new();
    }
    let foreign = match container.space {
        Space::Service(_) => None,
        Space::Host => Some("host".into()),
        Space::Unknown(mode) => Some(mode.into()),
    };
    let outside = container.networks.iter().filter(|(_, internal, _)| !internal);
    outside.map(|(name, ..)| name.clone()).chain(foreign).collect()
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
