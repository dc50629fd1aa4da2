//! From a document to what is effective in it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Compose, Dependency, EnvValue, Mount, Setting};
use bottle_model::daemon::{Daemon, Isolation, Listen, Restart};
use bottle_model::images::{self, SHARED_PATHS, SHARED_TREES};
use bottle_model::paths::Paths;
use bottle_model::sorted::{Map, Set};

use super::connect::{self, Named};
use super::container::{self, Container, Member};
use super::names::Host;
use super::process::file_name;
use super::roles::{AGENT, ImageDefaults, Roles, Side, folders};
use super::{
    Anomaly, Health, MountView, Network, Place, Principal, Resource, Transition, UNCLAIMED, Variable, View,
    Word,
};
use crate::compose::Document;
use crate::rule::RuleId;

impl<'a> View<'a> {
    /// Reduces a document to what is effective per principal.
    #[must_use]
    pub fn of(document: &'a Document, roles: &'a Roles) -> Self {
        Self::on(document, roles, Side::Any)
    }

    /// As [`View::of`], for one side of a comparison: where a daemon's own service and the merged one have one name,
    /// the side says which it is.
    #[must_use]
    pub fn on(document: &'a Document, roles: &'a Roles, side: Side) -> Self {
        let compose = &document.compose;
        let mut anomalies = BTreeSet::new();
        for odd in &document.unmodelled {
            anomalies.insert(Anomaly {
                rule: RuleId::AttributeUnmodelled,
                principal: odd.service.clone(),
                subject: odd.place.clone(),
                message: format!("the checker does not model {}", odd.attribute),
                place: odd.place.clone(),
                closed: true,
            });
        }
        for odd in &document.unresolved {
            anomalies.insert(Anomaly {
                rule: RuleId::EnvUnresolved,
                principal: odd.service.clone(),
                subject: odd.variable.clone(),
                message: format!("{} is not set, so that Compose puts nothing in its place", odd.variable),
                place: odd.place.clone(),
                closed: false,
            });
        }
        let containers: Vec<Container<'a>> = compose
            .services
            .iter()
            .filter_map(|(name, service)| {
                Container::of(name, service, compose, (roles, side), &mut anomalies)
            })
            .collect();
        let named = House::named(&containers);
        let house = House { compose, roles, containers: &containers, named: &named };
        let mut view = Self { project: compose.project.as_deref(), ..Self::default() };
        for container in &containers {
            for member in &container.members {
                let principal = house.principal(container, member);
                if view.principals.insert(member.name, principal).is_some() {
                    anomalies.insert(Anomaly {
                        rule: RuleId::ShapeUnexpected,
                        principal: member.name.to_owned(),
                        subject: member.name.to_owned(),
                        message: format!("{} runs in two services, of which one was compared", member.name),
                        place: format!("services.{}", container.name),
                        closed: true,
                    });
                }
            }
        }
        for container in &containers {
            undelivered(container, &mut anomalies);
        }
        view.anomalies = anomalies;
        view.networks = networks(compose);
        view.resources = resources(compose);
        let legacy = roles.contents.iter().filter(|(name, _)| **name != roles.bundle && *name != AGENT);
        view.legacy_images = legacy.map(|(_, image)| image).collect();
        view.transitions = house.transitions(&view);
        view
    }
}

/// The containers of a document, seen together.
pub(super) struct House<'h, 'a> {
    pub(super) compose: &'a Compose,
    pub(super) roles: &'a Roles,
    pub(super) containers: &'h [Container<'a>],
    pub(super) named: &'h Named<'h, 'a>,
}

/// The options of a service that says nothing of a network.
static NO_OPTIONS: BTreeMap<String, String> = BTreeMap::new();

