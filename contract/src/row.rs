//! A row of the daemon table: how the init runs one daemon.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::capability::Capabilities;
use crate::daemon::Isolation;
use crate::listen::{Listen, Scalar};
use crate::span::Span;

/// Capabilities that a daemon loses where walls are required: their holder bypasses every wall (`capabilities(7)`).
pub const WITHHELD: [&str; 2] = ["PERFMON", "SYS_ADMIN"];

/// Capabilities that undo a limit on connections: their holder redirects or forges packets, or acts as another process.
pub const UNDOES_CONNECT: [&str; 4] = ["NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_PTRACE"];

/// A row of the daemon table (`[[daemon]]` in the TOML that `sidecar-init --daemons` reads).
///
/// The attribute of a compose service that a key carries is in brackets.
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
    /// Supplementary groups, names or numbers, beside those of the user \[`group_add`\].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "scalars")]
    pub groups: Vec<String>,
    /// `HOME`; absent: the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Working directory; absent: the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Sockets that health waits for.
    #[serde(default)]
    pub listen: Vec<Listen>,
    /// TCP ports that the daemon may bind; absent: those of `listen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<Ports>,
    /// TCP ports that the daemon may connect to; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Vec<u16>>,
    /// Whether it may have UDP sockets; without them it can resolve no names.
    #[serde(default, skip_serializing_if = "is_false")]
    pub udp: bool,
    /// Signal that makes the daemon read its configuration again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
    /// Signal that asks it to end; absent: TERM \[`stop_signal`\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Time between that signal and KILL; absent: the init's own \[`stop_grace_period`, less 2 s\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace: Option<Span>,
    /// Paths that no other daemon may open.
    #[serde(default)]
    pub private: Vec<String>,
    /// Paths that it may write to, beside those that every daemon may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable: Option<Vec<String>>,
    /// Capabilities that it has, in all five sets; absent: those of a container by default \[`cap_add`, `cap_drop`\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// File mode creation mask; absent: 022.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<Umask>,
    /// Scheduling priority, -20 to 19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i8>,
    /// Preference of the kernel's out-of-memory killer, -1000 to 1000 \[`oom_score_adj`\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i16>,
    /// Automatic restart, off by default \[`restart`\].
    #[serde(default)]
    pub restart: Restart,
    /// Whether its end ends the container, with its exit code.
    #[serde(default, skip_serializing_if = "is_false")]
    pub critical: bool,
    /// What has to be true of other daemons before it starts \[`depends_on`\].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<String, Condition>,
    /// Limits of resources \[`ulimits`\].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rlimits: BTreeMap<Resource, Limit>,
    /// A program that says whether it is healthy \[`healthcheck`\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl DaemonRow {
    /// A row with a name and a program, and every other key at its default.
    #[must_use]
    pub fn new(name: &str, argv: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            argv,
            user: root(),
            groups: Vec::new(),
            home: None,
            workdir: None,
            listen: Vec::new(),
            bind: None,
            connect: None,
            udp: false,
            reload: None,
            stop_signal: None,
            stop_grace: None,
            private: Vec::new(),
            writable: None,
            capabilities: None,
            umask: None,
            nice: None,
            oom_score_adj: None,
            restart: Restart::default(),
            critical: false,
            after: BTreeMap::new(),
            rlimits: BTreeMap::new(),
            health: None,
        }
    }

    /// Capabilities that the daemon has at most, as far as its container has them; `None`: whatever the container has.
    #[must_use]
    pub fn capabilities_under(&self, isolation: Isolation) -> Option<Capabilities> {
        if isolation == Isolation::Off {
            return self.capabilities;
        }
        let mut held = self.capabilities.unwrap_or(Capabilities::DEFAULT);
        if self.connect.is_some() {
            held = held.without(Capabilities::of(&["NET_RAW"]));
        }
        if isolation == Isolation::Require {
            held = held.without(Capabilities::of(&WITHHELD));
        }
        Some(held)
    }

    /// TCP ports that the daemon may bind under walls.
    #[must_use]
    pub fn binds(&self) -> Ports {
        self.bind
            .clone()
            .unwrap_or_else(|| Ports::Only(self.listen.iter().map(|listen| listen.port).collect()))
    }
}

/// TCP ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenPorts", into = "WrittenPorts")]
pub enum Ports {
    /// Every port: `"any"`.
    Any,
    /// These ports; 0 is one that the kernel picks.
    Only(Vec<u16>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "has to be a list of ports or \"any\"")]
enum WrittenPorts {
    Word(String),
    List(Vec<u16>),
}

impl TryFrom<WrittenPorts> for Ports {
    type Error = String;

    fn try_from(written: WrittenPorts) -> Result<Self, Self::Error> {
        match written {
            WrittenPorts::List(ports) => Ok(Self::Only(ports)),
            WrittenPorts::Word(word) if word == "any" => Ok(Self::Any),
            WrittenPorts::Word(word) => Err(format!("{word:?} is not a list of ports or \"any\"")),
        }
    }
}

impl From<Ports> for WrittenPorts {
    fn from(ports: Ports) -> Self {
        match ports {
            Ports::Any => Self::Word("any".to_owned()),
            Ports::Only(ports) => Self::List(ports),
        }
    }
}

/// When sidecar-init starts a daemon again that ended by itself; always with a backoff.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// After a non-zero exit or a signal, so many times at most; `None`: without a limit.
    OnFailure(Option<u32>),
    /// After every end.
    Always,
    /// After every end; the same as `always` here, since an operator's stop is remembered in both.
    UnlessStopped,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

