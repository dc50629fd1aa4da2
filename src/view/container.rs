//! Containers of a document, and how the bundle's init splits one into daemons.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter;

use bottle_model::compose::{
    Attachment, Compose, EnvValue, Mount, Port, Probe, Resource, Service, Setting, Source,
};
use bottle_model::daemon::{self, Chain, DaemonRow, Isolation, Listen};
use bottle_model::handshake::{Handshake, NAMES, Names};
use bottle_model::images::INIT;
use bottle_model::paths::Paths;
use bottle_model::privacy::Privacy;
use bottle_model::sorted::{Map, Set};
use indexmap::IndexMap;

use super::process::{self, Process};
use super::roles::{AGENT, ImageDefaults, Roles, Side, UNKNOWN};
use super::{Anomaly, Image};
use crate::rule::RuleId;

/// A container and the principals in it.
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    pub(super) service: &'a Service,
    /// The network namespace that it runs in.
    pub(super) space: Space<'a>,
    /// Networks of its namespace: effective name, whether it is internal, and the service's place in it.
    pub(super) networks: Map<Cow<'a, str>, (bool, Option<&'a Attachment>)>,
    /// Ports that the document names as published or exposed.
    pub(super) ports: Set<u16>,
    /// Its mounts, each with its number.
    pub(super) mounts: Paths<'a, (usize, &'a Mount)>,
    pub(super) members: Vec<Member<'a>>,
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
#[derive(Default)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// Its service in the legacy shape.
    pub(super) service: &'a str,
    pub(super) process: Process<'a>,
    /// Sockets as they really are.
    pub(super) sockets: Set<Listen>,
    /// Whether it is the hop that hides on loopback on purpose.
    pub(super) hidden: bool,
    /// Variables that reach it: name there → name in the document.
    pub(super) delivered: Map<&'a str, &'a str>,
}

/// What the bundle's init makes of a container.
pub(super) struct Merger<'a> {
    pub(super) handshake: Handshake,
    pub(super) privacy: Privacy,
    /// Targets of mounts that no daemon has as private.
    pub(super) unclaimed: Vec<&'a str>,
    pub(super) table: &'a [DaemonRow],
    /// Whether PID 1 is sidecar-init; another init, and one that nothing is known of, is not trusted with anything.
    pub(super) init: bool,
    pub(super) hop: Option<&'a str>,
    pub(super) first: Option<&'a str>,
}

impl<'a> Merger<'a> {
    pub(super) fn isolation(&self) -> Isolation {
        if self.init { self.handshake.isolation } else { Isolation::Off }
    }

    pub(super) fn row(&self, daemon: &str) -> Option<&'a DaemonRow> {
        self.table.iter().find(|row| row.name == daemon)
    }

    /// Paths that a daemon keeps to itself.
    pub(super) fn private(&self, daemon: &str) -> impl Iterator<Item = &str> {
        self.privacy.paths().filter(move |(_, owners)| owners.contains(daemon)).map(|(path, _)| path)
    }
}

impl<'a> Container<'a> {
    /// Reads a service; `None` and an anomaly if no role claims it.
    pub(super) fn of(
        name: &'a str,
        service: &'a Service,
        compose: &'a Compose,
        (roles, side): (&'a Roles, Side),
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
        let mounts = service.mounts.iter().enumerate();
        let mounts = mounts.map(|(at, mount)| (mount.target.as_str(), (at, mount))).collect();
        let ports = ports(service);
        let alone = |name: &'a str, defaults: &'a ImageDefaults| {
            let process = process::alone(service, defaults);
            let sockets = process.sockets.clone().unwrap_or_else(|| defaults.listen.clone());
            let delivered = variables_of(service).map(|name| (name, name)).collect();
            vec![Member { name, service: roles.service_of(name), process, sockets, hidden: false, delivered }]
        };
        if roles.merges(name, side) {
            let (merger, members) = merge(name, service, roles, anomalies);
            return Some(Self {
                name,
                service,
                space,
                networks,
                ports,
                mounts,
                members,
                merger: Some(merger),
            });
        }
        let members = if name == roles.agent {
            alone(AGENT, &UNKNOWN)
        } else if let Some(daemon) = roles.services.get(name) {
            alone(daemon, roles.defaults.get(daemon).unwrap_or(&UNKNOWN))
        } else if !roles.built_in && name != AGENT && !roles.services.values().any(|daemon| daemon == name) {
            // A map merges what it names; every other service stays what it is.
            alone(name, roles.defaults.get(name).unwrap_or(&UNKNOWN))
        } else {
            anomalies.insert(Anomaly {
                rule: RuleId::ServiceUnmapped,
                principal: name.to_owned(),
                subject: name.to_owned(),
                message: format!(
                    "service {name} is no principal that the checker knows; name it in a map file"
                ),
                place: format!("services.{name}"),
                closed: true,
            });
            return None;
        };
        Some(Self { name, service, space, networks, ports, mounts, members, merger: None })
    }

    /// Whether an address of another container leads here.
    pub(super) fn shares_network(&self, other: &Self) -> bool {
        let [few, many] = if self.networks.keys().count() <= other.networks.keys().count() {
            [self, other]
        } else {
            [other, self]
        };
        few.networks.keys().any(|name| many.networks.contains_key(name))
    }

    /// Names that resolve to this container on one of its networks, its container name aside.
    pub(super) fn names_on(&self, network: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let attachment = self.networks.get(network).and_then(|(_, attachment)| *attachment);
        let aliases = attachment.into_iter().flat_map(|attachment| &attachment.aliases);
        let own = self.space == Space::Service(self.name);
        iter::once(self.name).chain(aliases.map(String::as_str)).filter(move |_| own)
    }

    /// Whether the engine publishes ports of the container: not on internal networks alone.
    pub(super) fn publishes(&self) -> bool {
        match self.space {
            Space::Service(holder) => {
                holder == self.name && self.networks.values().any(|(internal, _)| !internal)
            }
            Space::Host => false,
            Space::Unknown(mode) => !mode.contains(':'),
        }
    }

    /// Ports that the engine really publishes.
    pub(super) fn published(&self) -> impl Iterator<Item = &'a Port> {
        let publishes = self.publishes();
        self.service.ports.iter().filter(move |_| publishes)
    }