impl<'h, 'a> House<'h, 'a> {
    fn principal(&self, container: &'h Container<'a>, member: &Member<'a>) -> Principal<'a> {
        let service = container.service;
        let merger = container.merger.as_ref();
        let defaults = if merger.is_some() { None } else { self.roles.defaults.get(member.name) };
        let hosts = self.hosts(container, member);
        // What an image says of the signal that stops it, only one that is known leaves to the engine.
        let known =
            merger.is_some_and(|merger| merger.init) || defaults.is_some_and(|defaults| defaults.known);
        let home = match member.delivered.get("HOME").map(|name| &service.environment[*name]) {
            Some(EnvValue::Literal(value)) => value.into(),
            Some(EnvValue::Inherit) => "{inherited}".into(),
            None => member.process.home.clone(),
        };
        let container_name = service.container_name.as_ref();
        let argv = argv(&member.process.argv, &hosts);
        let environment = environment(container, member, &hosts);
        Principal {
            service: container.name,
            together: container.members.iter().map(|member| member.name).collect(),
            container_name: container_name.map_or("{default}".into(), |name| {
                let around = name.split_once(container.name);
                around.map_or(name.into(), |(before, after)| [before, "{service}", after].concat().into())
            }),
            hostname: service.hostname.as_deref(),
            own_hostname: merger.is_some() && service.hostname.as_deref() == Some(container.name),
            image: container.image(self.roles, member.name),
            user: member.process.user.clone(),
            home,
            workdir: member.process.workdir,
            mounts: self.mounts(container, member),
            shadowed: self.shadowed(container, member, defaults),
            exposed: exposed(container, member),
            denied: denied(container, member),
            dead: dead(container, &environment, &argv),
            argv,
            environment,
            listen: member
                .sockets
                .iter()
                .map(|socket| if member.hidden { Listen::any(socket.port) } else { *socket })
                .collect(),
            clashes: self.clashes(container, member),
            ports: connect::ports(container, member),
            networks: container
                .networks
                .iter()
                .map(|(name, (_, attachment))| {
                    (name.clone(), attachment.map_or(&NO_OPTIONS, |attachment| &attachment.options))
                })
                .collect(),
            names: self.names(container, member),
            answers: answers(container),
            hosts: connect::extra_hosts(container),
            reach: self.reach(container, member, &hosts),
            dials: container.dials(member),
            idle: self.idle(container, member),
            dials_any: self.roles.dials_any(member.name),
            resolves: self.resolves(container, member),
            internet: connect::internet(container, member),
            depends: self.depends(container, member),
            starts_after: container
                .members
                .iter()
                .take_while(|other| other.name != member.name)
                .filter(|_| merger.is_some_and(|merger| merger.init))
                .map(|other| other.name)
                .collect(),
            health: health(container, self.roles, defaults),
            reload: match merger {
                Some(merger) if !merger.init => None,
                _ => member.process.reload,
            },
            restarts_alone: merger.is_none_or(|merger| merger.init) || container.members.len() == 1,
            restart: restart(container, member),
            walls: container.walls(),
            supervised: merger.is_some_and(|merger| merger.init),
            image_environment: container.image_environment(self.roles, member.name),
            labels: service.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            settings: service
                .settings
                .iter()
                .filter(|(name, value)| !is_default(name, value, known))
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        }
    }

    fn mounts(&self, container: &Container<'a>, member: &Member<'a>) -> Paths<'a, MountView<'a>> {
        let walled = container.merger.as_ref().filter(|merger| merger.isolation() == Isolation::Require);
        let open =
            |mount: &Mount| walled.is_none_or(|merger| !merger.privacy.denies(member.name, &mount.target));
        let view = |(at, mount): (usize, &'a Mount)| {
            let (source, declared) = container::source(mount, self.compose);
            let view = MountView {
                target: &mount.target,
                source,
                read_only: mount.read_only,
                options: &mount.options,
                declared,
                place: Place::Mount(container.name, at),
            };
            (mount.target.as_str(), view)
        };
        container.mounts.iter().copied().filter(|(_, mount)| open(mount)).map(view).collect()
    }

    fn shadowed(
        &self,
        container: &Container<'a>,
        member: &Member<'a>,
        defaults: Option<&'a ImageDefaults>,
    ) -> Set<&'a str> {
        let daemon = Daemon::from_name(member.name).filter(|_| self.roles.built_in);
        let files: &'a [&'static str] = match (&container.merger, daemon, defaults) {
            (Some(_), Some(daemon), _) => images::files(daemon),
            (None, _, Some(defaults)) => &defaults.files,
            _ => &[],
        };
        let folders = folders(daemon).iter().chain(daemon.iter().flat_map(|_| SHARED_PATHS));
        let trees = daemon.iter().flat_map(|_| SHARED_TREES);
        let merger = container.merger.as_ref();
        let denied = |path: &str| {
            merger.is_some_and(|merger| {
                merger.isolation() != Isolation::Off && merger.privacy.denies(member.name, path)
            })
        };
        let files = files.iter().map(|file| (*file, file_name(file)));
        let init = merger.map(|_| (container.init_path(), "sidecar-init"));
        files
            .chain(folders.map(|folder| (*folder, *folder)))
            .chain(init)
            .filter(|(path, _)| container.mounts.covers(path) || denied(path))
            .chain(trees.map(|tree| (*tree, *tree)).filter(|(tree, _)| container.mounts.touch(tree)))
            .map(|(_, name)| name)
            .collect()
    }

    fn depends(
        &self,
        container: &Container<'a>,
        member: &Member<'a>,
    ) -> Map<Cow<'a, str>, Cow<'a, Dependency>> {
        let mut depends = Vec::new();
        for (service, dependency) in &container.service.depends_on {
            let dependency = Cow::Borrowed(dependency);
            match self.containers.iter().find(|other| other.name == service) {
                Some(other) => {
                    let members = other.members.iter();
                    depends.extend(members.map(|member| (member.name.into(), dependency.clone())));
                }
                None => depends.push((format!("service {service}").into(), dependency)),
            }
        }
        // The init starts the hop before the first proxy.
        if let Some(merger) = &container.merger
            && merger.init
            && merger.first == Some(member.name)
            && let Some(hop) = merger.hop
        {
            let mut before = container.members.iter().take_while(|other| other.name != member.name);
            if before.any(|other| other.name == hop) {
                depends.push((hop.into(), Cow::Owned(Dependency::on("service_healthy"))));
            }
        }
        depends.into_iter().collect()
    }

    fn transitions(&self, view: &View<'a>) -> BTreeSet<Transition> {
        let mut transitions = BTreeSet::new();
        for container in self.containers {
            let Some(merger) = &container.merger else { continue };
            let names: Vec<&str> = container.members.iter().map(|member| member.name).collect();
            let mut add =
                |name: &'static str, detail: String| transitions.insert(Transition { name, detail });
            add("services-merged", format!("{} run in {}", names.join(", "), container.name));
            if let Some(agent) = view.principals.get(AGENT) {
                let urls: Vec<&str> = agent
                    .environment
                    .iter()
                    .filter(|(_, variable)| {
                        let mut targets = variable.word.iter().flat_map(|word| &word.targets);
                        targets.any(|target| target.name == container.name)
                    })
                    .map(|(name, _)| *name)
                    .collect();
                if !urls.is_empty() {
                    add("agent-urls", format!("{} name {}", urls.join(", "), container.name));
                }
            }
            for member in container.members.iter().filter(|member| member.hidden) {
                add(
                    "hop-hidden",
                    format!("{} listens on loopback; the agent reaches it no longer", member.name),
                );
            }
            if merger.init {
                add("health-merged", "one probe, sidecar-init check, covers every daemon".to_owned());
                add("init-start-order", format!("sidecar-init starts {} in this order", names.join(", ")));
                add("no-new-privileges", "sidecar-init denies every daemon new privileges".to_owned());
                for member in container.members.iter().filter(|member| self.idle(container, member)) {
                    add("walls-dial", format!("{} may open no connections, as its row says", member.name));
                }
            }
        }
        transitions
    }
}

