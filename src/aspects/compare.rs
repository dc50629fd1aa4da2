//! The comparison, written once: an outer join of keyed facts.

/// A fact that differs.
pub(super) enum Difference<K, V> {
    /// Only the first side has it: law 1.
    Lost(K, V),
    /// Only the second side has it: law 2.
    Gained(K, V),
    /// Both sides have it, with different values.
    Changed(K, V, V),
}

/// What differs between two sets of facts, both in the order of their keys, given when two values are the same; what is
/// gained comes last.
pub(super) fn differences<K: Ord, V: Copy>(
    before: impl IntoIterator<Item = (K, V)>,
    after: impl IntoIterator<Item = (K, V)>,
    same: impl Fn(V, V) -> bool,
) -> Vec<Difference<K, V>> {
    let (mut differences, mut gained) = (Vec::new(), Vec::new());
    let mut after = after.into_iter().peekable();
    for (key, value) in before {
        while let Some((new, value)) = after.next_if(|(other, _)| *other < key) {
            gained.push(Difference::Gained(new, value));
        }
        match after.next_if(|(other, _)| *other == key) {
            None => differences.push(Difference::Lost(key, value)),
            Some((_, other)) if !same(value, other) => {
                differences.push(Difference::Changed(key, value, other));
            }
            Some(_) => {}
        }
    }
    differences.extend(gained);
    differences.extend(after.map(|(key, value)| Difference::Gained(key, value)));
    differences
}