    /// TCP ports that the init lets one of the container's principals dial, if it promises to.
    pub(super) fn dials(&self, member: &Member<'_>) -> Option<&'a [u16]> {
        let merger = self.merger.as_ref().filter(|merger| merger.isolation() == Isolation::Require)?;
        merger.row(member.name)?.connect.as_deref()
    }

    /// How far the daemons of a merged container are kept apart; with some capabilities one reads another's
    /// environment through any wall.
    pub(super) fn walls(&self) -> Option<Cow<'static, str>> {
        let mode = self.merger.as_ref()?.isolation();
        let held = match self.service.settings.get("cap_add") {
            Some(Setting::Set(held)) => held.iter().map(String::as_str).find(|cap| SEES_ALL.contains(cap)),
            _ => None,
        };
        let privileged = self.service.settings.get("privileged") == Some(&Setting::Bool(true));
        let undone = held.or_else(|| privileged.then_some("privileged"));
        Some(match undone.filter(|_| mode == Isolation::Require) {
            Some(why) => format!("{}, undone by {why}", mode.name()).into(),
            None => mode.name().into(),
        })
    }

    /// Path of the program that the container runs first, if it is merged.
    pub(super) fn init_path(&self) -> &'a str {
        let program = self.service.entrypoint.as_ref().and_then(|words| words.first());
        program.map(String::as_str).filter(|program| program.starts_with('/')).unwrap_or(INIT)
    }

    /// Where the container's image comes from.
    pub(super) fn image(&self, roles: &'a Roles, principal: &str) -> Image<'a> {
        let reference = self.service.image.as_deref();
        let expected = match (&reference, roles.pins.get(self.name)) {
            (Some(reference), Some(pin)) => reference == pin,
            (Some(_), None) => !roles.built_in && self.name != roles.agent,
            (None, _) => false,
        };
        let unpinned = reference.is_some_and(|reference| {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            !reference.contains("@sha256:") && !roles.is_own(name)
        });
        let of = if self.merger.is_some() { self.name } else { principal };
        Image { reference, expected, unpinned, contents: roles.contents.get(of) }
    }

    /// Variables of its image's ENV that reach a principal.
    pub(super) fn image_environment(&self, roles: &'a Roles, principal: &str) -> Set<&'a str> {
        let Some(image) = self.image(roles, principal).contents else { return Set::new() };
        let names = image.facts.environment.keys().map(String::as_str);
        match self.merger.as_ref().filter(|merger| merger.init) {
            Some(merger) => merger.handshake.deliver(principal, merger.table, names).into_keys().collect(),
            None => names.collect(),
        }
    }

    /// Command of the container's health probe: its own, else the image's; `None`: nothing is run.
    pub(super) fn probe(&self, defaults: Option<&'a ImageDefaults>) -> Option<Vec<&'a str>> {
        let words = |words: &'a [String]| words.iter().map(String::as_str).collect();
        let own = self.service.healthcheck.as_ref();
        match (own.and_then(|health| health.test.as_ref()), defaults) {
            (Some(Probe::Disabled), _) => None,
            (Some(Probe::Exec(exec)), _) => Some(words(exec)),
            (Some(Probe::Shell(line)), _) => Some(vec!["/bin/sh", "-c", line]),
            (None, _) if self.merger.as_ref().is_some_and(|merger| merger.init) => Some(vec![INIT, "check"]),
            (None, Some(defaults)) if defaults.known => defaults.health.as_deref().map(words),
            _ => Some(vec!["{probe of the image}"]),
        }
    }
}

/// Whether a service is configured to run no container.
fn none_run(service: &Service) -> bool {
    let replicas = match service.settings.get("deploy") {
        Some(Setting::Map(deploy)) => deploy.get("replicas").map(String::as_str),
        _ => None,
    };
    service.settings.get("scale") == Some(&Setting::Integer(0)) || replicas == Some("0")
}

/// Effective name of a network, volume, config or secret.
pub(super) fn effective_name<'a>(
    compose: &Compose,
    key: &'a str,
    name: Option<&'a String>,
    external: bool,
) -> Cow<'a, str> {
    match name {
        Some(name) => name.into(),
        None if external => key.into(),
        None => match &compose.project {
            Some(project) => format!("{project}_{key}").into(),
            None => format!("{{project}}_{key}").into(),
        },
    }
}