/// Variables of a merged container that no daemon receives.
fn undelivered(container: &Container<'_>, anomalies: &mut BTreeSet<Anomaly>) {
    let Some(merger) = container.merger.as_ref().filter(|merger| merger.init) else { return };
    let reached: Set<&str> =
        container.members.iter().flat_map(|member| member.delivered.values().copied()).collect();
    for name in container.service.environment.keys() {
        if !merger.handshake.names.reserves(name) && !reached.contains(name.as_str()) {
            anomalies.insert(Anomaly {
                rule: RuleId::ShapeUnexpected,
                principal: String::new(),
                subject: name.clone(),
                message: format!("{name} reaches no daemon of {}", container.name),
                place: format!("services.{}.environment.{name}", container.name),
                closed: false,
            });
        }
    }
}

/// The program is no host, whatever it is called.
fn argv<'a>(words: &[Cow<'a, str>], hosts: &[Host<'_, 'a>]) -> Vec<Word<'a>> {
    let recognise =
        |(at, word): (usize, &Cow<'a, str>)| Word::recognise(word.clone(), if at == 0 { &[] } else { hosts });
    words.iter().enumerate().map(recognise).collect()
}

fn environment<'a>(
    container: &Container<'a>,
    member: &Member<'a>,
    hosts: &[Host<'_, 'a>],
) -> Map<&'a str, Variable<'a>> {
    let variables = member.delivered.iter().filter(|(there, _)| **there != "HOME");
    variables
        .map(|(there, here)| {
            let value = &container.service.environment[*here];
            let word = match value {
                EnvValue::Literal(text) if there.eq_ignore_ascii_case("no_proxy") => {
                    Some(Word::recognise_list(text, hosts))
                }
                EnvValue::Literal(text) => Some(Word::recognise(text.into(), hosts)),
                EnvValue::Inherit => None,
            };
            (*there, Variable { value, word, place: Place::Variable(container.name, here) })
        })
        .collect()
}

