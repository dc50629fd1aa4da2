//! Kinds of facts: each file says what its facts are and how much a difference weighs.

mod change;
mod compare;
pub(crate) mod contents;
pub(crate) mod environment;
pub(crate) mod image;
pub(crate) mod lifecycle;
pub(crate) mod meta;
pub(crate) mod mounts;
pub(crate) mod network;
mod pair;
pub(crate) mod ports;
pub(crate) mod privilege;
pub(crate) mod process;
mod settings;

pub(crate) use contents::unread as unread_images;
pub use meta::nondeterministic;

use crate::finding::Finding;
use crate::view::View;
use pair::Pair;

/// An aspect: its part of the comparison.
struct Aspect {
    documents: fn(&View<'_>, &View<'_>, &mut Vec<Finding>),
    principals: fn(&Pair<'_>, &mut Vec<Finding>),
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