fn networks<'a>(
    service: &'a Service,
    compose: &'a Compose,
) -> Map<Cow<'a, str>, (bool, Option<&'a Attachment>)> {
    let resolve = |key: &'a str| match compose.networks.get(key) {
        Some(network) => {
            (effective_name(compose, key, network.name.as_ref(), network.external), network.internal)
        }
        None => (effective_name(compose, key, None, false), false),
    };
    if service.settings.contains_key("network_mode") {
        return Map::new();
    }
    if service.networks.is_empty() {
        let (name, internal) = resolve("default");
        return Map::from_iter([(name, (internal, None))]);
    }
    service
        .networks
        .iter()
        .map(|(key, attachment)| {
            let (name, internal) = resolve(key);
            (name, (internal, Some(attachment)))
        })
        .collect()
}

/// Ports that a service publishes or exposes.
fn ports(service: &Service) -> Set<u16> {
    let exposed = match service.settings.get("expose") {
        Some(Setting::Set(ports)) => Some(ports),
        _ => None,
    };
    let exposed = exposed.into_iter().flatten().filter_map(|port| port.split('/').next()?.parse().ok());
    service.ports.iter().map(|port| port.target).chain(exposed).collect()
}

/// Whether a container keeps a capability that the engine gives by default.
fn holds(service: &Service, capability: &str) -> bool {
    let names = |attribute: &str| match service.settings.get(attribute) {
        Some(Setting::Set(items)) => items.iter().any(|item| item == capability || item == "ALL"),
        _ => false,
    };
    let privileged = service.settings.get("privileged") == Some(&Setting::Bool(true));
    privileged || names("cap_add") || !names("cap_drop")
}

