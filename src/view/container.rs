//! Containers of a document, and how the bundle's init splits one into daemons.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Attachment, Compose, EnvValue, Mount, Port, Probe, Service, Setting, Source};
use bottle_model::daemon::{Chain, DaemonRow, Isolation, Listen};
use bottle_model::handshake::{self, Handshake};

use super::process::{self, Process};
use super::roles::{INIT, ImageDefaults, Roles};
use super::{Anomaly, Image};

/// A container and the principals in it.
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    pub(super) service: &'a Service,
    /// The network namespace that it runs in.
    pub(super) space: Space<'a>,
    /// Networks of its namespace: effective name, whether it is internal, and the service's place in it.
    pub(super) networks: Vec<(String, bool, Option<&'a Attachment>)>,
    pub(super) members: Vec<Member>,
    /// Present in a merged container.
    pub(super) merger: Option<Merger<'a>>,
}

/// A network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space<'a> {
    /// That of a service of the document.
    Service(&'a str),
    /// The host's.
    Host,
    /// One that the document does not describe.
    Unknown(&'a str),
}

impl<'a> Space<'a> {
    fn of(name: &'a str, service: &'a Service, compose: &'a Compose, hops: usize) -> Self {
        let Some(Setting::Text(mode)) = service.settings.get("network_mode") else {
            return Self::Service(name);
        };
        let other = match mode.split_once(':') {
            Some(("service", other)) => compose.services.get_key_value(other),
            Some(("container", other)) => {
                compose.services.iter().find(|(_, service)| service.container_name.as_deref() == Some(other))
            }
            _ if mode == "host" => return Self::Host,
            _ if mode == "none" => return Self::Service(name),
            _ => None,
        };
        match other {
            // A circle, which Compose refuses.
            Some(_) if hops > compose.services.len() => Self::Unknown(mode),
            Some((name, service)) => Self::of(name, service, compose, hops + 1),
            None => Self::Unknown(mode),
        }
    }
}

/// Capabilities that open the environment of any process.
const SEES_ALL: [&str; 3] = ["ALL", "PERFMON", "SYS_ADMIN"];

/// A principal of a container.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) process: Process,
    /// Sockets as they really are.
    pub(super) sockets: BTreeSet<Listen>,
    /// Whether it is the hop that hides on loopback on purpose.
    pub(super) hidden: bool,
}

/// What the bundle's init makes of a container.
pub(super) struct Merger<'a> {
    pub(super) handshake: Handshake,
    pub(super) table: &'a [DaemonRow],
    /// Whether PID 1 is sidecar-init; another init is not trusted with anything.
    pub(super) init: bool,
    pub(super) hop: Option<&'a str>,
    pub(super) first: Option<&'a str>,
}

impl Merger<'_> {
    pub(super) fn isolation(&self) -> Isolation {
        if self.init { self.handshake.isolation } else { Isolation::Off }
    }

    pub(super) fn row(&self, daemon: &str) -> Option<&DaemonRow> {
        self.table.iter().find(|row| row.name == daemon)
    }

    /// Paths that a daemon keeps to itself.
    pub(super) fn private<'b>(&'b self, daemon: &'b str) -> impl Iterator<Item = &'b str> {
        let row = self.row(daemon).into_iter().flat_map(|row| row.private.iter());
        let added = self.handshake.mounts.get(daemon).into_iter().flatten();
        row.chain(added).map(String::as_str)
    }

    /// Whether a path is private to some daemon and not to this one.
    pub(super) fn denies(&self, daemon: &str, path: &str) -> bool {
        !self.private(daemon).any(|private| covers(private, path))
            && self
                .table
                .iter()
                .any(|row| row.name != daemon && self.private(&row.name).any(|private| covers(private, path)))
    }
}

/// Whether `path` is `above` or lies below it.
pub(super) fn covers(above: &str, path: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || above.ends_with('/'),
        None => false,
    }
}

