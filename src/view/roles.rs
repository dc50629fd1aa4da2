//! Maps services to principals; facts about images and the bundle's daemon table.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::daemon::{self, Chain, Daemon, DaemonRow, Listen};
use bottle_model::images::{self, INIT, Images};
use bottle_model::sorted::Set;

use crate::images::{Build, Built, Fact, Image, ImageFacts};

/// The cast of a comparison: a bottle's by default, anybody's by a map file.
#[derive(Clone, Debug)]
pub struct Roles {
    /// Compose service of the agent.
    pub(super) agent: String,
    /// Compose service of the merged daemons.
    pub(super) bundle: String,
    /// Legacy compose service → daemon.
    pub(super) services: BTreeMap<String, String>,
    /// The bundle's daemon table by chain: a map's table is the same for both.
    pub(super) tables: [Vec<DaemonRow>; 2],
    /// Whether the table is the one compiled into sidecar-init.
    pub(super) built_in: bool,
    /// What the images of legacy services say by default, by daemon.
    pub(super) defaults: BTreeMap<String, ImageDefaults>,
    /// Image references in force, by service; a service that is absent may have any.
    pub(super) pins: BTreeMap<String, String>,
    /// The hop that a map declares.
    pub(super) hop: Option<String>,
    /// What names of the project's own images begin with.
    pub(super) prefix: String,
    /// Daemons that dial names which others choose.
    pub(super) dials_any: BTreeSet<String>,
    /// What images hold and say, by daemon, and by service for the bundle.
    pub(super) contents: BTreeMap<String, Image>,
    /// Dockerfiles that a map names, by service.
    pub(super) builds: BTreeMap<String, Build>,
}

/// Name of the untrusted principal, whatever its service is called.
pub(super) const AGENT: &str = "agent";

/// What an image's Dockerfile settles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageDefaults {
    /// ENTRYPOINT.
    pub(super) entrypoint: Option<Vec<String>>,
    /// CMD.
    pub(super) cmd: Option<Vec<String>>,
    /// USER.
    pub(super) user: Option<String>,
    /// `HOME` of that user.
    pub(super) home: Option<String>,
    /// WORKDIR.
    pub(super) workdir: Option<String>,
    /// Sockets of the program if its argv does not show them.
    pub(super) listen: Set<Listen>,
    /// The signal at which the program reads its configuration again.
    pub(super) reload: Option<String>,
    /// HEALTHCHECK, in exec form.
    pub(super) health: Option<Vec<String>>,
    /// Health probe that is known to cover the daemon.
    pub(super) probe: Option<Vec<String>>,
    /// Files of the image that the program runs from.
    pub(super) files: Vec<&'static str>,
    /// Whether the image says nothing beyond this.
    pub(super) known: bool,
}

impl ImageDefaults {
    /// Takes over what a Dockerfile settles.
    fn take(&mut self, facts: &ImageFacts) {
        let words = |fact: &Option<Fact<Vec<String>>>| fact.as_ref().map(|fact| fact.value.clone());
        if facts.base_known || facts.entrypoint.is_some() {
            self.entrypoint = words(&facts.entrypoint);
            self.cmd = words(&facts.cmd);
        }
        if facts.base_known || facts.user.is_some() {
            let user = facts.user.as_ref().map_or("root", |fact| &fact.value);
            let name = user.split(':').next().unwrap_or(user);
            self.home = match facts.users.get(name) {
                Some(known) => known.value.home.clone(),
                None => (name == "root" || name == "0").then(|| "/root".to_owned()),
            };
            self.user = Some(user.to_owned());
        }
        if facts.base_known || facts.workdir.is_some() {
            self.workdir = Some(facts.workdir.as_ref().map_or("/", |fact| &fact.value).to_owned());
        }
    }
}

/// An image of which nothing is known.
pub(super) static UNKNOWN: ImageDefaults = ImageDefaults {
    entrypoint: None,
    cmd: None,
    user: None,
    home: None,
    workdir: None,
    listen: Set::new(),
    reload: None,
    health: None,
    probe: None,
    files: Vec::new(),
    known: false,
};

impl Roles {
    /// The built-in case: a bottle.
    #[must_use]
    pub fn builtin(images: &Images) -> Self {
        let mut pins: BTreeMap<String, String> = Daemon::ALL
            .into_iter()
            .map(|daemon| (daemon.name().to_owned(), images.of(daemon).to_owned()))
            .collect();
        pins.insert("sidecars".to_owned(), images.bundle.clone());
        let names = || Daemon::ALL.into_iter().map(|daemon| daemon.name().to_owned());
        Self {
            agent: AGENT.to_owned(),
            bundle: "sidecars".to_owned(),
            services: names().zip(names()).collect(),
            tables: [daemon::table(Chain::PipelockFirst), daemon::table(Chain::EgressFirst)],
            built_in: true,
            defaults: Daemon::ALL
                .into_iter()
                .map(|daemon| (daemon.name().to_owned(), builtin_defaults(daemon)))
                .collect(),
            pins,
            hop: None,
            prefix: images.prefix().to_owned(),
            dials_any: [Daemon::Egress, Daemon::Pipelock].map(|daemon| daemon.name().to_owned()).into(),
            contents: BTreeMap::new(),
            builds: BTreeMap::new(),
        }
    }