/// Every name by which a container is found.
fn answers<'a>(container: &Container<'a>) -> Set<&'a str> {
    let aliases = container.networks.keys().flat_map(|network| container.names_on(network));
    aliases.chain(container.service.container_name.as_deref()).collect()
}

/// Hosts that the principal's texts address at a port where nothing listens.
fn dead(
    container: &Container<'_>,
    environment: &Map<&str, Variable<'_>>,
    argv: &[Word<'_>],
) -> Map<String, String> {
    let command = argv.iter().map(|word| (word, None));
    let variables =
        environment.values().filter_map(|variable| Some((variable.word.as_ref()?, Some(variable.place))));
    let mut dead = Vec::new();
    for (word, place) in command.chain(variables) {
        for target in word.targets.iter().filter(|target| target.principals.is_empty()) {
            if let Some(port) = target.port {
                let place =
                    place.map_or_else(|| format!("services.{}.command", container.name), String::from);
                dead.push((format!("{}:{port}", target.name), place));
            }
        }
    }
    // The first text of several.
    dead.reverse();
    dead.into_iter().collect()
}

/// What starts a principal again when it ends.
fn restart<'a>(container: &Container<'a>, member: &Member<'a>) -> &'a str {
    let merger = container.merger.as_ref().filter(|merger| merger.init);
    match merger.map(|merger| merger.row(member.name)) {
        Some(row) => match row.map_or(Restart::No, |row| row.restart) {
            Restart::No => "no",
            Restart::OnFailure(_) => "on-failure",
            Restart::Always => "always",
            Restart::UnlessStopped => "unless-stopped",
        },
        None => match container.service.settings.get("restart") {
            Some(Setting::Text(policy)) => policy,
            _ => "no",
        },
    }
}

/// What of the principal's own the others of its container can open.
fn exposed<'a>(container: &Container<'a>, member: &Member<'a>) -> Map<String, Set<&'a str>> {
    let Some(merger) = &container.merger else { return Map::new() };
    let open = merger.isolation() != Isolation::Require;
    let others = |path: &str| -> Set<&'a str> {
        container
            .members
            .iter()
            .filter(|other| other.name != member.name)
            .filter(|other| open || !merger.privacy.denies(other.name, path))
            .map(|other| other.name)
            .collect()
    };
    let mounts = &container.mounts;
    let own = merger.private(member.name).filter(|path| mounts.touch(path));
    let unclaimed = merger.unclaimed.iter().copied();
    own.map(|path| (path.to_owned(), others(path)))
        .chain(unclaimed.map(|path| (format!("{path}{UNCLAIMED}"), others(path))))
        .filter(|(_, others)| !others.is_empty())
        .collect()
}

/// Paths that the handshake keeps for another daemon.
fn denied(container: &Container<'_>, member: &Member<'_>) -> Set<String> {
    let Some(merger) = &container.merger else { return Set::new() };
    let walls = merger.isolation() != Isolation::Off;
    let paths = merger.handshake.mounts.values().flatten();
    paths.filter(|path| walls && merger.privacy.denies(member.name, path)).cloned().collect()
}

