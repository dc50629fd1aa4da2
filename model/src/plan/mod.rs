//! The plan: a fully resolved bottle, typed, with every unknown key an error.

mod blocks;
mod check;
mod check_block;
mod limits;
mod mounts;
mod network;
mod number;
mod read;
#[cfg(test)]
mod tests;
mod text;
mod unique;
mod word;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::daemon::{Chain, Daemon, Isolation};
use crate::images;

pub use blocks::{Agent, Common, Egress, GitGate, Pipelock, Supervise};
pub use limits::{Bytes, Device, Health, Limits, Logging, Seconds, Ulimit};
pub use mounts::{Bind, NamedVolume, Tmpfs, Volume, VolumeOptions};
pub use network::{Network, Networks, Place, Places, PublishedPort, Subnet};
pub use number::Whole;
pub use read::{PlanError, read, schema};
pub use text::{
    Address, Cidr, ContainerPath, CpuSet, FileMode, FileName, Group, HostAddress, HostName, HostPath,
    ImageReference, Key, Line, MountSource, Name, Platform, RelativePath, Restart, SecurityOption, Slug,
    Sysctl, Token, User, VariableName,
};
pub use unique::{UniqueList, UniqueMap};
pub use word::{Capability, DeviceAccess, Propagation, Protocol, Selinux, StopSignal, UlimitName};

/// A bottle.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Version of the format.
    pub schema: Version,
    /// Name of the bottle.
    pub slug: Slug,
    /// What names of containers, networks and default images begin with; absent: that of bottle-migrate.toml, or
    /// `bot-bottle`.
    pub prefix: Option<Slug>,
    /// Order of the two proxies.
    #[serde(default)]
    pub chain: Chain,
    /// How far the bundle keeps its daemons apart.
    #[serde(default)]
    pub isolation: Isolation,
    /// The two networks.
    #[serde(default)]
    pub networks: Networks,
    /// Named volumes, by the key under which blocks mount them.
    #[serde(default)]
    pub volumes: UniqueMap<Name, NamedVolume>,
    /// The untrusted principal.
    pub agent: Agent,
    /// HTTPS proxy with leak detection.
    pub pipelock: Pipelock,
    /// Proxy that injects credentials, if the bottle has routes.
    pub egress: Option<Egress>,
    /// Git daemon that scans pushes, if the bottle has upstreams.
    pub git_gate: Option<GitGate>,
    /// MCP server, if the bottle has one.
    pub supervise: Option<Supervise>,
}

/// `bottle-migrate/plan/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// The first.
    #[serde(rename = "bottle-migrate/plan/1")]
    One,
}

impl Plan {
    /// What names begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.prefix.as_ref().map_or(images::PREFIX, Slug::as_str)
    }

    /// The daemons that the bottle uses, in start order, with what their blocks have in common.
    #[must_use]
    pub fn daemons(&self) -> Vec<(Daemon, Common<'_>)> {
        let mut daemons = Vec::with_capacity(4);
        daemons.extend(self.egress.as_ref().map(|block| (Daemon::Egress, block.common())));
        daemons.push((Daemon::Pipelock, self.pipelock.common()));
        daemons.extend(self.git_gate.as_ref().map(|block| (Daemon::GitGate, block.common())));
        daemons.extend(self.supervise.as_ref().map(|block| (Daemon::Supervise, block.common())));
        daemons
    }

    /// The proxy that the agent talks to.
    #[must_use]
    pub fn first_proxy(&self) -> Daemon {
        if self.egress.is_some() { self.chain.first() } else { Daemon::Pipelock }
    }

    /// The proxy behind the first, if the bottle has two.
    #[must_use]
    pub fn hop(&self) -> Option<Daemon> {
        self.egress.is_some().then(|| self.chain.hop())
    }

    /// Name of the network without a way out.
    #[must_use]
    pub fn internal_network(&self) -> String {
        let name = self.networks.internal.name.as_ref();
        name.map_or_else(|| format!("{}-internal-{}", self.prefix(), self.slug), Name::to_string)
    }

    /// Name of the network that leads out.
    #[must_use]
    pub fn external_network(&self) -> String {
        let name = self.networks.external.name.as_ref();
        name.map_or_else(|| format!("{}-egress-{}", self.prefix(), self.slug), Name::to_string)
    }
}
