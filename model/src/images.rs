//! Image references: their defaults and the variables that override them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::daemon::Daemon;
use crate::handshake::variable_form;

/// What names begin with unless a plan or the configuration says otherwise.
pub const PREFIX: &str = "bot-bottle";

/// Image references in force for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Image of the merged `sidecars` service.
    pub bundle: String,
    daemons: BTreeMap<Daemon, String>,
    prefix: String,
}

impl Default for Images {
    fn default() -> Self {
        Self::from_lookup(|_| None)
    }
}

impl Images {
    /// Takes overrides from `lookup`, which maps the name of a variable to its value.
    ///
    /// An empty value counts as unset.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self::named(PREFIX, lookup)
    }

    /// As [`Images::from_lookup`], where names begin with `prefix`.
    pub fn named(prefix: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let pick = |variable: String, default: String| {
            lookup(&variable).filter(|value| !value.is_empty()).unwrap_or(default)
        };
        let form = variable_form(prefix);
        let daemon = |daemon: Daemon| {
            let variable = format!("{form}_{}_IMAGE", variable_form(daemon.name()));
            (daemon, pick(variable, default(daemon, prefix)))
        };
        Self {
            bundle: pick(format!("{form}_SIDECAR_IMAGE"), bundle(prefix)),
            daemons: Daemon::ALL.into_iter().map(daemon).collect(),
            prefix: prefix.to_owned(),
        }
    }

    /// The references where names begin with another prefix: what is a default is one of that prefix.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Cow<'_, Self> {
        if self.prefix == prefix {
            return Cow::Borrowed(self);
        }
        let daemons = self.daemons.iter().map(|(daemon, image)| {
            let is_default = *image == default(*daemon, &self.prefix);
            (*daemon, if is_default { default(*daemon, prefix) } else { image.clone() })
        });
        let own = self.bundle == bundle(&self.prefix);
        Cow::Owned(Self {
            bundle: if own { bundle(prefix) } else { self.bundle.clone() },
            daemons: daemons.collect(),
            prefix: prefix.to_owned(),
        })
    }

    /// What names begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Image of a daemon's legacy service.
    #[must_use]
    pub fn of(&self, daemon: Daemon) -> &str {
        &self.daemons[&daemon]
    }
}

fn bundle(prefix: &str) -> String {
    format!("{prefix}-sidecars:latest")
}

fn default(daemon: Daemon, prefix: &str) -> String {
    match daemon {
        Daemon::Pipelock => "ghcr.io/luckypipewrench/pipelock:2.3.0@sha256:3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9".to_owned(),
        Daemon::Egress | Daemon::GitGate | Daemon::Supervise => format!("{prefix}-{daemon}:latest"),
    }
}

/// Path of the bundle's init in its image.
pub const INIT: &str = "/usr/local/bin/sidecar-init";

/// The addon of egress, in the bundle's image and in its own.
const EGRESS_FILES: &[&str] = &[
    "/app/egress_addon.py",
    "/app/egress_addon_core.py",
    "/app/egress_addon_headers.py",
    "/app/egress_addon_layers.py",
    "/app/egress_addon_names.py",
    "/app/egress_addon_options.py",
    "/app/egress_addon_routes.py",
    "/app/yaml_subset.py",
];

/// Files of the bundle image that a daemon runs from, besides [`INIT`].
#[must_use]
pub const fn files(daemon: Daemon) -> &'static [&'static str] {
    match daemon {
        Daemon::Egress => EGRESS_FILES,
        Daemon::Pipelock => &["/usr/local/bin/pipelock"],
        Daemon::GitGate => &[
            "/usr/bin/git",
            "/usr/bin/gitleaks",
            "/app/git_gate/__init__.py",
            "/app/git_gate/__main__.py",
            "/app/git_gate/access.py",
            "/app/git_gate/git.py",
            "/app/git_gate/limits.py",
            "/app/git_gate/locks.py",
            "/app/git_gate/objects.py",
            "/app/git_gate/receive.py",
            "/app/git_gate/report.py",
            "/app/git_gate/scanner.py",
            "/app/git_gate/serve.py",
            "/app/git_gate/sweep.py",
            "/app/git_gate/turn.py",
            "/app/git_gate/unpack.py",
            "/app/git_gate/upstream.py",
            "/app/git_gate/windows.py",
        ],
        Daemon::Supervise => &["/app/supervise_server.py", "/app/supervise.py", "/app/supervise_rpc.py"],
    }
}

/// Folders of the bundle image that every daemon uses, with everything below: programs, libraries, devices, CAs.
pub const SHARED_TREES: &[&str] =
    &["/bin", "/boot", "/dev", "/etc/ssl", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];

/// Further paths that every daemon uses, though what lies below may be one daemon's own.
pub const SHARED_PATHS: &[&str] = &[
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/home/mitmproxy",
    "/root",
    "/run",
    "/tmp",
    "/var/tmp",
];