    /// Takes what images hold and say from their Dockerfiles, by daemon, and by service for the bundle.
    ///
    /// What a Dockerfile settles replaces what is built in.
    #[must_use]
    pub fn with_contents(mut self, contents: BTreeMap<String, Image>) -> Self {
        // What a published image settles is built in.
        for (daemon, image) in contents.iter().filter(|(_, image)| !image.dockerfile.is_empty()) {
            if daemon == AGENT {
                self.defaults.entry(AGENT.to_owned()).or_default().take(&image.facts);
            } else if let Some(defaults) = self.defaults.get_mut(daemon) {
                defaults.take(&image.facts);
            }
        }
        self.contents = contents;
        let pipelock = Daemon::Pipelock.name();
        if self.built_in && !self.contents.is_empty() && !self.contents.contains_key(pipelock) {
            let published = self.pins.get(pipelock).and_then(|reference| Image::published(reference));
            self.contents.extend(published.map(|image| (pipelock.to_owned(), image)));
        }
        self
    }

    /// The same cast, with what the services of one document build.
    ///
    /// What a document builds replaces what is known of the same image otherwise, also where it cannot be read.
    #[must_use]
    pub fn with_built(&self, built: Built, side: Side) -> Self {
        let mut roles = self.clone();
        let mut contents = std::mem::take(&mut roles.contents);
        for name in built.unread.keys().filter_map(|service| self.image_of(service, side)) {
            contents.remove(name);
        }
        for (service, image) in built.images {
            if let Some(name) = self.image_of(&service, side) {
                contents.insert(name.to_owned(), image);
            }
        }
        roles.with_contents(contents)
    }

    /// The same cast, with the images that the daemons had on the other side; each document has an agent of its own.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        let daemons = other.contents.iter().filter(|(name, _)| *name != AGENT);
        let daemons = daemons.map(|(name, image)| (name.clone(), image.clone()));
        let mut roles = self.clone();
        let mut contents = std::mem::take(&mut roles.contents);
        contents.extend(daemons);
        roles.with_contents(contents)
    }

    /// The key of a service's image among the contents: a principal, or the service that merges them.
    fn image_of<'a>(&'a self, service: &'a str, side: Side) -> Option<&'a str> {
        if self.merges(service, side) {
            Some(service)
        } else if service == self.agent {
            Some(AGENT)
        } else {
            self.services.get(service).map(String::as_str)
        }
    }

    /// Dockerfiles that a map names, by service.
    #[must_use]
    pub fn builds(&self) -> &BTreeMap<String, Build> {
        &self.builds
    }

    /// The same cast, with the image references of another prefix.
    #[must_use]
    pub fn under(&self, images: &Images) -> Self {
        let Self { pins, prefix, .. } = Self::builtin(images);
        Self { pins, prefix, ..self.clone() }
    }

    /// What names of the project's own images begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether an image is one that the project builds itself.
    pub(super) fn is_own(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Compose service of the agent.
    #[must_use]
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// Whether the daemon table is the one that is compiled into sidecar-init.
    #[must_use]
    pub const fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// The bundle's daemon table, of which the built-in one differs between chains.
    #[must_use]
    pub fn rows(&self, chain: Chain) -> &[DaemonRow] {
        self.table(chain)
    }

    /// The same cast, whose init has another table.
    #[must_use]
    pub fn with_rows(&self, rows: Vec<DaemonRow>) -> Self {
        Self { tables: [rows.clone(), rows], ..self.clone() }
    }

    /// Legacy service of a daemon.
    #[must_use]
    pub fn service<'a>(&'a self, daemon: &'a str) -> &'a str {
        self.service_of(daemon)
    }

    /// Reference of the image that a service is expected to run.
    #[must_use]
    pub fn pin(&self, service: &str) -> Option<&str> {
        self.pins.get(service).map(String::as_str)
    }

    /// The daemon that hides behind the first proxy under a chain.
    #[must_use]
    pub fn hop_of(&self, chain: Chain) -> Option<&str> {
        self.hop(chain).map(|(hop, _)| hop)
    }

    /// Name of the merged service.
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Whether a service of a document may hold several daemons: on the legacy side a daemon's own may have the name of
    /// the merged one.
    pub(super) fn merges(&self, service: &str, side: Side) -> bool {
        service == self.bundle && (side == Side::Any || !self.services.contains_key(service))
    }

    /// Whether something vouches for the init of a merged service: the daemon table of a map, or the expected image.
    pub(super) fn vouches(&self, service: &str, image: Option<&str>) -> bool {
        !self.built_in || self.pins.get(service).is_some_and(|pin| image == Some(pin))
    }

    /// Whether a daemon dials names that others choose.
    pub(super) fn dials_any(&self, principal: &str) -> bool {
        self.dials_any.contains(principal)
    }

    /// Whether a daemon is known to open no connections.
    pub(super) fn idle(&self, principal: &str) -> bool {
        self.built_in && principal == Daemon::Supervise.name()
    }

    /// Whether it is known what the image of a service runs, and as which user.
    #[must_use]
    pub fn knows(&self, service: &str) -> bool {
        let daemon = self.services.get(service);
        service == self.bundle || daemon.is_some_and(|daemon| self.defaults.contains_key(daemon))
    }

    /// Legacy service of a principal.
    pub(super) fn service_of<'a>(&'a self, principal: &'a str) -> &'a str {
        let mut services = self.services.iter();
        services.find(|(_, daemon)| *daemon == principal).map_or(principal, |(service, _)| service)
    }

    /// Whether a program is the bundle's init: a bottle's image has it at one path.
    pub(super) fn is_init(&self, program: &str) -> bool {
        program == INIT || program == "sidecar-init" || (!self.built_in && program.ends_with("/sidecar-init"))
    }

    /// The bundle's daemon table under a chain.
    pub(super) fn table(&self, chain: Chain) -> &[DaemonRow] {
        &self.tables[usize::from(chain == Chain::EgressFirst)]
    }

    /// The daemon that hides behind the first proxy under a chain.
    pub(super) fn hop(&self, chain: Chain) -> Option<(&str, Option<&str>)> {
        if self.built_in {
            Some((chain.hop().name(), Some(chain.first().name())))
        } else {
            self.hop.as_deref().map(|hop| (hop, None))
        }
    }
}

