//! An attribute that differs between two documents, and the findings that can be made of it.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Setting;

use super::pair::Pair;
use crate::finding::{Finding, Rule, Shown};

/// An attribute that differs.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) pair: &'a Pair<'a>,
    pub(super) name: &'a str,
    pub(super) was: Option<&'a Setting>,
    pub(super) is: Option<&'a Setting>,
}

static NOTHING: BTreeMap<String, String> = BTreeMap::new();

impl Change<'_> {
    /// A finding about the attribute as a whole.
    pub(super) fn whole(&self, rule: &'static Rule) -> Finding {
        // Values that look the same are compared by their structure.
        let text = |value: &Setting| value.to_string();
        let alike = self.was.map(text) == self.is.map(text);
        let text = |value: &Setting| if alike { format!("{value:?}") } else { value.to_string() };
        let shown =
            |value: Option<&Setting>, place: String| value.map(|value| Shown::plain(text(value), place));
        let what = match (self.was, self.is) {
            (Some(_), None) => "is gone",
            (None, _) => "is new",
            _ => "differs",
        };
        Finding {
            before: shown(self.was, self.pair.was(self.name)),
            after: shown(self.is, self.pair.is(self.name)),
            ..Finding::gained(rule, self.pair.name, self.name, Shown::plain("", ""))
                .because(format!("{} {what}", self.name))
        }
    }

    /// A finding by one rule if the bundle has the attribute, by another if it does not.
    pub(super) fn by_presence(&self, present: &'static Rule, gone: &'static Rule) -> Finding {
        self.whole(if self.is.is_some() { present } else { gone })
    }

    /// A finding for each item of a set that is gone or new.
    pub(super) fn items(&self, lost: &'static Rule, gained: &'static Rule, findings: &mut Vec<Finding>) {
        let (was, is) = (set(self.was), set(self.is));
        findings.extend(was.difference(&is).map(|item| self.lost(lost, item)));
        findings.extend(is.difference(&was).map(|item| self.gained(gained, item)));
    }

    /// A finding about an item that is gone.
    pub(super) fn lost(&self, rule: &'static Rule, item: &str) -> Finding {
        Finding::lost(rule, self.pair.name, item, Shown::plain(item, self.pair.was(self.name)))
            .because(format!("{} lost {item}", self.name))
    }

    /// A finding about an item that is new.
    pub(super) fn gained(&self, rule: &'static Rule, item: &str) -> Finding {
        Finding::gained(rule, self.pair.name, item, Shown::plain(item, self.pair.is(self.name)))
            .because(format!("{} gained {item}", self.name))
    }
}

/// A side of an attribute as a set.
pub(super) fn set(side: Option<&Setting>) -> BTreeSet<String> {
    match side {
        Some(Setting::Set(items)) => items.clone(),
        Some(Setting::List(items)) => items.iter().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

/// A side of an attribute as a map.
pub(super) fn map(side: Option<&Setting>) -> &BTreeMap<String, String> {
    match side {
        Some(Setting::Map(map)) => map,
        _ => &NOTHING,
    }
}