impl FromStr for Restart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "no" => Ok(Self::No),
            "on-failure" => Ok(Self::OnFailure(None)),
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            _ => text
                .strip_prefix("on-failure:")
                .and_then(|times| times.parse().ok())
                .map(|times| Self::OnFailure((times > 0).then_some(times)))
                .ok_or_else(|| {
                    format!(
                        "{text:?} is no restart policy: no, on-failure, on-failure:N, always, unless-stopped"
                    )
                }),
        }
    }
}

impl TryFrom<String> for Restart {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Restart> for String {
    fn from(restart: Restart) -> Self {
        restart.to_string()
    }
}

/// What has to be true of a daemon before another starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It runs.
    Started,
    /// It is healthy: its sockets listen, and its `health` program says so.
    Healthy,
    /// It has ended with 0.
    Completed,
}

/// A program that says whether a daemon is healthy. It runs as the daemon does, behind the same walls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Program and arguments; exit code 0 means healthy.
    pub test: Vec<String>,
    /// Time from the end of one run to the next.
    #[serde(default = "Health::half_a_minute")]
    pub interval: Span,
    /// After this time a run has failed and is killed.
    #[serde(default = "Health::half_a_minute")]
    pub timeout: Span,
    /// Failures in a row that make a healthy daemon unhealthy.
    #[serde(default = "Health::three")]
    pub retries: u32,
    /// Failures do not count within this time after the start, until the first success.
    #[serde(default)]
    pub start_period: Span,
    /// Interval within the start period.
    #[serde(default = "Health::five_seconds")]
    pub start_interval: Span,
}

impl Health {
    /// A probe with the times that Compose has by default.
    #[must_use]
    pub fn new(test: Vec<String>) -> Self {
        Self {
            test,
            interval: Self::half_a_minute(),
            timeout: Self::half_a_minute(),
            retries: Self::three(),
            start_period: Span::default(),
            start_interval: Self::five_seconds(),
        }
    }

    const fn half_a_minute() -> Span {
        Span::seconds(30)
    }

    const fn five_seconds() -> Span {
        Span::seconds(5)
    }

    const fn three() -> u32 {
        3
    }
}

/// A file mode creation mask, in octal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Umask(pub u16);

impl TryFrom<String> for Umask {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match u16::from_str_radix(&text, 8) {
            Ok(mask @ 0..=0o777) if !text.starts_with('+') => Ok(Self(mask)),
            _ => Err(format!("{text:?} is no umask of octal digits, 000 to 777")),
        }
    }
}

impl From<Umask> for String {
    fn from(umask: Umask) -> Self {
        format!("{:03o}", umask.0)
    }
}

/// A resource with a limit (`getrlimit(2)`), by the name that Compose's `ulimits` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "the names are those of getrlimit(2)")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl Resource {
    const ALL: [(&str, Self); 16] = [
        ("as", Self::As),
        ("core", Self::Core),
        ("cpu", Self::Cpu),
        ("data", Self::Data),
        ("fsize", Self::Fsize),
        ("locks", Self::Locks),
        ("memlock", Self::Memlock),
        ("msgqueue", Self::Msgqueue),
        ("nice", Self::Nice),
        ("nofile", Self::Nofile),
        ("nproc", Self::Nproc),
        ("rss", Self::Rss),
        ("rtprio", Self::Rtprio),
        ("rttime", Self::Rttime),
        ("sigpending", Self::Sigpending),
        ("stack", Self::Stack),
    ];

    /// Name of the resource.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

impl TryFrom<String> for Resource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, resource)| resource).ok_or_else(|| format!("unknown resource {text:?}"))
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.name().to_owned()
    }
}

/// Soft and hard limit of a resource; `None` is unlimited, -1 in text. One number means both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenLimit", into = "WrittenLimit")]
pub struct Limit {
    /// The limit that applies.
    pub soft: Option<u64>,
    /// How far the process may raise it.
    pub hard: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "has to be a number, or soft and hard")]
enum WrittenLimit {
    Both(i64),
    Pair { soft: i64, hard: i64 },
}

impl TryFrom<WrittenLimit> for Limit {
    type Error = String;

    fn try_from(written: WrittenLimit) -> Result<Self, Self::Error> {
        let one = |number: i64| match u64::try_from(number) {
            Ok(limit) => Ok(Some(limit)),
            Err(_) if number == -1 => Ok(None),
            Err(_) => Err(format!("limit {number} is negative; -1 means unlimited")),
        };
        let (soft, hard) = match written {
            WrittenLimit::Both(number) => (one(number)?, one(number)?),
            WrittenLimit::Pair { soft, hard } => (one(soft)?, one(hard)?),
        };
        if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
            return Err("the soft limit is above the hard one".to_owned());
        }
        Ok(Self { soft, hard })
    }
}

impl From<Limit> for WrittenLimit {
    fn from(limit: Limit) -> Self {
        let number = |limit: Option<u64>| limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        if limit.soft == limit.hard {
            Self::Both(number(limit.soft))
        } else {
            Self::Pair { soft: number(limit.soft), hard: number(limit.hard) }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn root() -> String {
    "root".to_owned()
}

fn scalar<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Scalar::deserialize(deserializer).map(String::from)
}

fn scalars<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Scalar>::deserialize(deserializer)?.into_iter().map(String::from).collect())
}
