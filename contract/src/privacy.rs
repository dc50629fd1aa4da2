//! Which paths of a merged container are whose, and so who may open what (docs/design.md#walls).

use std::collections::{BTreeMap, BTreeSet};

use crate::daemon::DaemonRow;
use crate::handshake::Handshake;
use crate::paths::upward;

/// Private paths of every daemon of the table, disabled ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    owners: BTreeMap<String, BTreeSet<String>>,
    /// Length of the shortest private path, if there is any: none covers a shorter one.
    shortest: Option<usize>,
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
        let trimmed = path.trim_end_matches('/');
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        self.shortest = Some(self.shortest.map_or(path.len(), |shortest| shortest.min(path.len())));
        self.owners.entry(path.to_owned()).or_default().insert(daemon.to_owned());
    }

    /// Private paths with their owners; two daemons may own one path.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.owners.iter().map(|(path, owners)| (path.as_str(), owners))
    }

    /// Whether a path is private to other daemons than this one: the longest private path that covers it decides.
    #[must_use]
    pub fn denies(&self, daemon: &str, path: &str) -> bool {
        self.over(path).is_some_and(|owners| !owners.contains(daemon))
    }

    /// Whether a path is private to anybody, or lies below one that is.
    #[must_use]
    pub fn claims(&self, path: &str) -> bool {
        self.over(path).is_some()
    }

    /// Owners of the longest private path that covers a path.
    fn over(&self, path: &str) -> Option<&BTreeSet<String>> {
        let shortest = self.shortest?;
        let mut above = upward(path).take_while(|above| above.len() >= shortest);
        above.find_map(|above| self.owners.get(above))
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
