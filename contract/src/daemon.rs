//! The four built-in daemons and the table that tells the bundle's init how to run each.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// A daemon of a bottle. The order is the bundle's start order (PRD 0024, "Init supervisor").
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

    /// TCP port on which the daemon listens inside its container (DESIGN: daemon table).
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
    /// agent → pipelock → egress → out (PRD 0024).
    #[default]
    PipelockFirst,
    /// agent → egress → pipelock → out, for a pipelock that cannot dial an upstream proxy.
    EgressFirst,
}

impl Chain {
    /// Name as it stands in plans and in the handshake.
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
    /// Name as it stands in plans and in the handshake.
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

/// A TCP socket that a daemon listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct Listen {
    /// Address; the unspecified one means every address.
    pub address: IpAddr,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl Listen {
    /// A socket on every address.
    #[must_use]
    pub const fn any(port: u16) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port }
    }

    /// A socket on the loopback address.
    #[must_use]
    pub const fn loopback(port: u16) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(v4) => write!(f, "{v4}:{}", self.port),
            IpAddr::V6(v6) => write!(f, "[{v6}]:{}", self.port),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    /// Reads `9099` (every address), `127.0.0.1:9099` or `[::1]:9099`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, port) = match text.rsplit_once(':') {
            None => ("0.0.0.0", text),
            Some((address, port)) => (address, port),
        };
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let (Ok(address), Ok(port @ 1..)) = (address.parse(), port.parse()) else {
            return Err(format!("listen address {text:?} is not PORT or ADDRESS:PORT"));
        };
        Ok(Self { address, port })
    }
}

/// A string, or a whole number in its place: ports and user ids are written either way.
#[derive(Deserialize)]
#[serde(untagged, expecting = "has to be a string or a whole number")]
enum Scalar {
    Text(String),
    Number(u32),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
        }
    }
}

impl TryFrom<Scalar> for Listen {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, Self::Error> {
        String::from(scalar).parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

/// Whether sidecar-init starts a daemon again that ended by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// A dead daemon stays dead (PRD 0024, open question 1).
    #[default]
    No,
    /// With a backoff, after a non-zero exit or a signal.
    OnFailure,
}

/// A row of the daemon table (`[[daemon]]` in the TOML that `sidecar-init --daemons` reads).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonRow {
    /// Name in logs, in the handshake and on the command line.
    pub name: String,
    /// Program and arguments; no shell is involved.
    pub argv: Vec<String>,
    /// User name, `uid` or `uid:gid`.
    #[serde(default = "root", deserialize_with = "scalar")]
    pub user: String,
    /// `HOME`; absent: the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Working directory; absent: the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Sockets that health waits for.
    #[serde(default)]
    pub listen: Vec<Listen>,
    /// Signal that makes the daemon read its configuration again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
    /// Paths that no other daemon may open.
    #[serde(default)]
    pub private: Vec<String>,
    /// TCP ports that the daemon may dial; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Vec<u16>>,
    /// Automatic restart, off by default.
    #[serde(default)]
    pub restart: Restart,
}

fn root() -> String {
    "root".to_owned()
}

fn scalar<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Scalar::deserialize(deserializer).map(String::from)
}

/// Capabilities without which the init cannot start these daemons (`capabilities(7)`): it sets the groups of each;
/// for another user than root it hands over the log pipes, changes user, and signals processes that are not its own.
pub fn needed_capabilities<'a>(rows: impl IntoIterator<Item = &'a DaemonRow>) -> &'static [&'static str] {
    let root = |row: &DaemonRow| matches!(row.user.split(':').next(), Some("root" | "0"));
    if rows.into_iter().all(root) { &["SETGID"] } else { &["CHOWN", "KILL", "SETGID", "SETUID"] }
}

/// Capabilities that sidecar-init takes from every daemon where walls are required: their holder looks through any
/// wall (`capabilities(7)`).
pub const WITHHELD: [&str; 2] = ["PERFMON", "SYS_ADMIN"];

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
        name: daemon.name().to_owned(),
        argv,
        user: if egress { "mitmproxy" } else { "root" }.to_owned(),
        home: Some(if egress { "/home/mitmproxy" } else { "/root" }.to_owned()),
        workdir: None,
        listen: vec![listen],
        reload: matches!(daemon, Daemon::Egress | Daemon::Pipelock).then(|| "HUP".to_owned()),
        private: strings(private).collect(),
        connect: (daemon == Daemon::Supervise).then(Vec::new),
        restart: Restart::No,
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

    #[test]
    fn listen_reads_what_it_writes() {
        for text in ["0.0.0.0:9099", "127.0.0.1:1", "[::1]:65535"] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("9099".parse(), Ok(Listen::any(9099)));
        for text in ["", "0", "65536", "localhost:80", "1.2.3.4:", ":80"] {
            assert!(text.parse::<Listen>().is_err(), "{text:?}");
        }
    }
}
