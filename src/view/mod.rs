//! What is effective, per principal: the one type that every source and both shapes reduce to.

mod build;
mod connect;
mod container;
mod map;
mod names;
mod process;
mod roles;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::rule::RuleId;
use bottle_model::compose::{Dependency, EnvValue, Setting, Source};
use bottle_model::daemon::Listen;
use bottle_model::paths::Paths;
use bottle_model::sorted::{Map, Set};

pub use map::{MapError, map_schema};
pub use roles::{Roles, Side};

/// What a compose document makes of each principal; it reads the document and copies none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View<'a> {
    /// Project name.
    pub project: Option<&'a str>,
    /// Principals by name: `agent` and the daemons.
    pub principals: Map<&'a str, Principal<'a>>,
    /// Networks that the document declares or uses, by effective name (`<project>_<key>` where derived).
    pub networks: Map<Cow<'a, str>, Network<'a>>,
    /// Named volumes, configs and secrets by `kind/effective name`.
    pub resources: Map<String, Resource<'a>>,
    /// Every image of the legacy shape whose Dockerfile is known, whether or not a service of this document uses it.
    pub legacy_images: Vec<&'a crate::images::Image>,
    /// Intended changes that the view absorbed, to be named in the report.
    pub transitions: BTreeSet<Transition>,
    /// What could not be modelled or does not fit a shape; reported by the meta aspect.
    pub anomalies: BTreeSet<Anomaly>,
}

/// Follows the path of a mount that is private to nobody, which no wall would keep from others.
pub const UNCLAIMED: &str = " (claimed by no principal)";

/// What one principal effectively has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Principal<'a> {
    /// Compose service of the principal.
    pub service: &'a str,
    /// Principals in the same container, itself included.
    pub together: Set<&'a str>,
    /// `container_name` with the service's name (and the project's) replaced by a placeholder, so that it compares across shapes.
    pub container_name: Cow<'a, str>,
    /// Host name; without one the engine chooses.
    pub hostname: Option<&'a str>,
    /// Whether the host name is the merged service's own name, which is intended.
    pub own_hostname: bool,
    /// Image reference, with the default or the override in force shown as `default`.
    pub image: Image<'a>,
    /// Full argv; pipelock's path is absorbed, listen addresses are replaced by `{listen}`.
    pub argv: Vec<Word<'a>>,
    /// `name or uid[:group]`, canonical (`root` for `0`); `{image}` where only the image knows.
    pub user: Cow<'a, str>,
    /// `HOME`.
    pub home: Cow<'a, str>,
    /// Working directory.
    pub workdir: &'a str,
    /// Variables that reach the principal.
    pub environment: Map<&'a str, Variable<'a>>,
    /// Mounts that the principal can open, by target.
    pub mounts: Paths<'a, MountView<'a>>,
    /// Files that the principal runs from and that a mount hides, or a private path of another denies.
    pub shadowed: Set<&'a str>,
    /// Private paths of this principal, and mounts that nobody claims ([`UNCLAIMED`]), that others in its container
    /// can open all the same: path → who.
    pub exposed: Map<String, Set<&'a str>>,
    /// Paths that the handshake keeps for another daemon, of the image or mounted.
    pub denied: Set<String>,
    /// Sockets that it listens on, canonical: an absorbed loopback hop shows as every address.
    pub listen: Set<Listen>,
    /// Sockets of its own that another daemon of its network namespace binds too: socket → who.
    pub clashes: Map<Listen, Set<&'a str>>,
    /// Ports of its container that are published for a socket of this principal (or, for no socket, for the container).
    pub ports: Set<PortView<'a>>,
    /// Networks by effective name: options there.
    pub networks: Map<Cow<'a, str>, &'a BTreeMap<String, String>>,
    /// Names under which others find this principal: network → names.
    pub names: Map<Cow<'a, str>, Set<Cow<'a, str>>>,
    /// Every name by which its container is found, on any network.
    pub answers: Set<&'a str>,
    /// Extra host entries: name → addresses; absorbed hop entries left out.
    pub hosts: Map<&'a str, Set<&'a str>>,
    /// Sockets of others that the principal's networks lead to, and whether it can dial them.
    pub reach: Map<Endpoint<'a>, Reach>,
    /// TCP ports that walls let it dial; `None`: any.
    pub dials: Option<&'a [u16]>,
    /// Whether walls keep it from dialling at all, which takes nothing from it.
    pub idle: bool,
    /// Whether it dials names that others choose, so that a host entry changes where their traffic goes.
    pub dials_any: bool,
    /// Hosts that its texts address at a port where nothing listens, `host:port` → the text's place.
    pub dead: Map<String, String>,
    /// Names of other principals that it can resolve: name → principals.
    pub resolves: Map<&'a str, Set<&'a str>>,
    /// Networks through which it can dial out, empty: none (after walls).
    pub internet: Set<Cow<'a, str>>,
    /// Principals that it waits for: direct `depends_on`, and the start order of the bundle.
    pub depends: Map<Cow<'a, str>, Cow<'a, Dependency>>,
    /// Principals of the same container that the init starts before it, without waiting for their health.
    pub starts_after: Set<&'a str>,
    /// How its health is watched; `None`: not at all.
    pub health: Option<Health<'a>>,
    /// The signal that reaches it as a reload.
    pub reload: Option<&'a str>,
    /// Whether it can be restarted without its neighbours.
    pub restarts_alone: bool,
    /// What starts it again when it ends: the policy of its own container, or its row in the init's table.
    pub restart: &'a str,
    /// Whether the walls of one container are `require`, `best-effort`, `off`; `None`: a container of its own.
    pub walls: Option<Cow<'static, str>>,
    /// Whether sidecar-init runs it, and so denies it new privileges, whatever the document says.
    pub supervised: bool,
    /// Variables of its image's ENV that reach it.
    pub image_environment: Set<&'a str>,
    /// Labels of its container.
    pub labels: Map<&'a str, &'a str>,
    /// Every other attribute of its container, canonical and without defaults.
    pub settings: Map<&'a str, &'a Setting>,
}

