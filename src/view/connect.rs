//! Which principals find and reach each other, and what is published.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bottle_model::compose::EnvValue;
use bottle_model::daemon::{Chain, Listen};
use bottle_model::sorted::{Map, Set};

use super::build::House;
use super::container::{Container, Member, Space};
use super::names::{Host, Origin};
use super::roles::AGENT;
use super::{Endpoint, Place, PortView, Reach, Word};

/// Containers by their names on each network.
pub(super) type Named<'h, 'a> = BTreeMap<(&'a str, &'h str), Vec<&'h Container<'a>>>;

impl<'h, 'a> House<'h, 'a> {
    /// Names that the principal's texts may use for others, with what they mean.
    pub(super) fn hosts(&self, container: &'h Container<'a>, member: &Member<'a>) -> Vec<Host<'h, 'a>> {
        let mut hosts: Vec<Host<'h, 'a>> = Vec::new();
        let mut known: BTreeSet<&'a str> = BTreeSet::new();
        let mut add = |name: &'a str, of: &'h Container<'a>, origin: Origin| {
            if !name.is_empty() && known.insert(name) {
                let near = container.space == of.space;
                hosts.push(Host { name, members: &of.members, ports: &of.ports, near, origin });
            }
        };
        // A host entry comes before DNS: one on loopback leads back to the container, any other to somebody else.
        let mut elsewhere: BTreeSet<&'a str> = BTreeSet::new();
        for (name, addresses) in &container.service.extra_hosts {
            if addresses.iter().all(|address| is_loopback(address)) {
                add(name, container, Origin::Own);
            } else {
                elsewhere.insert(name);
            }
        }
        let own = |of: &Container<'a>, name: &str| {
            let own = [Some(of.name), of.service.hostname.as_deref(), of.service.container_name.as_deref()];
            own.contains(&Some(name))
        };
        let agent = container.merger.is_none();
        for other in self.containers.iter().filter(|other| other.name != container.name) {
            let merged = other.merger.is_some();
            let shared = container.networks.keys().filter(|network| other.networks.contains_key(*network));
            for network in shared {
                let names = other.names_on(network).chain(other.service.container_name.as_deref());
                for name in names.filter(|name| !elsewhere.contains(name)) {
                    let origin = match (merged, own(other, name)) {
                        // The merged service may have the name that a legacy one had.
                        (true, true) if !self.roles.services.contains_key(name) => Origin::Merged,
                        (true, false) if agent => Origin::Alias,
                        _ => Origin::Own,
                    };
                    add(name, other, origin);
                }
            }
        }
        // A name of the container itself leads back to it.
        for network in container.networks.keys() {
            for name in container.names_on(network).filter(|name| !elsewhere.contains(name)) {
                let merged = !agent && own(container, name) && !self.roles.services.contains_key(name);
                add(name, container, if merged { Origin::Merged } else { Origin::Own });
            }
        }
        for name in ["127.0.0.1", "[::1]", "localhost"] {
            add(name, container, Origin::Loopback);
        }
        // Service names of daemons that no longer resolve are recognised all the same.
        for other in self.containers.iter().filter(|other| other.merger.is_some()) {
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                add(daemon.service, other, Origin::Gone);
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
        let names = |network: &Cow<'a, str>| {
            let mut names: Set<Cow<'a, str>> = container.names_on(network).map(Cow::from).collect();
            let facing = self.is_agent_network(network);
            // Outside the agent's networks, only further aliases matter.
            if !facing || (container.merger.is_some() && container.name != member.service) {
                names.remove(container.name);
            }
            if container.merger.is_some() && facing {
                for other in container.members.iter().filter(|other| other.name != member.name) {
                    names.remove(other.service);
                }
                if member.hidden && !names.insert(member.service.into()) {
                    names.insert(format!("{} (the hop)", member.service).into());
                }
            }
            names
        };
        container.networks.keys().map(|network| (network.clone(), names(network))).collect()
    }

    fn is_agent_network(&self, network: &str) -> bool {
        let mut agents = self.containers.iter().filter(|container| container.name == self.roles.agent);
        agents.any(|agent| agent.networks.contains_key(network))
    }

    /// Every container that has a name on a network, by name and network.
    pub(super) fn named(containers: &'h [Container<'a>]) -> Named<'h, 'a> {
        let mut named: Named<'h, 'a> = BTreeMap::new();
        for container in containers {
            for network in container.networks.keys() {
                for name in container.names_on(network) {
                    named.entry((name, network)).or_default().push(container);
                }
            }
        }
        named
    }

    /// The containers to which a name leads on the networks of another.
    fn found(&self, container: &'h Container<'a>, name: &'a str) -> Vec<&'h Container<'a>> {
        let on = |network: &'h Cow<'a, str>| self.named.get(&(name, &**network));
        container.networks.keys().filter_map(on).flatten().copied().collect()
    }

    /// Other principals that the principal finds by their legacy service name.
    pub(super) fn resolves(
        &self,
        container: &'h Container<'a>,
        member: &Member<'a>,
    ) -> Map<&'a str, Set<&'a str>> {
        let mut resolves: Map<&'a str, Set<&'a str>> = Map::new();
        for other in self.containers {
            let same = other.name == container.name;
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                let name = if daemon.name == AGENT { self.roles.agent.as_str() } else { daemon.service };
                let found = self.found(container, name);
                // Such a name means an address on the network, where loopback does not listen.
                let heard = daemon.sockets.is_empty()
                    || daemon.sockets.iter().any(|socket| !socket.address.is_loopback());
                let on_network = heard && found.iter().any(|found| found.name == other.name);
                let entry = container.service.extra_hosts.get(name);
                let leads = match entry {
                    Some(addresses) => same && addresses.iter().all(|address| is_loopback(address)),
                    None => on_network || (!same && daemon.hidden && container.shares_network(other)),
                };
                if leads {
                    let impostors = found.into_iter().filter(|third| {
                        entry.is_none() && third.name != other.name && third.name != container.name
                    });
                    let who = resolves.or_default(name);
                    who.insert(daemon.name);
                    who.extend(impostors.flat_map(|third| third.members.iter().map(|member| member.name)));
                }
            }
        }
        resolves
    }

    /// Sockets that the principal's networks lead to, and whether it can dial them.
    pub(super) fn reach(
        &self,
        container: &Container<'a>,
        member: &Member<'a>,
        hosts: &[Host<'h, 'a>],
    ) -> Map<Endpoint<'a>, Reach> {
        let hop = if container.name == self.roles.agent { self.lone_hop(container, hosts) } else { None };
        let dials = container.dials(member);
        let idle = self.idle(container, member);
        let mut found = Vec::new();
        for other in self.containers {
            for daemon in other.members.iter().filter(|daemon| daemon.name != member.name) {
                for socket in &daemon.sockets {
                    let open = opens(container, other, *socket);
                    let reach = match dials {
                        _ if !open => Reach::Hidden,
                        Some(_) if idle => Reach::Idle,
                        Some(ports) if !ports.contains(&socket.port) => Reach::Walled,
                        _ if hop == Some(daemon.name) => Reach::Hop,
                        _ => Reach::Open,
                    };
                    if open || (daemon.hidden && container.shares_network(other)) {
                        found.push((Endpoint { principal: daemon.name, port: socket.port }, reach));
                    }
                }
            }
        }
        // Of several sockets at one port, the one that most can reach.
        found.sort_unstable();
        found.into_iter().collect()
    }

    /// Whether walls keep a principal from dialling at all, and it is known that it does not.
    pub(super) fn idle(&self, container: &Container<'a>, member: &Member<'a>) -> bool {
        container.dials(member).is_some_and(<[u16]>::is_empty) && self.roles.idle(member.name)
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
        (Space::Host, _) => published || other.networks.keys().next().is_some(),
        (_, Space::Host) => container.networks.keys().next().is_some(),
        _ => container.shares_network(other) || (published && container.networks.keys().next().is_some()),
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
    let own: BTreeSet<u16> = member.sockets.iter().map(|socket| socket.port).collect();
    // The engine forwards to the container's address, where loopback does not listen.
    let mut heard: BTreeMap<u16, bool> = BTreeMap::new();
    for socket in container.members.iter().flat_map(|member| &member.sockets) {
        *heard.entry(socket.port).or_default() |= !socket.address.is_loopback();
    }
    container
        .service
        .ports
        .iter()
        .enumerate()
        .filter(|(_, port)| own.contains(&port.target) || !heard.contains_key(&port.target))
        .map(|(at, port)| PortView {
            target: port.target,
            protocol: &port.protocol,
            host_ip: port.host_ip.as_deref().unwrap_or("0.0.0.0"),
            published: port.published.as_deref(),
            options: &port.options,
            effective: effective && heard.get(&port.target).copied().unwrap_or(true),
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
    let outside = container.networks.iter().filter(|(_, (internal, _))| !internal);
    outside.map(|(name, _)| name.clone()).chain(foreign).collect()
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
