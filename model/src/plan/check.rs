//! What the types alone cannot say of a plan as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::check_block;
use super::network::{Network, Place};
use super::read::{Flaw, at};
use super::text::{MountSource, Name};
use super::{Common, Plan};
use crate::daemon::{Chain, Daemon};
use crate::handshake::{self, Names};

/// Names that mean a principal, and so nothing else.
pub(super) fn is_principal(name: &str) -> bool {
    Daemon::from_name(name).is_some() || matches!(name, "agent" | "sidecars")
}

impl Plan {
    /// Checks what concerns more than one field.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        if self.chain == Chain::EgressFirst && self.egress.is_none() {
            return Err(Flaw::new(at!["chain"], "egress-first needs an egress block"));
        }
        if self.internal_network() == self.external_network() {
            return Err(Flaw::new(at!["networks"], "internal and external have the same name"));
        }
        network("internal", &self.networks.internal)?;
        network("external", &self.networks.external)?;
        if self.networks.internal.external {
            let why = "the internal network is the boundary, and of a network that exists already nothing says \
                       that it is internal";
            return Err(Flaw::new(at!["networks", "internal", "external"], why));
        }
        let blocks: Vec<(&'static str, Common<'_>)> = std::iter::once(("agent", self.agent.common()))
            .chain(self.daemons().into_iter().map(|(daemon, common)| (daemon.name(), common)))
            .collect();
        let reserved = Names::under(self.prefix());
        for (name, common) in &blocks {
            check_block::check(name, *common, &self.standard_targets(name), &reserved)?;
        }
        self.volumes_declared(&blocks)?;
        self.addresses(&blocks)?;
        ports(&blocks)?;
        self.tokens()
    }

    fn tokens(&self) -> Result<(), Flaw> {
        for (index, token) in self.egress.iter().flat_map(|egress| egress.tokens.iter().enumerate()) {
            let number = token.as_str().strip_prefix(handshake::TOKEN_PREFIX);
            if !number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
                let why = format!("{token} is not EGRESS_TOKEN_<number>");
                return Err(Flaw::new(at!["egress", "tokens", index], why));
            }
        }
        Ok(())
    }

    /// Every named volume is declared, and every declared one mounted.
    fn volumes_declared(&self, blocks: &[(&str, Common<'_>)]) -> Result<(), Flaw> {
        let declared: BTreeSet<&str> = self.volumes.keys().map(Name::as_str).collect();
        let mut used = BTreeSet::new();
        for (block, common) in blocks {
            for (index, volume) in common.volumes.iter().enumerate().filter(|(_, v)| !is_path(&v.source)) {
                let name = volume.source.as_str();
                if !declared.contains(name) {
                    let why = format!("the plan has no volume {name}");
                    let flaw = Flaw::new(at![*block, "volumes", index, "source"], why);
                    return Err(flaw.nearest(name, declared.into_iter()));
                }
                used.insert(name);
            }
        }
        for (name, volume) in self.volumes.iter() {
            if !used.contains(name.as_str()) {
                return Err(Flaw::new(at!["volumes", name.as_str()], "no block mounts the volume"));
            }
            if volume.external
                && (volume.driver.is_some() || !volume.driver_opts.is_empty() || !volume.labels.is_empty())
            {
                let why = "a volume that exists already has its driver, options and labels";
                return Err(Flaw::new(at!["volumes", name.as_str()], why));
            }
        }
        Ok(())
    }

    /// Fixed addresses lie in their network, and no two are the same.
    fn addresses(&self, blocks: &[(&str, Common<'_>)]) -> Result<(), Flaw> {
        for (key, network, of) in [
            (
                "internal",
                &self.networks.internal,
                (|common| &common.networks.internal) as fn(Common<'_>) -> &Place,
            ),
            ("external", &self.networks.external, |common| &common.networks.external),
        ] {
            let mut taken: BTreeMap<IpAddr, String> = BTreeMap::new();
            for subnet in &network.subnets {
                taken.extend(
                    subnet.gateway.iter().filter_map(|gateway| {
                        Some((gateway.as_str().parse().ok()?, "the gateway".to_owned()))
                    }),
                );
            }
            for (block, common) in blocks {
                let place = of(*common);
                let away = matches!(*block, "agent" | "supervise") && key == "external";
                if away && *place != Place::default() {
                    let why = format!("{block} is not on the external network");
                    return Err(Flaw::new(at![*block, "networks", key], why));
                }
                for (attribute, address) in place.addresses() {
                    let flaw = |why: String| Err(Flaw::new(at![*block, "networks", key, attribute], why));
                    let parsed = address.as_str().parse::<IpAddr>();
                    if parsed.as_ref().is_ok_and(|address| address.is_ipv6() != (attribute == "ipv6_address"))
                    {
                        return flaw(format!("{address} is of the other family"));
                    }
                    let within =
                        network.subnets.iter().any(|subnet| subnet.subnet.contains(address.as_str()));
                    if !network.external && !within {
                        return flaw(format!("{address} lies in no subnet of the {key} network"));
                    }
                    if let Some(other) =
                        parsed.ok().and_then(|parsed| taken.insert(parsed, (*block).to_owned()))
                    {
                        return flaw(format!("{address} is the address of {other} already"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Targets of a block's standard mounts.
    fn standard_targets(&self, block: &str) -> Vec<String> {
        let fixed: &[&str] = match Daemon::from_name(block) {
            None => &[],
            Some(Daemon::Egress) => {
                &["/etc/egress/routes.yaml", "/home/mitmproxy/.mitmproxy", "/etc/egress/upstream-ca.pem"]
            }
            Some(Daemon::Pipelock) => {
                &["/etc/pipelock/pipelock.yaml", "/etc/pipelock/ca.pem", "/etc/pipelock/ca-key.pem"]
            }
            Some(Daemon::GitGate) => {
                &["/git-gate-entrypoint.sh", "/etc/git-gate/pre-receive", "/etc/git-gate/access-hook"]
            }
            Some(Daemon::Supervise) => &["/run/supervise/queue"],
        };
        let gate = self.git_gate.iter().filter(|_| block == Daemon::GitGate.name());
        let credentials = gate.flat_map(|gate| gate.credentials.keys());
        let credentials = credentials.map(|name| format!("/git-gate/creds/{name}"));
        fixed.iter().map(|target| (*target).to_owned()).chain(credentials).collect()
    }
}

/// Whether a mount's source is a path of the host.
pub(super) fn is_path(source: &MountSource) -> bool {
    source.as_str().starts_with('/')
}

fn network(key: &str, network: &Network) -> Result<(), Flaw> {
    let Network { name: _, external, driver, driver_opts, subnets, enable_ipv6, labels } = network;
    let plain =
        driver.is_none() && driver_opts.is_empty() && subnets.is_empty() && !enable_ipv6 && labels.is_empty();
    if *external && !plain {
        let why = "a network that exists already has its driver, options, subnets and labels";
        return Err(Flaw::new(at!["networks", key], why));
    }
    let mut ranges = BTreeSet::new();
    for (index, subnet) in subnets.iter().enumerate() {
        let within = |inner: Option<&str>| inner.is_none_or(|inner| subnet.subnet.contains(inner));
        for (attribute, inner) in [
            ("ip_range", subnet.ip_range.as_ref().map(super::Cidr::as_str)),
            ("gateway", subnet.gateway.as_ref().map(super::Address::as_str)),
        ] {
            if !within(inner) {
                let why = format!("{} lies outside of {}", inner.unwrap_or_default(), subnet.subnet);
                return Err(Flaw::new(at!["networks", key, "subnets", index, attribute], why));
            }
        }
        if !ranges.insert(subnet.subnet.as_str()) {
            return Err(Flaw::new(at!["networks", key, "subnets", index], "the subnet is listed twice"));
        }
        if subnet.subnet.as_str().contains(':') && !enable_ipv6 {
            let why = "an IPv6 subnet needs enable_ipv6";
            return Err(Flaw::new(at!["networks", key, "subnets", index], why));
        }
    }
    Ok(())
}

/// A port of the host is one container's alone.
fn ports(blocks: &[(&str, Common<'_>)]) -> Result<(), Flaw> {
    let mut taken: BTreeMap<(u16, &str), BTreeMap<&str, &str>> = BTreeMap::new();
    for (block, common) in blocks {
        for (index, port) in common.ports.iter().flatten().enumerate() {
            let Some(published) = port.published else { continue };
            let host = port.host_ip.as_ref().map_or("127.0.0.1", |address| address.as_str());
            let protocol = port.protocol.as_str();
            let same = |other: &str| other == host || any(other) || any(host);
            let others = taken.entry((published.get(), protocol)).or_default();
            if let Some((_, other)) = others.iter().find(|(address, _)| same(address)) {
                let why = format!("{other} publishes on {host}:{published}/{protocol} already");
                return Err(Flaw::new(at![*block, "ports", index], why));
            }
            others.insert(host, *block);
        }
    }
    Ok(())
}

fn any(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}
