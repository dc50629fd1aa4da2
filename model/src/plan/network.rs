//! A bottle's networks, its place in them, and what it publishes.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::{Address, Cidr, HostName, Key, Line, Name};
use super::unique::{UniqueList, UniqueMap};
use super::word::Protocol;

/// The two networks of a bottle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// The network without a way out.
    #[serde(default)]
    pub internal: Network,
    /// The network that leads out.
    #[serde(default)]
    pub external: Network,
}

/// A network (compose-spec, top-level "networks").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its name in the engine; absent: derived from the slug.
    pub name: Option<Name>,
    /// Whether it exists already and is not the project's to make or remove.
    #[serde(default)]
    pub external: bool,
    /// Driver; absent: the engine's default.
    pub driver: Option<Name>,
    /// Options of the driver.
    #[serde(default)]
    pub driver_opts: UniqueMap<Key, Line>,
    /// Ranges of addresses; none: the engine chooses.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    /// Whether it has IPv6 addresses.
    #[serde(default)]
    pub enable_ipv6: bool,
    /// Labels.
    #[serde(default)]
    pub labels: UniqueMap<Key, Line>,
}

/// A range of addresses of a network (compose-spec, "ipam").
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// The range.
    pub subnet: Cidr,
    /// Part of it from which containers get addresses; absent: the whole.
    pub ip_range: Option<Cidr>,
    /// Address of the host in it; absent: the first.
    pub gateway: Option<Address>,
}

/// A block's place in the two networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// In the network without a way out.
    #[serde(default)]
    pub internal: Place,
    /// In the network that leads out; not for the agent and supervise, which are not on it.
    #[serde(default)]
    pub external: Place,
}

/// A place in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Further names there.
    #[serde(default)]
    pub aliases: UniqueList<HostName>,
    /// Fixed IPv4 address, in one of the network's subnets.
    pub ipv4_address: Option<Address>,
    /// Fixed IPv6 address, in one of the network's subnets.
    pub ipv6_address: Option<Address>,
}

impl Place {
    /// The fixed addresses by their compose name.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, &Address)> {
        let four = self.ipv4_address.iter().map(|address| ("ipv4_address", address));
        four.chain(self.ipv6_address.iter().map(|address| ("ipv6_address", address)))
    }
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedPort {
    /// Port in the container.
    pub target: NonZeroU16,
    /// Host port; absent: the engine chooses.
    pub published: Option<NonZeroU16>,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// Address of the host on which it is published; absent: 127.0.0.1.
    pub host_ip: Option<Address>,
}
