//! Kinds of facts: each file says what its facts are and how much a difference weighs.

mod compare;
pub(crate) mod contents;
pub(crate) mod environment;
pub(crate) mod image;
pub(crate) mod lifecycle;
pub(crate) mod meta;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod ports;
pub(crate) mod privilege;
pub(crate) mod process;
mod settings;

pub use meta::nondeterministic;

use crate::finding::Finding;
use crate::view::{Principal, View};

/// An aspect: its part of the comparison.
struct Aspect {
    documents: fn(&View<'_>, &View<'_>, &mut Vec<Finding>),
    principals: fn(&Pair<'_>, &mut Vec<Finding>),
}

/// A principal on both sides.
struct Pair<'a> {
    name: &'a str,
    before: &'a Principal<'a>,
    after: &'a Principal<'a>,
    views: (&'a View<'a>, &'a View<'a>),
    /// The other principals of its container after.
    neighbours: Vec<Neighbour<'a>>,
}

/// Another principal of a container.
struct Neighbour<'a> {
    name: &'a str,
    before: Option<&'a Principal<'a>>,
    after: Option<&'a Principal<'a>>,
}

impl<'a> Pair<'a> {
    fn of(
        name: &'a str,
        (before, after): (&'a Principal<'a>, &'a Principal<'a>),
        views: (&'a View<'a>, &'a View<'a>),
    ) -> Self {
        let neighbours = after.together.iter().filter(|other| **other != name).map(|name| Neighbour {
            name,
            before: views.0.principals.get(name),
            after: views.1.principals.get(name),
        });
        Self { name, before, after, views, neighbours: neighbours.collect() }
    }

    /// Whether it had a container of its own and is merged now.
    fn merged(&self) -> bool {
        self.before.walls.is_none() && self.after.walls.is_some()
    }

    /// Whether another principal of the container had something before.
    fn neighbour_had(&self, had: impl Fn(&Principal<'_>) -> bool) -> Option<&'a str> {
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

fn no_principals(_: &Pair<'_>, _: &mut Vec<Finding>) {}

static ASPECTS: [Aspect; 11] = [
    Aspect { documents: meta::documents, principals: no_principals },
    Aspect { documents: mounts::documents, principals: mounts::principals },
    Aspect { documents: no_documents, principals: ports::principals },
    Aspect { documents: no_documents, principals: environment::principals },
    Aspect { documents: no_documents, principals: process::principals },
    Aspect { documents: network::documents, principals: network::principals },
    Aspect { documents: no_documents, principals: privilege::principals },
    Aspect { documents: no_documents, principals: settings::principals },
    Aspect { documents: no_documents, principals: lifecycle::principals },
    Aspect { documents: no_documents, principals: image::principals },
    Aspect { documents: contents::documents, principals: contents::principals },
];

/// Compares two views: what is lost, gained or changed, beyond what the views absorbed.
#[must_use]
pub fn compare(before: &View<'_>, after: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for aspect in &ASPECTS {
        (aspect.documents)(before, after, &mut findings);
    }
    for (name, principal) in &before.principals {
        if let Some(after_principal) = after.principals.get(name) {
            let pair = Pair::of(name, (principal, after_principal), (before, after));
            for aspect in &ASPECTS {
                (aspect.principals)(&pair, &mut findings);
            }
        }
    }
    findings
}
