//! A compose service and its parts.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::Setting;

/// A compose service (compose-spec, "Services").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Image reference.
    pub image: Option<String>,
    /// `container_name`.
    pub container_name: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// Overrides the image's ENTRYPOINT; empty clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Overrides the image's CMD; empty clears it.
    pub command: Option<Vec<String>>,
    /// `user`: name or uid, with an optional group.
    pub user: Option<String>,
    /// `working_dir`.
    pub working_dir: Option<String>,
    /// Environment, `env_file` already merged in.
    pub environment: IndexMap<String, EnvValue>,
    /// Everything that is mounted: `volumes`, `tmpfs`, `configs`, `secrets`, in file order, collisions kept.
    pub mounts: Vec<Mount>,
    /// Published ports, ranges expanded.
    pub ports: Vec<Port>,
    /// Networks by key; empty with no `network_mode`: the project's `default`.
    pub networks: IndexMap<String, Attachment>,
    /// `extra_hosts` as host name → addresses.
    pub extra_hosts: IndexMap<String, Vec<String>>,
    /// Services that this one waits for.
    pub depends_on: IndexMap<String, Dependency>,
    /// Overrides the image's HEALTHCHECK.
    pub healthcheck: Option<Healthcheck>,
    /// `labels`, `label_file` already merged in.
    pub labels: IndexMap<String, String>,
    /// Every other attribute, by its compose name; see [`super::attributes`].
    pub settings: BTreeMap<String, Setting>,
}

/// Value of an environment entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvValue {
    /// A value, perhaps empty.
    Literal(String),
    /// A bare name: the value that the `docker compose` process has, or nothing at all if it has none.
    Inherit,
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Absolute path in the container, normalised (no trailing slash, no `.` or `..`).
    pub target: String,
    /// What is mounted.
    pub source: Source,
    /// `read_only`, or `ro` in the short syntax.
    pub read_only: bool,
    /// Further options as dotted paths (`bind.propagation`, `bind.create_host_path`, `volume.nocopy`,
    /// `volume.subpath`, `tmpfs.size`, `consistency`, `uid`, `gid`, `mode`), defaults left out.
    pub options: BTreeMap<String, String>,
}

/// What a mount brings into the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A path of the host, absolute and normalised.
    Bind(String),
    /// A named volume, by its key.
    Volume(String),
    /// A volume without a name.
    Anonymous,
    /// Memory.
    Tmpfs,
    /// A top-level config, by its key.
    Config(String),
    /// A top-level secret, by its key.
    Secret(String),
    /// An image's file system.
    Image(String),
    /// `npipe` or `cluster`, with its source.
    Other(String, String),
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Port in the container, 1 to 65535.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Host IP; absent: every address.
    pub host_ip: Option<String>,
    /// Host port, or a range for the engine to choose from; absent: any free one.
    pub published: Option<String>,
    /// `mode`, `name`, `app_protocol`, defaults left out.
    pub options: BTreeMap<String, String>,
}

/// A service's place in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attachment {
    /// Further names that resolve to the container there.
    pub aliases: BTreeSet<String>,
    /// Everything else as dotted paths: `ipv4_address`, `priority`, `mac_address`, `driver_opts.x`.
    pub options: BTreeMap<String, String>,
}

/// An entry of `depends_on`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// `service_started`, `service_healthy` or `service_completed_successfully`.
    pub condition: String,
    /// Whether a restart of the dependency restarts the dependant.
    pub restart: bool,
    /// Whether the dependency must exist.
    pub required: bool,
}

impl Dependency {
    /// A required dependency without restart.
    #[must_use]
    pub fn on(condition: &str) -> Self {
        Self { condition: condition.to_owned(), restart: false, required: true }
    }
}

/// A health probe; times in nanoseconds, absent: the image's or the engine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run.
    pub test: Option<Probe>,
    /// Time between two probes.
    pub interval: Option<u64>,
    /// Time that one probe may take.
    pub timeout: Option<u64>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u64>,
    /// Time in which failures do not count.
    pub start_period: Option<u64>,
    /// Time between two probes within the start period.
    pub start_interval: Option<u64>,
}

/// Command of a health probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// `disable: true` or `["NONE"]`.
    Disabled,
    /// `["CMD", …]`.
    Exec(Vec<String>),
    /// `["CMD-SHELL", …]` or a plain string.
    Shell(String),
}
