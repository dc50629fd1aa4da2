//! The environment of the container: every daemon's variables, kept apart by the handshake.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::EnvValue;
use bottle_model::handshake::{Handshake, Names, Unlisted, variable_form};
use bottle_model::overlay::RowOverlay;
use indexmap::IndexMap;

use super::{Member, Merger};

/// Keys that the handshake lays over built-in rows, by daemon.
pub(super) type Overlays = BTreeMap<String, RowOverlay>;

/// How a variable gets to its daemon.
enum Way {
    /// By its own name, which the daemon's list has.
    Plain,
    /// As `DAEMON__NAME`.
    Addressed,
    /// Not at all: another member would receive it.
    Clash(usize),
}

impl Merger<'_> {
    pub(super) fn environment(&mut self, rows: Overlays) -> IndexMap<String, EnvValue> {
        let request = self.request;
        let mut handshake = Handshake {
            names: Names::under(request.prefix),
            isolation: request.isolation,
            // ENV of the container's image is not meant for daemons whose own image did not have it.
            unlisted: Unlisted::Listed,
            rows,
            ..Handshake::default()
        };
        if request.built_in {
            let all = bottle_model::daemon::Daemon::ALL.len();
            let names = self.members.iter().map(|member| member.row.name.clone());
            handshake.daemons = (self.members.len() < all).then(|| names.collect());
            handshake.chain = request.chain;
            handshake.mounts = self.private();
        }
        let (mut common, mut addressed) = (BTreeMap::new(), BTreeMap::new());
        let mut clashes = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let mut claimed = BTreeSet::new();
            for (name, value) in &member.service.environment {
                match self.way(at, name, value) {
                    Way::Plain => {
                        common.insert(name.clone(), value.clone());
                        claimed.insert(name.clone());
                    }
                    Way::Addressed => {
                        let name = format!("{}__{name}", variable_form(&member.row.name));
                        addressed.insert(name, value.clone());
                    }
                    Way::Clash(other) => {
                        let place = ["environment", name.as_str()];
                        let own = member.claim(&place, "it from the environment of docker compose");
                        let other = self.members[other].claim(&place, "another value, or none");
                        clashes.push((format!("variable {name}"), own, other));
                    }
                }
            }
            if !claimed.is_empty() {
                handshake.environment.insert(member.row.name.clone(), claimed);
            }
        }
        for (what, first, second) in clashes {
            self.conflict(what, first, second, "give it a value where it has none");
        }
        let handshake = handshake.to_environment().into_iter();
        let handshake = handshake.map(|(name, value)| (name, EnvValue::Literal(value)));
        handshake.chain(common).chain(addressed).collect()
    }

    /// A variable has to be addressed to its daemon if its plain name would bring something else or reach others. A
    /// name whose value comes from outside has to stay plain: Compose would look for another.
    fn way(&self, at: usize, name: &str, value: &EnvValue) -> Way {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != at);
        let differs = |(_, other): &(usize, &Member<'_>)| other.service.environment.get(name) != Some(value);
        let has = |(_, other): &(usize, &Member<'_>)| other.service.environment.contains_key(name);
        let mut differing = others.filter(differs);
        let literal = *value != EnvValue::Inherit;
        // The init gives these to nobody by their plain name, or reads them itself.
        let reserved = Names::under(self.request.prefix).reserves(name);
        let own = reserved || matches!(name, "HOME" | "USER") || self.looks_addressed(name);
        // The init gives these to everybody, list or no list.
        let passes = matches!(name, "PATH" | "LANG" | "TZ") || name.starts_with("LC_");
        if own {
            return if literal { Way::Addressed } else { Way::Clash(self.neighbour(at)) };
        }
        if passes {
            return match differing.next() {
                None => Way::Plain,
                Some(_) if literal => Way::Addressed,
                Some((other, _)) => Way::Clash(other),
            };
        }
        if literal && differing.any(|other| has(&other)) { Way::Addressed } else { Way::Plain }
    }

    fn looks_addressed(&self, name: &str) -> bool {
        let form = name.split_once("__").map(|(form, _)| form);
        form.is_some_and(|form| self.members.iter().any(|member| variable_form(&member.row.name) == form))
    }

    /// Another member, for a conflict that is nobody's in particular.
    fn neighbour(&self, at: usize) -> usize {
        (0..self.members.len()).find(|other| *other != at).unwrap_or(at)
    }
}
