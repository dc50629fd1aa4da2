//! The map file: who is who in the compose files of another project (`docs/map.md`).

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Service;
use bottle_model::daemon::{Daemon, DaemonRow, Listen};
use bottle_model::images::Images;
use bottle_model::table;
use schemars::JsonSchema;
use serde::Deserialize;

use super::process;
use super::roles::{AGENT, ImageDefaults, Roles};
use crate::config::{self, ConfigError};
use crate::images::Build;

/// Daemons of one map: each is compared with each other.
const DAEMONS: usize = 64;

impl Roles {
    /// Reads a map file (TOML): who is who in compose files of another project.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, with its place.
    pub fn from_map(text: &str, images: &Images) -> Result<Self, MapError> {
        let map: Map = toml::from_str(text).map_err(|error| {
            let ConfigError { line, message, hint, .. } = config::from_toml(text, &error);
            MapError { line: Some(line), message, hint }
        })?;
        map.check()?;
        let mut roles = Self::builtin(images);
        if let Some(agent) = map.agent {
            roles.agent = agent;
        }
        if let Some(bundle) = map.bundle {
            if let Some(pin) = roles.pins.remove("sidecars") {
                roles.pins.insert(bundle.clone(), pin);
            }
            roles.bundle = bundle;
        }
        if !map.daemon.is_empty() {
            roles.built_in = false;
            roles.hop = map.hop;
            roles.dials_any.clear();
            roles.pins.clear();
            roles.services = map.daemon.iter().map(|row| (row.name.clone(), row.name.clone())).collect();
            roles.defaults.retain(|name, _| roles.services.contains_key(name));
            for row in &map.daemon {
                // A program listens where its row says, whatever image it comes from; the hop hides in the bundle alone.
                let hides = roles.hop.as_ref() == Some(&row.name);
                let listen = |socket: &Listen| if hides { Listen::any(socket.port) } else { *socket };
                let defaults = roles.defaults.entry(row.name.clone()).or_default();
                defaults.listen.extend(row.listen.iter().map(listen));
            }
            roles.tables = [map.daemon.clone(), map.daemon];
        }
        let renamed: BTreeSet<&String> = map.services.keys().collect();
        roles.services.retain(|_, daemon| !renamed.contains(daemon));
        for (daemon, service) in map.services {
            if let Some(other) = roles.services.insert(service.clone(), daemon.clone()) {
                return Err(MapError::new(format!("service {service:?} is both {other:?} and {daemon:?}")));
            }
        }
        roles.dials_any.extend(map.dials_any);
        if let Some(daemon) = roles.services.get(&roles.agent) {
            return Err(MapError::new(format!("service {:?} is both {daemon:?} and the agent", roles.agent)));
        }
        if roles.agent == roles.bundle {
            return Err(MapError::new(format!("service {:?} is both the agent and the bundle", roles.agent)));
        }
        for row in map.image {
            if let Some(pin) = &row.image {
                roles.pins.insert(row.service.clone(), pin.clone());
            }
            roles.builds.extend(row.build()?.map(|build| (row.service.clone(), build)));
            let principal = roles.services.get(&row.service).unwrap_or(&row.service).clone();
            roles.defaults.insert(principal, row.defaults());
        }
        Ok(roles)
    }
}

/// A map file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MapError {
    /// 1-based line, where known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl MapError {
    const fn new(message: String) -> Self {
        Self { line: None, message, hint: None }
    }
}

/// JSON Schema of a map file.
#[must_use]
pub fn map_schema() -> serde_json::Value {
    schemars::schema_for!(Map).to_value()
}

/// Who is who in the compose files of another project (TOML, `docs/map.md`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Map {
    /// Compose service that is not trusted; `agent` by default.
    agent: Option<String>,
    /// Compose service that holds the merged daemons; `sidecars` by default.
    bundle: Option<String>,
    /// The daemon behind the first, which may hide on loopback.
    hop: Option<String>,
    /// Daemons that dial names which others choose, as a proxy does.
    #[serde(default)]
    dials_any: BTreeSet<String>,
    /// Daemon → legacy compose service, where the names differ.
    #[serde(default)]
    services: BTreeMap<String, String>,
    /// The table of the bundle's init, as `sidecar-init --daemons` reads it.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    daemon: Vec<DaemonRow>,
    /// What is known of the images of legacy services.
    #[serde(default)]
    image: Vec<ImageRow>,
}