const SECOND: u64 = 1_000_000_000;

fn health<'a>(
    container: &Container<'a>,
    roles: &Roles,
    defaults: Option<&'a ImageDefaults>,
) -> Option<Health<'a>> {
    let words = container.probe(defaults)?;
    let own = container.service.healthcheck.as_ref();
    // What an image's own HEALTHCHECK says of times is left to it: the bundle's is stricter than the engine's defaults.
    let time = |value: Option<u64>, default: u64| value.unwrap_or(default);
    let timing = Map::from_iter([
        ("interval", time(own.and_then(|h| h.interval), 30 * SECOND)),
        ("retries", time(own.and_then(|h| h.retries), 3)),
        ("start_interval", time(own.and_then(|h| h.start_interval), 5 * SECOND)),
        ("start_period", time(own.and_then(|h| h.start_period), 0)),
        ("timeout", time(own.and_then(|h| h.timeout), 30 * SECOND)),
    ]);
    let checks = || match words.as_slice() {
        [init, "check"] => roles.is_init(init),
        [_, "-c", line] => {
            line.strip_suffix(" check").is_some_and(|init| !init.contains(' ') && roles.is_init(init))
        }
        _ => false,
    };
    let known = |probe: &Option<Vec<String>>| probe.as_ref().is_some_and(|probe| *probe == words);
    let covers = match &container.merger {
        Some(merger) => merger.init && checks(),
        None => defaults.is_some_and(|defaults| known(&defaults.probe) || known(&defaults.health)),
    };
    let probe = if covers { "{every socket}".into() } else { words.join(" ").into() };
    Some(Health { probe, covers, timing })
}

fn networks(compose: &Compose) -> Map<Cow<'_, str>, Network<'_>> {
    compose
        .networks
        .iter()
        .map(|(key, network)| {
            let name = container::effective_name(compose, key, network.name.as_ref(), network.external);
            let value = Network {
                key,
                internal: network.internal,
                external: network.external,
                settings: &network.settings,
            };
            (name, value)
        })
        .collect()
}

fn resources(compose: &Compose) -> Map<String, Resource<'_>> {
    [("volume", &compose.volumes), ("config", &compose.configs), ("secret", &compose.secrets)]
        .into_iter()
        .flat_map(|(kind, resources)| {
            resources.iter().map(move |(key, resource)| {
                let name = container::effective_name(compose, key, resource.name.as_ref(), resource.external);
                let value = Resource { key, external: resource.external, settings: &resource.settings };
                (format!("{kind}/{name}"), value)
            })
        })
        .chain(compose.models.iter().map(|(key, model)| {
            (format!("model/{key}"), Resource { key, external: false, settings: &model.settings })
        }))
        .collect()
}

/// Whether a setting says what an engine does without it, and the image if it is `known`.
fn is_default(name: &str, value: &Setting, known: bool) -> bool {
    match (name, value) {
        ("stop_grace_period", Setting::Duration(time)) => *time == 10_000_000_000,
        ("stop_signal", Setting::Text(signal)) => {
            known && matches!(signal.as_str(), "SIGTERM" | "TERM" | "15")
        }
        ("restart", Setting::Text(policy)) => policy == "no",
        ("scale", Setting::Integer(count)) => *count == 1,
        ("attach", Setting::Bool(value)) => *value,
        ("ipc", Setting::Text(mode)) => mode == "private",
        ("isolation", Setting::Text(kind)) => kind == "default",
        ("cpu_shares", Setting::Integer(share)) => matches!(share, 0 | 1024),
        ("pids_limit", Setting::Integer(limit)) => matches!(limit, -1 | 0),
        ("shm_size", Setting::Bytes(size)) => *size == 64 << 20,
        ("pull_policy", Setting::Text(policy)) => matches!(policy.as_str(), "missing" | "if_not_present"),
        (_, Setting::Bool(value)) => !value,
        (_, Setting::Set(items)) => items.is_empty(),
        (_, Setting::List(items)) => items.is_empty(),
        (_, Setting::Map(map)) => map.is_empty(),
        _ => false,
    }
}
