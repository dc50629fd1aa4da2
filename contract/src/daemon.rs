//! The four built-in daemons and the table from which the bundle's init runs them.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub use crate::listen::Listen;
pub use crate::row::{DaemonRow, Restart, WITHHELD};

/// A daemon of a bottle. The order is the bundle's start order (docs/design.md#daemons).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Daemon {
    /// mitmproxy with the addon that injects credentials.
    Egress,
    /// HTTPS proxy with leak detection.
    Pipelock,
    /// git daemon that scans pushes with gitleaks.
    GitGate,
    /// MCP server.
    Supervise,
}

impl Daemon {
    /// Every daemon, in start order.
    pub const ALL: [Self; 4] = [Self::Egress, Self::Pipelock, Self::GitGate, Self::Supervise];

    /// Name of the daemon and of its legacy compose service.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Pipelock => "pipelock",
            Self::GitGate => "git-gate",
            Self::Supervise => "supervise",
        }
    }

    /// TCP port on which the daemon listens inside its container (docs/design.md#daemons).
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Egress => 9099,
            Self::Pipelock => 8888,
            Self::GitGate => 9418,
            Self::Supervise => 9100,
        }
    }

    /// Finds a daemon by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|daemon| daemon.name() == name)
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The order in which the agent's HTTPS traffic passes the two proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Chain {
    /// agent → pipelock → egress → out (docs/design.md#chain).
    #[default]
    PipelockFirst,
    /// agent → egress → pipelock → out, for a pipelock that cannot dial an upstream proxy.
    EgressFirst,
}

impl Chain {
    /// Name in plans and in the handshake.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PipelockFirst => "pipelock-first",
            Self::EgressFirst => "egress-first",
        }
    }

    /// Finds a chain by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PipelockFirst, Self::EgressFirst].into_iter().find(|chain| chain.name() == name)
    }

    /// The proxy that the agent talks to.
    #[must_use]
    pub const fn first(self) -> Daemon {
        match self {
            Self::PipelockFirst => Daemon::Pipelock,
            Self::EgressFirst => Daemon::Egress,
        }
    }

    /// The proxy behind the first, which the agent has no business with.
    #[must_use]
    pub const fn hop(self) -> Daemon {
        match self {
            Self::PipelockFirst => Daemon::Egress,
            Self::EgressFirst => Daemon::Pipelock,
        }
    }
}

/// How far sidecar-init must keep the daemons of one container apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Every wall that the table asks for, or no start.
    Require,
    /// The walls that the kernel offers; what is missing is logged.
    #[default]
    BestEffort,
    /// No walls.
    Off,
}

impl Isolation {
    /// Name in plans and in the handshake.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        }
    }

    /// Finds a level by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Require, Self::BestEffort, Self::Off].into_iter().find(|level| level.name() == name)
    }
}

/// Capabilities without which the init cannot start these daemons (`capabilities(7)`): it sets the groups of each;
/// for another user than root it hands over the log pipes, changes user, and signals processes that are not its own;
/// where a row says which capabilities its daemon has, the init takes the others away.
pub fn needed_capabilities<'a>(rows: impl IntoIterator<Item = &'a DaemonRow>) -> &'static [&'static str] {
    let (mut foreign, mut limited) = (false, false);
    for row in rows {
        foreign |= !matches!(row.user.split(':').next(), Some("root" | "0"));
        limited |= row.capabilities.is_some();
    }
    match (foreign, limited) {
        (false, false) => &["SETGID"],
        (false, true) => &["SETGID", "SETPCAP"],
        (true, false) => &["CHOWN", "KILL", "SETGID", "SETUID"],
        (true, true) => &["CHOWN", "KILL", "SETGID", "SETPCAP", "SETUID"],
    }
}

/// The table that is compiled into sidecar-init, for one order of the two proxies.
///
/// The hop behind the first proxy listens on loopback alone.
#[must_use]
pub fn table(chain: Chain) -> Vec<DaemonRow> {
    Daemon::ALL.into_iter().map(|daemon| row(daemon, chain).clone()).collect()
}

/// The built-in row of one daemon.
#[must_use]
pub fn row(daemon: Daemon, chain: Chain) -> &'static DaemonRow {
    static ROWS: [LazyLock<[DaemonRow; 4]>; 2] = [
        LazyLock::new(|| Daemon::ALL.map(|daemon| built(daemon, Chain::PipelockFirst))),
        LazyLock::new(|| Daemon::ALL.map(|daemon| built(daemon, Chain::EgressFirst))),
    ];
    &ROWS[chain as usize][daemon as usize]
}

fn built(daemon: Daemon, chain: Chain) -> DaemonRow {
    let listen =
        if chain.hop() == daemon { Listen::loopback(daemon.port()) } else { Listen::any(daemon.port()) };
    let (argv, private): (Vec<String>, &[&str]) = match daemon {
        Daemon::Egress => (egress_argv(chain, listen), &["/etc/egress", "/home/mitmproxy/.mitmproxy"]),
        Daemon::Pipelock => (
            strings(&[
                "/usr/local/bin/pipelock",
                "run",
                "--config",
                "/etc/pipelock/pipelock.yaml",
                "--listen",
            ])
            .chain([listen.to_string()])
            .collect(),
            &["/etc/pipelock"],
        ),
        Daemon::GitGate => (
            strings(&["/git-gate-entrypoint.sh"]).collect(),
            &["/git-gate-entrypoint.sh", "/etc/git-gate", "/git-gate/creds"],
        ),
        Daemon::Supervise => {
            (strings(&["python3", "/app/supervise_server.py"]).collect(), &["/run/supervise/queue"])
        }
    };
    let egress = daemon == Daemon::Egress;
    DaemonRow {
        user: if egress { "mitmproxy" } else { "root" }.to_owned(),
        home: Some(if egress { "/home/mitmproxy" } else { "/root" }.to_owned()),
        listen: vec![listen],
        reload: matches!(daemon, Daemon::Egress | Daemon::Pipelock).then(|| "HUP".to_owned()),
        private: strings(private).collect(),
        connect: (daemon == Daemon::Supervise).then(Vec::new),
        // All but supervise look up names.
        udp: daemon != Daemon::Supervise,
        // Its mirrors of the upstreams.
        writable: (daemon == Daemon::GitGate).then(|| vec!["/git".to_owned()]),
        ..DaemonRow::new(daemon.name(), argv)
    }
}

fn egress_argv(chain: Chain, listen: Listen) -> Vec<String> {
    let mode = match chain {
        Chain::PipelockFirst => "regular",
        Chain::EgressFirst => "upstream:http://pipelock:8888",
    };
    let mut argv: Vec<String> = strings(&["mitmdump", "--mode", mode, "--listen-host"]).collect();
    argv.push(listen.address.to_string());
    argv.extend(strings(&["--listen-port", "9099", "--scripts", "/app/egress_addon.py"]));
    argv
}

fn strings(texts: &[&str]) -> impl Iterator<Item = String> {
    texts.iter().map(|text| (*text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hop_listens_on_loopback() {
        for chain in [Chain::PipelockFirst, Chain::EgressFirst] {
            for daemon in Daemon::ALL {
                let listen = row(daemon, chain).listen[0];
                assert_eq!(listen.address.is_loopback(), daemon == chain.hop(), "{chain:?} {daemon}");
                assert_eq!(listen.port, daemon.port());
            }
        }
    }
}