impl Map {
    fn check(&self) -> Result<(), MapError> {
        let fail = |message: String| Err(MapError::new(message));
        table::check(&self.daemon)
            .map_err(|error| MapError { line: error.line, ..MapError::new(error.message) })?;
        if self.daemon.len() > DAEMONS {
            let count = self.daemon.len();
            return fail(format!("{count} daemons: more than the {DAEMONS} that one comparison takes"));
        }
        let names: BTreeSet<&String> = self.daemon.iter().map(|row| &row.name).collect();
        let known =
            |name: &String| names.contains(name) || (names.is_empty() && Daemon::from_name(name).is_some());
        for name in self.services.keys().chain(self.hop.iter()).chain(&self.dials_any) {
            if !known(name) {
                return fail(format!("{name:?} is not a daemon of the table"));
            }
        }
        if names.contains(&AGENT.to_owned()) {
            return fail(format!(
                "a daemon cannot be called {AGENT:?}, which is the name of the agent's principal"
            ));
        }
        let mut images = BTreeSet::new();
        if let Some(row) = self.image.iter().find(|row| !images.insert(&row.service)) {
            return fail(format!("two [[image]] tables name service {:?}", row.service));
        }
        self.hop.as_ref().map_or(Ok(()), |hop| self.hides(hop))
    }

    /// Refuses a hop of which nothing is known that could hide: the key would have no effect.
    fn hides(&self, hop: &str) -> Result<(), MapError> {
        let Some(row) = self.daemon.iter().find(|row| row.name == hop) else {
            let why = "hop has no effect without [[daemon]] tables: the built-in table has its own";
            return Err(MapError::new(why.to_owned()));
        };
        let own = Service::default();
        if process::of_row(&own, row, None).sockets.is_none_or(|sockets| sockets.is_empty())
            && row.listen.is_empty()
        {
            let why = format!("hop = {hop:?} has no effect: its row does not say where the daemon listens");
            return Err(MapError::new(why));
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImageRow {
    /// Compose service that runs the image.
    service: String,
    /// Reference that is expected there.
    image: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    home: Option<String>,
    workdir: Option<String>,
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    listen: BTreeSet<Listen>,
    reload: Option<String>,
    health: Option<Vec<String>>,
    /// Dockerfile that the image is built from, below the folder of the map.
    dockerfile: Option<String>,
    /// Folder of the build context, below the folder of the map.
    context: Option<String>,
    /// The stage that is built.
    target: Option<String>,
    /// Build arguments.
    #[serde(default)]
    args: BTreeMap<String, String>,
}

impl ImageRow {
    fn build(&self) -> Result<Option<Build>, MapError> {
        let settings = self.context.is_some() || self.target.is_some() || !self.args.is_empty();
        match &self.dockerfile {
            None if settings => Err(MapError::new(format!(
                "[[image]] of service {:?}: context, target and args need a dockerfile",
                self.service
            ))),
            None => Ok(None),
            Some(dockerfile) => Ok(Some(Build {
                dockerfile: dockerfile.clone(),
                context: self.context.clone().unwrap_or_default(),
                arguments: self.args.clone(),
                target: self.target.clone(),
                ..Build::default()
            })),
        }
    }

    fn defaults(self) -> ImageDefaults {
        ImageDefaults {
            entrypoint: self.entrypoint,
            cmd: self.cmd,
            user: self.user,
            home: self.home,
            workdir: self.workdir,
            listen: self.listen.into_iter().collect(),
            reload: self.reload,
            health: self.health.clone(),
            probe: self.health,
            files: Vec::new(),
            known: true,
        }
    }
}