impl<'a> Container<'a> {
    /// Reads a service; `None` and an anomaly if nobody knows it.
    pub(super) fn of(
        name: &'a str,
        service: &'a Service,
        compose: &'a Compose,
        roles: &'a Roles,
        anomalies: &mut BTreeSet<Anomaly>,
    ) -> Option<Self> {
        if none_run(service) {
            return None;
        }
        let space = Space::of(name, service, compose, 0);
        let networks = match space {
            Space::Service(holder) => compose.services.get(holder).map(|holder| networks(holder, compose)),
            Space::Host | Space::Unknown(_) => None,
        };
        let networks = networks.unwrap_or_default();
        let alone = |principal: &str, defaults: &ImageDefaults| {
            let process = process::alone(service, defaults);
            let sockets = process.sockets.clone().unwrap_or_else(|| defaults.listen.clone());
            vec![Member { name: principal.to_owned(), process, sockets, hidden: false }]
        };
        if name == roles.bundle {
            let (merger, members) = merge(name, service, roles, anomalies);
            return Some(Self { name, service, space, networks, members, merger: Some(merger) });
        }
        let members = if name == roles.agent {
            alone("agent", &ImageDefaults::default())
        } else if let Some(daemon) = roles.services.get(name) {
            alone(daemon, roles.defaults.get(daemon).unwrap_or(&ImageDefaults::default()))
        } else {
            anomalies.insert(Anomaly {
                rule: "service-unmapped",
                principal: name.to_owned(),
                subject: name.to_owned(),
                message: format!(
                    "service {name} is no principal that the checker knows; name it in a map file"
                ),
                place: format!("services.{name}"),
            });
            return None;
        };
        Some(Self { name, service, space, networks, members, merger: None })
    }

    /// Whether an address of another container leads here.
    pub(super) fn shares_network(&self, other: &Self) -> bool {
        self.networks.iter().any(|(name, ..)| other.networks.iter().any(|(theirs, ..)| name == theirs))
    }

    /// Whether a name leads from here to another container.
    pub(super) fn finds(&self, other: &Self, name: &str) -> bool {
        self.networks.iter().any(|(network, ..)| {
            other.networks.iter().any(|(theirs, ..)| theirs == network)
                && other.names_on(network).contains(name)
        })
    }

    /// Names that resolve to this container on one of its networks, its container name aside.
    pub(super) fn names_on(&self, network: &str) -> BTreeSet<&str> {
        if self.space != Space::Service(self.name) {
            return BTreeSet::new();
        }
        let mut names = BTreeSet::from([self.name]);
        for (name, _, attachment) in &self.networks {
            if name == network {
                names.extend(attachment.iter().flat_map(|a| a.aliases.iter()).map(String::as_str));
            }
        }
        names
    }

    /// Whether the engine publishes ports of the container: not on internal networks alone.
    pub(super) fn publishes(&self) -> bool {
        match self.space {
            Space::Service(holder) => {
                holder == self.name && self.networks.iter().any(|(_, internal, _)| !internal)
            }
            Space::Host => false,
            Space::Unknown(mode) => !mode.contains(':'),
        }
    }

    /// Ports that the engine really publishes.
    pub(super) fn published(&self) -> impl Iterator<Item = &Port> {
        self.service.ports.iter().filter(|_| self.publishes())
    }

    /// TCP ports that the init lets one of the container's principals dial, if it promises to.
    pub(super) fn dials(&self, member: &Member) -> Option<&[u16]> {
        let merger = self.merger.as_ref().filter(|merger| merger.isolation() == Isolation::Require)?;
        merger.row(&member.name)?.connect.as_deref()
    }

