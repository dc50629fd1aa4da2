//! What one container cannot give to two daemons.

use bottle_model::daemon::Daemon;

/// Why a plan has no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two values for one thing.
    #[error(
        "{what}: {first} has {one} and {second} has {other}; one container has one value: give both blocks the same"
    )]
    Disagreement {
        /// What they disagree on.
        what: String,
        /// A daemon.
        first: Daemon,
        /// What it has.
        one: String,
        /// Another.
        second: Daemon,
        /// What that has.
        other: String,
    },
    /// Two mounts on one path.
    #[error(
        "{target}: {first} mounts {one} there and {second} {other}; one container has one mount on a path: \
         choose another target, or mount the same"
    )]
    Target {
        /// The path.
        target: String,
        /// A daemon.
        first: Daemon,
        /// What it mounts.
        one: String,
        /// Another.
        second: Daemon,
        /// What that mounts.
        other: String,
    },
    /// A mount that hides from one daemon what another, or the bundle's image, has there.
    #[error(
        "{target}: what {daemon} mounts there hides {hidden} from {from}; choose another target, or mount the same in \
         both blocks"
    )]
    Hides {
        /// The path.
        target: String,
        /// The daemon that mounts.
        daemon: Daemon,
        /// What no longer shows.
        hidden: String,
        /// Who needs it.
        from: String,
    },
    /// A capability that no daemon keeps behind required walls.
    #[error(
        "cap_add {capability}: {daemon} has it, and where \"isolation\" is \"require\" sidecar-init takes it from \
         every daemon, for it opens any wall; do without one of the two"
    )]
    Withheld {
        /// The capability.
        capability: String,
        /// The daemon.
        daemon: Daemon,
    },
    /// A port that belongs to another daemon.
    #[error(
        "port {port}: {daemon} publishes it, and in one container it is {owner}'s; take it out of {daemon}'s ports"
    )]
    Port {
        /// Port and protocol.
        port: String,
        /// The daemon that publishes it.
        daemon: Daemon,
        /// Whose it is.
        owner: Daemon,
    },
    /// The proxy behind the first is published.
    #[error("port {port}: {hop} listens on loopback alone in the bundle; take it out of {hop}'s ports")]
    HiddenPort {
        /// The port.
        port: u16,
        /// The proxy behind the first.
        hop: Daemon,
    },
    /// The proxy behind the first has names or addresses that the bundle takes away.
    #[error(
        "{hop} listens on loopback alone in the bundle, so that nothing finds it under {what}; take it out of \
         {hop}.networks.{network}"
    )]
    HiddenName {
        /// An alias or an address.
        what: String,
        /// Key of the network.
        network: &'static str,
        /// The proxy behind the first.
        hop: Daemon,
    },
    /// The agent names the proxy that it no longer reaches.
    #[error("{variable} names {host}, which the agent does not reach in the bundle; name {first}")]
    HiddenHop {
        /// Name of the variable.
        variable: String,
        /// The name that it uses.
        host: String,
        /// The proxy that the agent talks to.
        first: Daemon,
    },
    /// A variable that the init gives to every daemon comes from outside for some.
    #[error(
        "{variable}: it comes from the environment of docker compose for {daemon} and would reach {other} too; give it \
         a value in {daemon}.environment"
    )]
    Inherited {
        /// Name of the variable.
        variable: String,
        /// The daemon that asks for it.
        daemon: Daemon,
        /// One that does not.
        other: Daemon,
    },
}

impl Conflict {
    /// Its places in the plan: names of blocks, each with a key or a value in it, the likeliest first.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Disagreement { what, first, second, .. } => {
                let key = what.rsplit(' ').next().unwrap_or(what);
                // The one name that a plan has otherwise.
                let key = if key == "memswap_limit" { "memory_swap" } else { key };
                vec![(second.name(), key), (first.name(), key)]
            }
            Self::Target { target, first, second, .. } => {
                vec![(second.name(), target), (first.name(), target)]
            }
            Self::Hides { target, daemon, .. } => vec![(daemon.name(), target)],
            Self::Withheld { capability, daemon } => vec![(daemon.name(), capability)],
            Self::Port { daemon, .. } => vec![(daemon.name(), "ports")],
            Self::HiddenPort { hop, .. } => vec![(hop.name(), "ports")],
            Self::HiddenName { what, hop, .. } => vec![(hop.name(), what)],
            Self::HiddenHop { variable, .. } => vec![("agent", variable)],
            Self::Inherited { variable, daemon, .. } => vec![(daemon.name(), variable)],
        }
    }
}