/// The side of a comparison on which a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The side that merges nothing, if a daemon's own service has the name of the merged one.
    Legacy,
    /// Either.
    Any,
}

fn builtin_defaults(daemon: Daemon) -> ImageDefaults {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let connect = |port: u16| {
        Some(vec![
            "python3".to_owned(),
            "-c".to_owned(),
            format!("import socket; socket.create_connection(('127.0.0.1', {port}), 2).close()"),
        ])
    };
    let egress = daemon == Daemon::Egress;
    let common = ImageDefaults {
        user: Some(if egress { "mitmproxy" } else { "root" }.to_owned()),
        home: Some(if egress { "/home/mitmproxy" } else { "/root" }.to_owned()),
        workdir: Some("/".to_owned()),
        listen: [Listen::any(daemon.port())].into(),
        known: true,
        reload: matches!(daemon, Daemon::Egress | Daemon::Pipelock).then(|| "HUP".to_owned()),
        files: images::files(daemon).to_vec(),
        ..ImageDefaults::default()
    };
    match daemon {
        Daemon::Egress => ImageDefaults {
            entrypoint: words(&["mitmdump"]),
            cmd: words(&[
                "--mode",
                "regular",
                "--listen-host",
                "0.0.0.0",
                "--listen-port",
                "9099",
                "--scripts",
                "/app/egress_addon.py",
            ]),
            probe: connect(daemon.port()),
            ..common
        },
        Daemon::Pipelock => ImageDefaults {
            entrypoint: words(&["/pipelock"]),
            cmd: words(&["run", "--listen", "0.0.0.0:8888"]),
            health: words(&["/pipelock", "healthcheck"]),
            probe: words(&["/pipelock", "healthcheck", "--addr", "127.0.0.1:8888"]),
            // Its own image has it elsewhere than the bundle's.
            files: vec!["/pipelock"],
            ..common
        },
        Daemon::GitGate => ImageDefaults {
            entrypoint: words(&["/git-gate-entrypoint.sh"]),
            probe: words(&["/bin/sh", "-c", "nc -z 127.0.0.1 9418"]),
            ..common
        },
        Daemon::Supervise => ImageDefaults {
            entrypoint: words(&["python3", "/app/supervise_server.py"]),
            probe: connect(daemon.port()),
            ..common
        },
    }
}

/// Folders of its image that a daemon's interpreter and libraries come from, legacy and bundle alike.
pub(super) fn folders(daemon: Option<Daemon>) -> &'static [&'static str] {
    match daemon {
        Some(Daemon::Egress | Daemon::GitGate | Daemon::Supervise) => {
            &["/bin", "/lib", "/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/lib"]
        }
        // One static binary.
        Some(Daemon::Pipelock) | None => &[],
    }
}