    /// How far the daemons of a merged container are kept apart; with some capabilities one reads another's
    /// environment through any wall.
    pub(super) fn walls(&self) -> Option<String> {
        let mode = self.merger.as_ref()?.isolation();
        let held = match self.service.settings.get("cap_add") {
            Some(Setting::Set(held)) => held.iter().find(|cap| SEES_ALL.contains(&cap.as_str())).cloned(),
            _ => None,
        };
        let privileged = self.service.settings.get("privileged") == Some(&Setting::Bool(true));
        let undone = held.or_else(|| privileged.then(|| "privileged".to_owned()));
        Some(match undone.filter(|_| mode == Isolation::Require) {
            Some(why) => format!("{}, undone by {why}", mode.name()),
            None => mode.name().to_owned(),
        })
    }

    /// Path of the program that the container runs first, if it is merged.
    pub(super) fn init_path(&self) -> &str {
        let program = self.service.entrypoint.as_ref().and_then(|words| words.first());
        program.map(String::as_str).filter(|program| program.starts_with('/')).unwrap_or(INIT)
    }

    /// Where the container's image comes from.
    pub(super) fn image(&self, roles: &Roles) -> Image {
        let reference = self.service.image.clone();
        let expected = match (&reference, roles.pins.get(self.name)) {
            (Some(reference), Some(pin)) => reference == pin,
            (Some(_), None) => !roles.built_in && roles.pins.is_empty() && self.name != roles.agent,
            (None, _) => false,
        };
        let unpinned = reference.as_deref().is_some_and(|reference| {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            !reference.contains("@sha256:") && !name.starts_with("bot-bottle-")
        });
        Image { reference, expected, unpinned }
    }

    /// Health probe of the container: its own, else the image's.
    pub(super) fn probe<'b>(&'b self, defaults: Option<&'b ImageDefaults>) -> Option<Probe> {
        let own = self.service.healthcheck.as_ref().and_then(|health| health.test.clone());
        own.or_else(|| {
            if self.merger.is_some() {
                Some(Probe::Exec(vec![INIT.to_owned(), "check".to_owned()]))
            } else {
                defaults?.health.clone().map(Probe::Exec)
            }
        })
    }
}

/// Whether a service is told to run no container at all.
fn none_run(service: &Service) -> bool {
    let replicas = match service.settings.get("deploy") {
        Some(Setting::Map(deploy)) => deploy.get("replicas").map(String::as_str),
        _ => None,
    };
    service.settings.get("scale") == Some(&Setting::Integer(0)) || replicas == Some("0")
}

/// Whether a mount lies at or below a path, or covers it.
pub(super) fn touches(mount: &Mount, path: &str) -> bool {
    covers(path, &mount.target) || covers(&mount.target, path)
}

/// Effective name of a network, volume, config or secret.
pub(super) fn effective_name(compose: &Compose, key: &str, name: Option<&String>, external: bool) -> String {
    match name {
        Some(name) => name.clone(),
        None if external => key.to_owned(),
        None => match &compose.project {
            Some(project) => format!("{project}_{key}"),
            None => format!("{{project}}_{key}"),
        },
    }
}

fn networks<'a>(service: &'a Service, compose: &Compose) -> Vec<(String, bool, Option<&'a Attachment>)> {
    let resolve = |key: &str| match compose.networks.get(key) {
        Some(network) => {
            (effective_name(compose, key, network.name.as_ref(), network.external), network.internal)
        }
        None => (effective_name(compose, key, None, false), false),
    };
    if service.settings.contains_key("network_mode") {
        return Vec::new();
    }
    if service.networks.is_empty() {
        let (name, internal) = resolve("default");
        return vec![(name, internal, None)];
    }
    service
        .networks
        .iter()
        .map(|(key, attachment)| {
            let (name, internal) = resolve(key);
            (name, internal, Some(attachment))
        })
        .collect()
}

