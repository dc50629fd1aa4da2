//! The plan: a fully resolved bottle, typed, with every unknown key an error.

mod check;
mod map;
mod read;
mod text;

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::daemon::{Chain, Daemon, Isolation};

pub use map::UniqueMap;
pub use read::{PlanError, read, schema};
pub use text::{AbsolutePath, Address, Capability, Line, Name, Slug, VariableName};

/// A bottle.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Version of the format.
    pub schema: Version,
    /// Name of the bottle.
    pub slug: Slug,
    /// Order of the two proxies.
    #[serde(default)]
    pub chain: Chain,
    /// How far the bundle keeps its daemons apart.
    #[serde(default)]
    pub isolation: Isolation,
    /// Names of the networks.
    #[serde(default)]
    pub networks: Networks,
    /// The untrusted principal.
    pub agent: Agent,
    /// HTTPS proxy with leak detection.
    pub pipelock: Pipelock,
    /// Proxy that injects credentials, if the bottle has routes.
    pub egress: Option<Egress>,
    /// Git daemon that scans pushes, if the bottle has upstreams.
    pub git_gate: Option<GitGate>,
    /// MCP server, if the bottle has one.
    pub supervise: Option<Supervise>,
}

/// `bottle-migrate/plan/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// The first.
    #[serde(rename = "bottle-migrate/plan/1")]
    One,
}

/// Names of a bottle's two networks; absent: derived from the slug.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// The network without a way out.
    pub internal: Option<Name>,
    /// The network that leads out.
    pub external: Option<Name>,
}

/// Limits of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, in bytes.
    #[schemars(range(min = 6_291_456, max = 1_099_511_627_776i64))]
    pub memory: Option<i64>,
    /// Thousandths of a CPU.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub milli_cpus: Option<u32>,
    /// Processes and threads.
    #[schemars(range(min = 1, max = 4_194_304))]
    pub pids: Option<i64>,
}

/// Something that a bottle mounts beyond the standard files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Host path.
    pub source: AbsolutePath,
    /// Path in the container.
    pub target: AbsolutePath,
    /// Whether the container may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedPort {
    /// Port in the container.
    pub target: NonZeroU16,
    /// Host port; absent: the engine chooses.
    pub published: Option<NonZeroU16>,
}

macro_rules! blocks {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Variables; null: the value comes from the environment of `docker compose`.
            #[serde(default)]
            pub environment: UniqueMap<VariableName, Option<Line>>,
            /// Mounts beyond the standard ones.
            #[serde(default)]
            pub volumes: Vec<Volume>,
            /// Published ports; absent: the standard one, if the agent may talk to it.
            pub ports: Option<Vec<PublishedPort>>,
            /// Host entries.
            #[serde(default)]
            pub extra_hosts: UniqueMap<Name, Address>,
            /// Limits.
            #[serde(default)]
            pub limits: Limits,
            /// Capabilities beyond the engine's default.
            #[serde(default)]
            pub cap_add: Vec<Capability>,
            /// Capabilities taken away.
            #[serde(default)]
            pub cap_drop: Vec<Capability>,
            /// Security options.
            #[serde(default)]
            pub security_opt: Vec<Line>,
            /// Whether the root file system is read-only.
            #[serde(default)]
            pub read_only: bool,
            /// Devices, in Compose's short syntax.
            #[serde(default)]
            pub devices: Vec<Line>,
            /// Kernel parameters of the container.
            #[serde(default)]
            pub sysctls: UniqueMap<Name, Line>,
            /// Name servers.
            #[serde(default)]
            pub dns: Vec<Address>,
            /// Labels.
            #[serde(default)]
            pub labels: UniqueMap<Name, Line>,
            /// Restart policy.
            pub restart: Option<Name>,
        }

        impl $name {
            /// The attributes that every block has.
            #[must_use]
            pub fn common(&self) -> Common<'_> {
                Common {
                    environment: &self.environment,
                    volumes: &self.volumes,
                    ports: self.ports.as_deref(),
                    extra_hosts: &self.extra_hosts,
                    limits: &self.limits,
                    cap_add: &self.cap_add,
                    cap_drop: &self.cap_drop,
                    security_opt: &self.security_opt,
                    read_only: self.read_only,
                    devices: &self.devices,
                    sysctls: &self.sysctls,
                    dns: &self.dns,
                    labels: &self.labels,
                    restart: self.restart.as_ref(),
                }
            }
        }
    )* };
}

