//! What is effective, per principal: the one type that every source and both shapes reduce to.

mod build;
mod connect;
mod container;
mod names;
mod process;
mod roles;

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Dependency, EnvValue, Setting, Source};
use bottle_model::daemon::Listen;

pub use roles::{MapError, Roles};

/// What a compose document makes of each principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Project name.
    pub project: Option<String>,
    /// Principals by name: `agent` and the daemons.
    pub parties: BTreeMap<String, Party>,
    /// Networks that the document declares or uses, by effective name (`<project>_<key>` where derived).
    pub networks: BTreeMap<String, Network>,
    /// Named volumes, configs and secrets by `kind/effective name`.
    pub resources: BTreeMap<String, Resource>,
    /// Intended changes that the view absorbed, to be named in the report.
    pub transitions: BTreeSet<Transition>,
    /// What could not be modelled or does not fit a shape; reported by the meta aspect.
    pub anomalies: BTreeSet<Anomaly>,
}

/// What one principal effectively has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// Compose service that holds the principal.
    pub service: String,
    /// Principals in the same container, itself included.
    pub together: BTreeSet<String>,
    /// `container_name` with the service's name (and the project's) replaced by a placeholder, so that it compares across shapes.
    pub container_name: String,
    /// Host name, canonical: absorbed where the bundle's is intended.
    pub hostname: Option<String>,
    /// Image reference, with the default or the override in force shown as `default`.
    pub image: Image,
    /// Full argv; the program by its file name, listen addresses replaced by `{listen}`.
    pub argv: Vec<Word>,
    /// `name or uid[:group]`, canonical (`root` for `0`); `{image}` where only the image knows.
    pub user: String,
    /// `HOME`.
    pub home: String,
    /// Working directory.
    pub workdir: String,
    /// Variables that reach the principal.
    pub environment: BTreeMap<String, Variable>,
    /// Mounts that the principal can open, by target.
    pub mounts: Vec<MountView>,
    /// Files that the principal runs from and that a mount hides, or a private path of another denies.
    pub shadowed: BTreeSet<String>,
    /// Private paths of this principal that others in its container can open all the same: path → who.
    pub exposed: BTreeMap<String, BTreeSet<String>>,
    /// Paths of the image that the handshake keeps for another daemon of the container.
    pub denied: BTreeSet<String>,
    /// Sockets that it listens on, canonical: an absorbed loopback hop shows as every address.
    pub listen: BTreeSet<Listen>,
    /// Sockets of its own that another daemon of its network namespace binds too: socket → who.
    pub clashes: BTreeMap<String, BTreeSet<String>>,
    /// Ports of its container that are published for a socket of this principal (or, for no socket, for the container).
    pub ports: BTreeSet<PortView>,
    /// Networks by effective name: options there.
    pub networks: BTreeMap<String, BTreeMap<String, String>>,
    /// Names under which others find this principal: network → names.
    pub names: BTreeMap<String, BTreeSet<String>>,
    /// Extra host entries: name → addresses; absorbed hop entries left out.
    pub hosts: BTreeMap<String, BTreeSet<String>>,
    /// Sockets of others that the principal can dial, as `daemon:port`; `false`: what the merger hides on
    /// purpose, or walls keep it from, which is neither gained nor lost.
    pub reach: BTreeMap<String, bool>,
    /// TCP ports that walls let it dial; `None`: any.
    pub dials: Option<Vec<u16>>,
    /// Names of other principals that it can resolve: name → principals.
    pub resolves: BTreeMap<String, BTreeSet<String>>,
    /// Networks through which it can dial out, empty: none (after walls).
    pub internet: BTreeSet<String>,
    /// Principals that it waits for: direct `depends_on`, and the start order of the bundle.
    pub depends: BTreeMap<String, Dependency>,
    /// Principals of the same container that the init starts before it, without waiting for their health.
    pub starts_after: BTreeSet<String>,
    /// How its health is watched; `None`: not at all.
    pub health: Option<Health>,
    /// Signals that reach it as a reload; empty: none.
    pub reload: BTreeSet<String>,
    /// Whether it can be restarted without its neighbours.
    pub restarts_alone: bool,
    /// Whether the walls of one container are `require`, `best-effort`, `off`; `None`: a container of its own.
    pub walls: Option<String>,
    /// Whether its container's init denies it new privileges, whatever the document says.
    pub no_new_privileges: bool,
    /// Labels of its container.
    pub labels: BTreeMap<String, String>,
    /// Every other attribute of its container, canonical and without defaults.
    pub settings: BTreeMap<String, Setting>,
}