/// Whether a principal can dial a socket, from the least to the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No: sidecar-init keeps the hop behind the first proxy on loopback.
    #[default]
    Hidden,
    /// No: walls keep it away, and its row says of a built-in daemon that it dials nothing.
    Idle,
    /// No: walls keep it away.
    Walled,
    /// Yes, but it has no business there: the hop behind the first proxy, in a document that merges nothing.
    Hop,
    /// Yes.
    Open,
}

/// Where a principal's image comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image<'a> {
    /// The reference as the document has it.
    pub reference: Option<&'a str>,
    /// Whether it is the default, or the override in force, for the role that the service plays.
    pub expected: bool,
    /// Whether it is neither pinned by digest nor one of the project's own `bot-bottle-*` images.
    pub unpinned: bool,
    /// Facts about the image, if its Dockerfile is known.
    pub contents: Option<&'a crate::images::Image>,
}

/// A text in which the names of other principals are recognised, so that it compares across shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word<'a> {
    /// The text as the document has it.
    pub raw: Cow<'a, str>,
    /// The text with every recognised host (and its port) replaced by `{}`.
    pub canonical: Cow<'a, str>,
    /// What the hosts mean, in order.
    pub targets: Vec<Target<'a>>,
    /// Names in it that resolve only because the merged service keeps legacy names as aliases.
    pub stale: Set<&'a str>,
    /// Names in it that no longer resolve.
    pub gone: Set<&'a str>,
}

/// What a host name (and port) in a text leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target<'a> {
    /// The host's name; of a list, the merged service's if it is there.
    pub name: &'a str,
    /// Principals that it may mean: one where a port decides, the whole container's where none does, nobody where
    /// nobody listens at the port.
    pub principals: Set<&'a str>,
    /// Port, given or implied by the scheme.
    pub port: Option<u16>,
}

impl Word<'_> {
    /// Whether two texts mean the same: equal but for host names, and each host of `self` still meant by `other`.
    #[must_use]
    pub fn means(&self, other: &Word<'_>) -> bool {
        self.canonical == other.canonical
            && self.targets.len() == other.targets.len()
            && self.targets.iter().zip(&other.targets).all(|(before, after)| {
                before.port == after.port
                    && before.principals.is_subset(&after.principals)
                    && before.principals.is_empty() == after.principals.is_empty()
            })
            && other.gone.is_subset(&self.gone)
    }

    /// What the hosts of the text lead to, for people.
    #[must_use]
    pub fn leads(&self) -> String {
        let target = |target: &Target<'_>| {
            let who = target.principals.iter().copied().collect::<Vec<_>>().join(" or ");
            let who = if who.is_empty() { "nobody".to_owned() } else { who };
            target.port.map_or_else(|| who.clone(), |port| format!("{who} at port {port}"))
        };
        match (self.targets.iter().map(target).collect::<Vec<_>>().join(", "), self.gone.is_empty()) {
            (leads, true) if leads.is_empty() => "leads to no principal".to_owned(),
            (leads, true) => format!("leads to {leads}"),
            (_, false) => {
                let gone = self.gone.iter().copied().collect::<Vec<_>>().join(", ");
                format!("{gone} does not resolve")
            }
        }
    }
}

