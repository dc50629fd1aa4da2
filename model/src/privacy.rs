//! Which paths of a merged container are whose, and so who may open what (DESIGN, "Containment inside one
//! container").

use std::collections::{BTreeMap, BTreeSet};

use crate::daemon::DaemonRow;
use crate::handshake::Handshake;

/// Private paths of every daemon of the table, disabled ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    owners: BTreeMap<String, BTreeSet<String>>,
}

impl Privacy {
    /// Private paths of the table and of the handshake; paths are absolute, without `.` and `..`.
    #[must_use]
    pub fn of(table: &[DaemonRow], handshake: &Handshake) -> Self {
        let mut privacy = Self::default();
        for row in table {
            let added = handshake.mounts.get(&row.name).into_iter().flatten();
            for path in row.private.iter().chain(added) {
                privacy.claim(&row.name, path);
            }
        }
        privacy
    }

    /// Makes a path private to a daemon.
    pub fn claim(&mut self, daemon: &str, path: &str) {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.owners.entry(path.to_owned()).or_default().insert(daemon.to_owned());
    }

    /// Private paths with their owners; two daemons may own one path.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.owners.iter().map(|(path, owners)| (path.as_str(), owners))
    }

    /// Whether a path is private to other daemons than this one: the longest private path that covers it decides.
    #[must_use]
    pub fn denies(&self, daemon: &str, path: &str) -> bool {
        self.owners
            .iter()
            .filter(|(private, _)| covers(private, path))
            .max_by_key(|(private, _)| private.len())
            .is_some_and(|(_, owners)| !owners.contains(daemon))
    }
}

/// Whether `path` is `above` or lies below it.
#[must_use]
pub fn covers(above: &str, path: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || above.ends_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_private_path_decides() {
        let mut privacy = Privacy::default();
        privacy.claim("egress", "/etc/egress/");
        privacy.claim("pipelock", "/etc/egress/shared");
        privacy.claim("egress", "/both");
        privacy.claim("pipelock", "/both");
        for (daemon, path, denied) in [
            ("egress", "/etc/egress", false),
            ("pipelock", "/etc/egress", true),
            ("pipelock", "/etc/egress/routes.yaml", true),
            ("pipelock", "/etc/egress-more", false),
            ("pipelock", "/etc", false),
            ("pipelock", "/etc/egress/shared/x", false),
            ("egress", "/etc/egress/shared/x", true),
            ("egress", "/both/x", false),
            ("pipelock", "/both/x", false),
            ("git-gate", "/both/x", true),
        ] {
            assert_eq!(privacy.denies(daemon, path), denied, "{daemon} {path}");
        }
    }
}