/// Where a principal's image comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The reference as it stands in the document.
    pub reference: Option<String>,
    /// Whether it is the default, or the override in force, for the role that the service plays.
    pub expected: bool,
    /// Whether it is neither pinned by digest nor one of the project's own `bot-bottle-*` images.
    pub unpinned: bool,
}

/// A text in which the names of other principals are recognised, so that it compares across shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// The text as it stands in the document.
    pub raw: String,
    /// The text with every recognised host (and its port) replaced by `{}`.
    pub canonical: String,
    /// What the hosts mean, in order.
    pub targets: Vec<Target>,
    /// Names used that the container's merger left behind: aliases kept for the migration window.
    pub stale: BTreeSet<String>,
}

/// What a host name (and port) in a text leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Principals that it may mean: one where a port decides, the whole container's where none does.
    pub principals: BTreeSet<String>,
    /// Port, given or implied by the scheme.
    pub port: Option<u16>,
}

impl Word {
    /// Whether two texts mean the same: equal but for host names, and each host of `self` still meant by `other`.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        self.canonical == other.canonical
            && self.targets.len() == other.targets.len()
            && self.targets.iter().zip(&other.targets).all(|(before, after)| {
                before.port == after.port && before.principals.is_subset(&after.principals)
            })
            && other.stale.is_subset(&self.stale)
    }
}

/// A variable that reaches a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its value in the document.
    pub value: EnvValue,
    /// The value with principals recognised; `None` for an inherited one.
    pub word: Option<Word>,
    /// Where it stands in the document.
    pub place: String,
}

/// A mount that a principal can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountView {
    /// Path in the container.
    pub target: String,
    /// What is mounted; volumes, configs and secrets by effective name.
    pub source: Source,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Options, defaults left out.
    pub options: BTreeMap<String, String>,
    /// For a named volume: whether the document declares it.
    pub declared: bool,
    /// Where it stands in the document.
    pub place: String,
}

/// A port published for a principal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortView {
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Host IP; the unspecified address where none is given.
    pub host_ip: String,
    /// Host port or range; `None`: the engine chooses.
    pub published: Option<String>,
    /// Options, defaults left out.
    pub options: BTreeMap<String, String>,
    /// Whether the engine really publishes it: not for a container on internal networks only.
    pub effective: bool,
    /// Where it stands in the document.
    pub place: String,
}

/// How the health of a principal is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What the probe covers: the container's own command, or `sidecar-init check`, which covers each enabled daemon.
    pub probe: String,
    /// Whether the probe covers this principal.
    pub covers: bool,
    /// Interval, timeout, retries, start period, start interval: nanoseconds or count, engine defaults filled in.
    pub timing: BTreeMap<&'static str, u64>,
}

/// A network of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Key in the document.
    pub key: String,
    /// `internal: true`.
    pub internal: bool,
    /// `external: true`.
    pub external: bool,
    /// Driver, options, addresses, labels: dotted paths.
    pub settings: BTreeMap<String, String>,
}

/// A named volume, config or secret of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Key in the document.
    pub key: String,
    /// `external: true`.
    pub external: bool,
    /// Everything else: dotted paths.
    pub settings: BTreeMap<String, String>,
}

/// An intended change that the view absorbed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transition {
    /// Stable name: `services-merged`, `hop-hidden`, `agent-urls`, …
    pub name: &'static str,
    /// What changed, in a few words.
    pub detail: String,
}

/// Something that the view could not model, or that fits no shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anomaly {
    /// Id of the meta rule that reports it.
    pub rule: &'static str,
    /// Principal or service concerned; empty: the document.
    pub principal: String,
    /// What it is about.
    pub subject: String,
    /// A sentence for a person.
    pub message: String,
    /// Where it stands in the document.
    pub place: String,
}
