//! The blocks of a plan: one for the agent, one for each daemon that the bottle uses.

use schemars::JsonSchema;
use serde::Deserialize;

use super::limits::{Device, Health, Limits, Logging, Seconds, Ulimit};
use super::mounts::{Tmpfs, Volume};
use super::network::{Places, PublishedPort};
use super::number::Whole;
use super::text::{
    Address, ContainerPath, FileName, Group, HostAddress, HostName, HostPath, ImageReference, Key, Line,
    Name, Platform, Restart, SecurityOption, Sysctl, Token, User, VariableName,
};
use super::unique::{UniqueList, UniqueMap};
use super::word::{Capability, StopSignal, UlimitName};

/// Writes what every block has once, and hands it to [`define`] with the blocks.
macro_rules! blocks {
    ($($blocks:tt)*) => {
        define! {
            {
                /// Variables; null: the value comes from the environment of `docker compose`.
                environment: UniqueMap<VariableName, Option<Line>>,
                /// Mounts beyond the standard ones.
                volumes: Vec<Volume>,
                /// Folders in memory.
                tmpfs: Vec<Tmpfs>,
                /// Published ports; absent: the standard one, if the agent may talk to it.
                ports: Option<Vec<PublishedPort>>,
                /// Host entries.
                extra_hosts: UniqueMap<HostName, HostAddress>,
                /// Names and addresses in the bottle's networks.
                networks: Places,
                /// Limits of the container.
                limits: Limits,
                /// Limits of each process.
                ulimits: UniqueMap<UlimitName, Ulimit>,
                /// Capabilities beyond the engine's default.
                cap_add: UniqueList<Capability>,
                /// Capabilities taken away.
                cap_drop: UniqueList<Capability>,
                /// Security options.
                security_opt: UniqueList<SecurityOption>,
                /// Whether the root file system is read-only.
                read_only: bool,
                /// Devices of the host.
                devices: Vec<Device>,
                /// Kernel parameters of the container.
                sysctls: UniqueMap<Sysctl, Line>,
                /// Name servers.
                dns: UniqueList<Address>,
                /// Domains in which short names are looked up.
                dns_search: UniqueList<HostName>,
                /// Options of the resolver (`resolv.conf(5)`).
                dns_opt: UniqueList<Token>,
                /// Labels.
                labels: UniqueMap<Key, Line>,
                /// Annotations, for the runtime.
                annotations: UniqueMap<Key, Line>,
                /// Where the output goes; absent: the engine's default.
                logging: Option<Logging>,
                /// Times of the health probe; absent ones are those of the shape.
                health: Option<Health>,
                /// Restart policy; absent: no.
                restart: Option<Restart>,
                /// Runtime of the container, `runsc` for example; absent: the engine's default.
                runtime: Option<Name>,
                /// Platform of the image; absent: the engine's.
                platform: Option<Platform>,
                /// How readily the kernel kills it when memory is short, -1000 to 1000.
                oom_score_adj: Option<Whole<-1000, 1000>>,
            }
            $($blocks)*
        }
    };
}

macro_rules! define {
    ($common:tt $($(#[$doc:meta])* $name:ident $own:tt)*) => {
        common! { $common }
        $(block! { $(#[$doc])* $name $common $own })*
    };
}

macro_rules! common {
    ({ $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        /// What every block of a plan has.
        #[derive(Clone, Copy, Debug)]
        pub struct Common<'a> {
            $($(#[$doc])* pub $field: &'a $type,)*
        }
    };
}

macro_rules! block {
    (
        $(#[$doc:meta])* $name:ident
        { $($(#[$common_doc:meta])* $common:ident: $common_type:ty,)* }
        { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            $($(#[$common_doc])* #[serde(default)] pub $common: $common_type,)*
        }

        impl $name {
            /// What every block has.
            #[must_use]
            pub fn common(&self) -> Common<'_> {
                Common { $($common: &self.$common,)* }
            }
        }
    };
}

blocks! {
    /// The untrusted principal.
    Agent {
        /// Image.
        image: ImageReference,
        /// Host name; absent: the engine's.
        hostname: Option<HostName>,
        /// Overrides the image's ENTRYPOINT.
        entrypoint: Option<Vec<Line>>,
        /// Overrides the image's CMD.
        command: Option<Vec<Line>>,
        /// User; absent: the image's.
        user: Option<User>,
        /// Further groups of the user.
        #[serde(default)]
        group_add: UniqueList<Group>,
        /// Working directory; absent: the image's.
        working_dir: Option<ContainerPath>,
        /// Whether it has a terminal.
        #[serde(default)]
        tty: bool,
        /// Whether its standard input stays open.
        #[serde(default)]
        stdin_open: bool,
        /// Whether the engine's own init runs as PID 1.
        #[serde(default)]
        init: bool,
        /// Signal that stops it; absent: the image's, or SIGTERM.
        stop_signal: Option<StopSignal>,
        /// Time between that signal and SIGKILL, in seconds; absent: 10.
        stop_grace_period: Option<Seconds>,
    }
    /// HTTPS proxy with leak detection.
    Pipelock {
        /// Host path of `pipelock.yaml`.
        config: HostPath,
        /// Host path of the CA certificate.
        ca_cert: HostPath,
        /// Host path of the CA's key.
        ca_key: HostPath,
    }
    /// Proxy that injects credentials.
    Egress {
        /// Host path of `routes.yaml`.
        routes: HostPath,
        /// Host path of mitmproxy's own folder, with its CA.
        ca_dir: HostPath,
        /// Host path of the CA that upstream connections trust.
        upstream_ca: Option<HostPath>,
        /// Names of the credentials, `EGRESS_TOKEN_<n>`; their values come from the environment of `docker compose`.
        #[serde(default)]
        tokens: UniqueList<VariableName>,
    }
    /// Git daemon that scans pushes.
    GitGate {
        /// Host path of the entrypoint.
        entrypoint: HostPath,
        /// Host path of the pre-receive hook.
        pre_receive: HostPath,
        /// Host path of the access hook.
        access_hook: HostPath,
        /// Credentials of upstreams: file name in `/git-gate/creds` → host path.
        #[serde(default)]
        credentials: UniqueMap<FileName, HostPath>,
    }
    /// MCP server.
    Supervise {
        /// Host path of the queue's folder.
        queue: HostPath,
    }
}