/// A socket of a principal, as others dial it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint<'a> {
    /// Who listens.
    pub principal: &'a str,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.principal, self.port)
    }
}

/// A place of a document; written out for what a report names only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place<'a> {
    /// A variable of a service.
    Variable(&'a str, &'a str),
    /// A mount of a service, by its number.
    Mount(&'a str, usize),
    /// A published port of a service, by its number.
    Port(&'a str, usize),
}

impl From<Place<'_>> for String {
    fn from(place: Place<'_>) -> Self {
        match place {
            Place::Variable(service, name) => format!("services.{service}.environment.{name}"),
            Place::Mount(service, at) => format!("services.{service}.volumes.{at}"),
            Place::Port(service, at) => format!("services.{service}.ports.{at}"),
        }
    }
}

/// A variable that reaches a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable<'a> {
    /// Its value in the document.
    pub value: &'a EnvValue,
    /// The value with principals recognised; `None` for an inherited one.
    pub word: Option<Word<'a>>,
    /// Its place in the document.
    pub place: Place<'a>,
}

/// A mount that a principal can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountView<'a> {
    /// Path in the container.
    pub target: &'a str,
    /// What is mounted; volumes, configs and secrets by effective name.
    pub source: Cow<'a, Source>,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Options, defaults left out.
    pub options: &'a BTreeMap<String, String>,
    /// For a named volume: whether the document declares it.
    pub declared: bool,
    /// Its place in the document.
    pub place: Place<'a>,
}

/// A port published for a principal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortView<'a> {
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'a str,
    /// Host IP; the unspecified address where none is given.
    pub host_ip: &'a str,
    /// Host port or range; `None`: the engine chooses.
    pub published: Option<&'a str>,
    /// Options, defaults left out.
    pub options: &'a BTreeMap<String, String>,
    /// Whether the engine really publishes it: not for a container on internal networks only.
    pub effective: bool,
    /// Its place in the document.
    pub place: Place<'a>,
}

/// How the health of a principal is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health<'a> {
    /// What the probe covers: the container's own command, or `sidecar-init check`, which covers each enabled daemon.
    pub probe: Cow<'a, str>,
    /// Whether the probe covers this principal.
    pub covers: bool,
    /// Interval, timeout, retries, start period, start interval: nanoseconds or count, engine defaults filled in.
    pub timing: Map<&'static str, u64>,
}

/// A network of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network<'a> {
    /// Key in the document.
    pub key: &'a str,
    /// `internal: true`.
    pub internal: bool,
    /// `external: true`.
    pub external: bool,
    /// Driver, options, addresses, labels: dotted paths.
    pub settings: &'a BTreeMap<String, String>,
}

/// A named volume, config or secret of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Key in the document.
    pub key: &'a str,
    /// `external: true`.
    pub external: bool,
    /// Everything else: dotted paths.
    pub settings: &'a BTreeMap<String, String>,
}

/// Settings without those that only say what is so without them.
fn effective<'s>(
    settings: &'s BTreeMap<String, String>,
    defaults: &'static [(&'static str, &'static str)],
) -> impl Iterator<Item = (&'s str, &'s str)> {
    let texts = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    texts.filter(|setting| !defaults.contains(setting))
}

impl Network<'_> {
    /// Its settings, the engine's defaults left out.
    pub fn effective(&self) -> impl Iterator<Item = (&str, &str)> {
        effective(self.settings, &[("driver", "bridge"), ("enable_ipv4", "true"), ("ipam.driver", "default")])
    }
}

impl Resource<'_> {
    /// Its settings, the engine's defaults left out.
    pub fn effective(&self) -> impl Iterator<Item = (&str, &str)> {
        effective(self.settings, &[("driver", "local")])
    }
}

impl MountView<'_> {
    /// Its options, the engine's defaults left out.
    pub fn effective(&self) -> impl Iterator<Item = (&str, &str)> {
        effective(self.options, &[("bind.propagation", "rprivate")])
    }
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
    /// The rule that reports it.
    pub rule: RuleId,
    /// Principal or service concerned; empty: the document.
    pub principal: String,
    /// What it is about.
    pub subject: String,
    /// A sentence for a person.
    pub message: String,
    /// Its place in the document.
    pub place: String,
    /// Whether what it is about could not be compared, so that it does not cancel out against its like on the other
    /// side.
    pub closed: bool,
}
