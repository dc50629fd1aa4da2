//! Kinds of facts: each file says what its facts are and how much a difference weighs.

mod compare;
mod environment;
mod image;
mod lifecycle;
mod meta;
mod mounts;
mod network;
mod ports;
mod privilege;
mod process;
mod settings;

pub use meta::unsteady;

use crate::finding::{Finding, Rule};
use crate::view::{Party, View};

/// An aspect: its rules, and its part of the comparison.
struct Aspect {
    rules: &'static [&'static Rule],
    documents: fn(&View<'_>, &View<'_>, &mut Vec<Finding>),
    parties: fn(&Pair<'_>, &mut Vec<Finding>),
}

/// A principal on both sides.
struct Pair<'a> {
    name: &'a str,
    before: &'a Party<'a>,
    after: &'a Party<'a>,
    views: (&'a View<'a>, &'a View<'a>),
}

impl Pair<'_> {
    /// Whether another principal of the container had something before.
    fn neighbour_had(&self, had: impl Fn(&Party<'_>) -> bool) -> Option<&str> {
        let mut neighbours = self.after.together.iter().copied().filter(|name| *name != self.name);
        neighbours.find(|name| self.views.0.parties.get(name).is_some_and(&had))
    }

    /// Place of an attribute on the before side.
    fn was(&self, attribute: &str) -> String {
        format!("services.{}.{attribute}", self.before.service)
    }

    /// Place of an attribute on the after side.
    fn is(&self, attribute: &str) -> String {
        format!("services.{}.{attribute}", self.after.service)
    }
}

fn no_documents(_: &View<'_>, _: &View<'_>, _: &mut Vec<Finding>) {}

fn no_parties(_: &Pair<'_>, _: &mut Vec<Finding>) {}

static ASPECTS: [Aspect; 10] = [
    Aspect { rules: meta::RULES, documents: meta::documents, parties: no_parties },
    Aspect { rules: mounts::RULES, documents: mounts::documents, parties: mounts::parties },
    Aspect { rules: ports::RULES, documents: no_documents, parties: ports::parties },
    Aspect { rules: environment::RULES, documents: no_documents, parties: environment::parties },
    Aspect { rules: process::RULES, documents: no_documents, parties: process::parties },
    Aspect { rules: network::RULES, documents: network::documents, parties: network::parties },
    Aspect { rules: privilege::RULES, documents: no_documents, parties: privilege::parties },
    Aspect { rules: &[], documents: no_documents, parties: settings::parties },
    Aspect { rules: lifecycle::RULES, documents: no_documents, parties: lifecycle::parties },
    Aspect { rules: image::RULES, documents: no_documents, parties: image::parties },
];

/// Every rule, by aspect.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    ASPECTS.iter().flat_map(|aspect| aspect.rules.iter().copied())
}

/// Compares two views: what is lost, gained or changed, beyond what the views absorbed.
#[must_use]
pub fn compare(before: &View<'_>, after: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for aspect in &ASPECTS {
        (aspect.documents)(before, after, &mut findings);
    }
    for (name, party) in &before.parties {
        if let Some(after_party) = after.parties.get(name) {
            let pair = Pair { name, before: party, after: after_party, views: (before, after) };
            for aspect in &ASPECTS {
                (aspect.parties)(&pair, &mut findings);
            }
        }
    }
    findings
}