fn merge<'a>(
    name: &str,
    service: &'a Service,
    roles: &'a Roles,
    anomalies: &mut BTreeSet<Anomaly>,
) -> (Merger<'a>, Vec<Member<'a>>) {
    // What nothing is known of is not known to be the same on both sides.
    let mut report = |subject: &str, message: String, closed: bool| {
        anomalies.insert(Anomaly {
            rule: RuleId::ShapeUnexpected,
            principal: String::new(),
            subject: subject.to_owned(),
            message,
            place: format!("services.{name}"),
            closed,
        });
    };
    let known = roles.table(Chain::default());
    let names = handshake_names(service);
    // A variable whose value comes from outside reaches the init as well, if it is there; its name counts all the same.
    let variables = service.environment.iter().filter_map(|(name, value)| match value {
        EnvValue::Literal(value) => Some((name.as_str(), value.as_str())),
        EnvValue::Inherit => (!names.reserves(name)).then_some((name.as_str(), "")),
    });
    let handshake = Handshake::parse(variables, known).unwrap_or_else(|error| {
        report("handshake", format!("sidecar-init would refuse to start: {error}"), true);
        Handshake { names: names.clone(), ..Handshake::default() }
    });
    if !handshake.rows.is_empty() {
        report(
            "rows",
            format!("{name} changes rows of the daemon table, which the checker does not follow"),
            true,
        );
    }
    let own = Names::under(roles.prefix());
    if let Some(variable) =
        service.environment.keys().find(|name| own.reserves(name) && !names.reserves(name))
    {
        let why = format!("{variable} means nothing to sidecar-init unless {NAMES} is {}", roles.prefix());
        report(variable, why, true);
    }
    let mut spoken = false;
    for (variable, value) in service.environment.iter().filter(|(name, _)| names.reserves(name)) {
        spoken = true;
        if *value == EnvValue::Inherit {
            let why = format!("{variable} comes from outside, so that the file does not say what runs");
            report(variable, why, true);
        }
    }
    let entrypoint = service.entrypoint.as_deref();
    let init = match entrypoint {
        Some(words) => words.first().is_some_and(|word| roles.is_init(word)),
        None => spoken || roles.vouches(name, service.image.as_deref()),
    };
    if entrypoint.is_none() && !init {
        let image = service.image.as_deref().unwrap_or("of the build");
        let why = format!(
            "nothing says that PID 1 of {name} is sidecar-init, so it is trusted with nothing: set `entrypoint: [{INIT}]` \
             if image {image} has it there, or name its daemons in a map file"
        );
        report("init", why, true);
    }
    if init && service.settings.get("init") == Some(&Setting::Bool(true)) {
        report("init", "sidecar-init is not PID 1 below the engine's own init".to_owned(), false);
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
        let why = format!(
            "sidecar-init runs with arguments that the checker cannot follow: {}",
            arguments.join(" ")
        );
        report("command", why, true);
    }
    let chain = handshake.chain;
    let table = roles.table(chain);
    let (hop, first) = match roles.hop(chain) {
        Some((hop, first)) => (Some(hop), first),
        None => (None, None),
    };
    let selected: Vec<&DaemonRow> = table.iter().filter(|row| handshake.selects(&row.name)).collect();
    let needed = daemon::needed_capabilities(selected.iter().copied()).iter();
    let lacking: Vec<&str> =
        needed.copied().filter(|capability| init && !holds(service, capability)).collect();
    if !lacking.is_empty() {
        let why = format!("sidecar-init cannot start its daemons without {}", lacking.join(", "));
        report("capabilities", why, false);
    }
    let fronted = first.is_none_or(|first| selected.iter().any(|row| row.name == first));
    let lone = selected.len() == 1;
    let members = selected
        .into_iter()
        .map(|row| {
            let process = if init {
                process::of_row(service, row, roles.contents.get(name).map(|image| &image.facts))
            } else {
                process::under_foreign_init(service, entrypoint, lone)
            };
            // Nothing says that another init keeps the hop on loopback.
            let listen = |socket: &Listen| if init { *socket } else { Listen::any(socket.port) };
            let sockets = process.sockets.clone().unwrap_or_else(|| row.listen.iter().map(listen).collect());
            let hidden = init
                && fronted
                && hop == Some(row.name.as_str())
                && !sockets.is_empty()
                && sockets.iter().all(|socket| socket.address.is_loopback());
            let delivered = if init {
                handshake.deliver(&row.name, table, variables_of(service)).into_iter().collect()
            } else {
                let passed = variables_of(service).filter(|name| !handshake.names.reserves(name));
                passed.map(|name| (name, name)).collect()
            };
            let service = roles.service_of(&row.name);
            Member { name: &row.name, service, process, sockets, hidden, delivered }
        })
        .collect();
    // Where nothing keeps a path from others, it does not help that somebody claims it.
    let claims = if handshake.isolation == Isolation::Off { &Handshake::default() } else { &handshake };
    let privacy = Privacy::of(table, claims);
    let targets = service.mounts.iter().map(|mount| mount.target.as_str());
    let unclaimed = targets.filter(|target| !privacy.claims(target)).collect();
    (Merger { handshake, privacy, unclaimed, table, init, hop, first }, members)
}

/// Names of the variables of a service.
fn variables_of(service: &Service) -> impl Iterator<Item = &str> {
    service.environment.keys().map(String::as_str)
}

/// How the names of a service's handshake variables begin.
fn handshake_names(service: &Service) -> Names {
    let literals = service.environment.iter().filter_map(|(name, value)| match value {
        EnvValue::Literal(value) => Some((name.as_str(), value.as_str())),
        EnvValue::Inherit => None,
    });
    // What cannot be read is reported together with the rest of the handshake.
    Names::of(literals).unwrap_or_default()
}

/// Source of a mount with volumes, configs and secrets by effective name, and whether the document declares it.
pub(super) fn source<'a>(mount: &'a Mount, compose: &'a Compose) -> (Cow<'a, Source>, bool) {
    let named = |resources: &'a IndexMap<String, Resource>, key: &'a str| {
        let found = resources.get(key);
        let name = effective_name(
            compose,
            key,
            found.and_then(|resource| resource.name.as_ref()),
            found.is_some_and(|resource| resource.external),
        );
        (name.into_owned(), found.is_some())
    };
    let ((name, declared), kind): (_, fn(String) -> Source) = match &mount.source {
        Source::Volume(key) => (named(&compose.volumes, key), Source::Volume),
        Source::Config(key) => (named(&compose.configs, key), Source::Config),
        Source::Secret(key) => (named(&compose.secrets, key), Source::Secret),
        other => return (Cow::Borrowed(other), true),
    };
    (Cow::Owned(kind(name)), declared)
}
