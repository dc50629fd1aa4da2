//! The comparison, written once: an outer join of keyed facts.

use std::collections::BTreeMap;

/// A fact that differs.
pub(super) enum Difference<'a, K, V> {
    /// It stood before and does not now: law 1.
    Lost(&'a K, &'a V),
    /// It did not stand before: law 2.
    Gained(&'a K, &'a V),
    /// It stands on both sides with other values.
    Changed(&'a K, &'a V, &'a V),
}

/// What differs between two sets of facts, given when two values are the same.
pub(super) fn differences<'a, K: Ord, V>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> Vec<Difference<'a, K, V>> {
    let mut differences = Vec::new();
    for (key, value) in before {
        match after.get(key) {
            None => differences.push(Difference::Lost(key, value)),
            Some(other) if !same(value, other) => differences.push(Difference::Changed(key, value, other)),
            Some(_) => {}
        }
    }
    for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(key)) {
        differences.push(Difference::Gained(key, value));
    }
    differences
}

/// Declares rules as data, and the list of them.
macro_rules! rules {
    ($($name:ident = $id:literal $law:ident $severity:ident $summary:literal $doc:literal;)*) => {
        $(
            pub(super) static $name: crate::finding::Rule = crate::finding::Rule {
                id: $id,
                law: crate::finding::Law::$law,
                severity: crate::finding::Severity::$severity,
                summary: $summary,
                doc: $doc,
            };
        )*
        pub(super) const RULES: &[&crate::finding::Rule] = &[$(&$name),*];
    };
}
pub(super) use rules;