/// The attributes that every block of a plan has.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is documented on the blocks")]
pub struct Common<'a> {
    pub environment: &'a UniqueMap<VariableName, Option<Line>>,
    pub volumes: &'a [Volume],
    pub ports: Option<&'a [PublishedPort]>,
    pub extra_hosts: &'a UniqueMap<Name, Address>,
    pub limits: &'a Limits,
    pub cap_add: &'a [Capability],
    pub cap_drop: &'a [Capability],
    pub security_opt: &'a [Line],
    pub read_only: bool,
    pub devices: &'a [Line],
    pub sysctls: &'a UniqueMap<Name, Line>,
    pub dns: &'a [Address],
    pub labels: &'a UniqueMap<Name, Line>,
    pub restart: Option<&'a Name>,
}

blocks! {
    /// The untrusted principal.
    Agent {
        /// Image reference.
        image: Name,
        /// Overrides the image's ENTRYPOINT.
        entrypoint: Option<Vec<Line>>,
        /// Overrides the image's CMD.
        command: Option<Vec<Line>>,
        /// User.
        user: Option<Name>,
        /// Working directory.
        working_dir: Option<AbsolutePath>,
        /// Whether it has a terminal.
        #[serde(default)]
        tty: bool,
        /// Whether its standard input stays open.
        #[serde(default)]
        stdin_open: bool,
    }
    /// HTTPS proxy with leak detection.
    Pipelock {
        /// Host path of `pipelock.yaml`.
        config: AbsolutePath,
        /// Host path of the CA certificate.
        ca_cert: AbsolutePath,
        /// Host path of the CA's key.
        ca_key: AbsolutePath,
    }
    /// Proxy that injects credentials.
    Egress {
        /// Host path of `routes.yaml`.
        routes: AbsolutePath,
        /// Host path of mitmproxy's own folder, with its CA.
        ca_dir: AbsolutePath,
        /// Host path of the CA that upstream connections trust.
        upstream_ca: Option<AbsolutePath>,
        /// Names of the credentials, `EGRESS_TOKEN_<n>`; their values come from the environment of `docker compose`.
        #[serde(default)]
        tokens: Vec<VariableName>,
    }
    /// Git daemon that scans pushes.
    GitGate {
        /// Host path of the entrypoint.
        entrypoint: AbsolutePath,
        /// Host path of the pre-receive hook.
        pre_receive: AbsolutePath,
        /// Host path of the access hook.
        access_hook: AbsolutePath,
        /// Credentials of upstreams: file name in `/git-gate/creds` → host path.
        #[serde(default)]
        credentials: UniqueMap<Name, AbsolutePath>,
    }
    /// MCP server.
    Supervise {
        /// Host path of the queue's folder.
        queue: AbsolutePath,
    }
}

impl Plan {
    /// The daemons that the bottle uses, in start order, with what their blocks have in common.
    #[must_use]
    pub fn daemons(&self) -> Vec<(Daemon, Common<'_>)> {
        let mut daemons = Vec::with_capacity(4);
        daemons.extend(self.egress.as_ref().map(|block| (Daemon::Egress, block.common())));
        daemons.push((Daemon::Pipelock, self.pipelock.common()));
        daemons.extend(self.git_gate.as_ref().map(|block| (Daemon::GitGate, block.common())));
        daemons.extend(self.supervise.as_ref().map(|block| (Daemon::Supervise, block.common())));
        daemons
    }

    /// The proxy that the agent talks to.
    #[must_use]
    pub fn first_proxy(&self) -> Daemon {
        if self.egress.is_some() { self.chain.first() } else { Daemon::Pipelock }
    }

    /// The proxy behind the first, if the bottle has two.
    #[must_use]
    pub fn hop(&self) -> Option<Daemon> {
        self.egress.is_some().then(|| self.chain.hop())
    }

    /// Name of the network without a way out.
    #[must_use]
    pub fn internal_network(&self) -> String {
        self.networks
            .internal
            .as_ref()
            .map_or_else(|| format!("bot-bottle-internal-{}", self.slug), Name::to_string)
    }

    /// Name of the network that leads out.
    #[must_use]
    pub fn external_network(&self) -> String {
        self.networks
            .external
            .as_ref()
            .map_or_else(|| format!("bot-bottle-egress-{}", self.slug), Name::to_string)
    }
}