fn merge<'a>(
    name: &str,
    service: &Service,
    roles: &'a Roles,
    anomalies: &mut BTreeSet<Anomaly>,
) -> (Merger<'a>, Vec<Member>) {
    let mut odd = |subject: &str, message: String| {
        anomalies.insert(Anomaly {
            rule: "shape-unexpected",
            principal: String::new(),
            subject: subject.to_owned(),
            message,
            place: format!("services.{name}"),
        });
    };
    let names = roles.table(Chain::default());
    let variables = service.environment.iter().filter_map(|(name, value)| match value {
        EnvValue::Literal(value) => Some((name.as_str(), value.as_str())),
        EnvValue::Inherit => None,
    });
    let handshake = Handshake::parse(variables, names).unwrap_or_else(|error| {
        odd("handshake", format!("sidecar-init would refuse to start: {error}"));
        Handshake::default()
    });
    for (variable, value) in &service.environment {
        if variable.starts_with(handshake::PREFIX) && *value == EnvValue::Inherit {
            odd(variable, format!("{variable} comes from outside, so that the file does not say what runs"));
        }
    }
    let entrypoint = service.entrypoint.as_deref();
    let init = entrypoint.is_none_or(|words| words.first().is_some_and(|word| roles.is_init(word)));
    if init && service.settings.get("init") == Some(&Setting::Bool(true)) {
        odd("init", "sidecar-init is not PID 1 below the engine's own init".to_owned());
    }
    let arguments: Vec<&str> = entrypoint
        .unwrap_or_default()
        .iter()
        .skip(1)
        .chain(service.command.iter().flatten())
        .map(String::as_str)
        .collect();
    let follows = arguments.is_empty() || (arguments[0] == "--daemons" && !roles.built_in);
    if init && !follows {
        odd(
            "command",
            format!(
                "sidecar-init runs with arguments that the checker cannot follow: {}",
                arguments.join(" ")
            ),
        );
    }
    let chain = handshake.chain;
    let table = roles.table(chain);
    let (hop, first) = match roles.hop(chain) {
        Some((hop, first)) => (Some(hop), first),
        None => (None, None),
    };
    let selected: Vec<&DaemonRow> = table.iter().filter(|row| handshake.selects(&row.name)).collect();
    let fronted = first.is_none_or(|first| selected.iter().any(|row| row.name == first));
    let members = selected
        .into_iter()
        .map(|row| {
            let process = if init {
                process::of_row(service, row)
            } else {
                process::under_foreign_init(service, entrypoint.unwrap_or_default())
            };
            let sockets = process.sockets.clone().unwrap_or_else(|| row.listen.iter().copied().collect());
            let hidden = init
                && fronted
                && hop == Some(row.name.as_str())
                && !sockets.is_empty()
                && sockets.iter().all(|socket| socket.address.is_loopback());
            Member { name: row.name.clone(), process, sockets, hidden }
        })
        .collect();
    (Merger { handshake, table, init, hop, first }, members)
}

/// Source of a mount with volumes, configs and secrets by effective name, and whether the document declares it.
pub(super) fn source(mount: &Mount, compose: &Compose) -> (Source, bool) {
    let named = |resources: &indexmap::IndexMap<String, bottle_model::compose::Resource>, key: &str| {
        let found = resources.get(key);
        let name = effective_name(
            compose,
            key,
            found.and_then(|resource| resource.name.as_ref()),
            found.is_some_and(|resource| resource.external),
        );
        (name, found.is_some())
    };
    match &mount.source {
        Source::Volume(key) => {
            let (name, declared) = named(&compose.volumes, key);
            (Source::Volume(name), declared)
        }
        Source::Config(key) => {
            let (name, declared) = named(&compose.configs, key);
            (Source::Config(name), declared)
        }
        Source::Secret(key) => {
            let (name, declared) = named(&compose.secrets, key);
            (Source::Secret(name), declared)
        }
        other => (other.clone(), true),
    }
}

/// Variables of a container that reach one of its principals: name there → name in the document.
pub(super) fn delivered<'a>(container: &'a Container<'_>, daemon: &'a str) -> BTreeMap<&'a str, &'a str> {
    let names = container.service.environment.keys().map(String::as_str);
    match &container.merger {
        Some(merger) if merger.init => merger.handshake.deliver(daemon, merger.table, names),
        _ => names.map(|name| (name, name)).collect(),
    }
}
