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
    /// The other principals of its container after.
    neighbours: Vec<Neighbour<'a>>,
}

/// Another principal of a container.
struct Neighbour<'a> {
    name: &'a str,
    before: Option<&'a Party<'a>>,
    after: Option<&'a Party<'a>>,
}

impl<'a> Pair<'a> {
    fn of(
        name: &'a str,
        (before, after): (&'a Party<'a>, &'a Party<'a>),
        views: (&'a View<'a>, &'a View<'a>),
    ) -> Self {
        let neighbours = after.together.iter().filter(|other| **other != name).map(|name| Neighbour {
            name,
            before: views.0.parties.get(name),
            after: views.1.parties.get(name),
        });
        Self { name, before, after, views, neighbours: neighbours.collect() }
    }

    /// Whether another principal of the container had something before.
    fn neighbour_had(&self, had: impl Fn(&Party<'_>) -> bool) -> Option<&'a str> {
        let mut neighbours = self.neighbours.iter();
        neighbours.find(|neighbour| neighbour.before.is_some_and(&had)).map(|neighbour| neighbour.name)
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
            let pair = Pair::of(name, (party, after_party), (before, after));
            for aspect in &ASPECTS {
                (aspect.parties)(&pair, &mut findings);
            }
        }
    }
    findings
}
