//! Small maps and sets as sorted vectors. They exist for speed: a comparison builds and drops many of them. The rows
//! `diff --format …, of 100 plans, then of 10,000` of `benches/whole_process.py` measure it.

use std::borrow::Borrow;
use std::fmt;

/// A map in the order of its keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Map<K, V> {
    /// A map of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything, key by key.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Everything, with values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Values, by their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Leaves out what does not pass.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> Map<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(held, _)| held.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether a key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Everything from a key on.
    pub fn since<Q: Ord + ?Sized>(&self, key: &Q) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (Ok(start) | Err(start)) = self.find(key);
        self.0[start..].iter().map(|(key, value)| (key, value))
    }

    /// Sets the value of a key, and gives the one that it had. Later items move: collect many at once.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, which gets the default if it has none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, V::default()));
            at
        });
        &mut self.0[at].1
    }

    /// Takes a key out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    /// Of two values of one key the later one stays.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.0.extend(entries);
        if !self.0.is_sorted_by(|one, next| one.0 < next.0) {
            self.0.sort_by(|one, other| one.0.cmp(&other.0));
            self.0.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
    }
}

impl<'m, K, V> IntoIterator for &'m Map<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = std::iter::Map<std::slice::Iter<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A set in order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set<T>(Vec<T>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Set<T> {
    /// A set of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Ord> Set<T> {
    fn find<Q: Ord + ?Sized>(&self, thing: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|held| held.borrow().cmp(thing))
    }

    /// Whether a thing is in it.
    pub fn contains<Q: Ord + ?Sized>(&self, thing: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(thing).is_ok()
    }

    /// Puts a thing in; whether it was not there. Later items move: collect many at once.
    pub fn insert(&mut self, thing: T) -> bool {
        let place = self.find(&thing);
        if let Err(at) = place {
            self.0.insert(at, thing);
        }
        place.is_err()
    }

    /// Takes a thing out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, thing: &Q)
    where
        T: Borrow<Q>,
    {
        if let Ok(at) = self.find(thing) {
            self.0.remove(at);
        }
    }

    /// What is not in another set.
    pub fn difference<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s T> {
        let mut theirs = other.0.iter().peekable();
        self.0.iter().filter(move |thing| {
            while theirs.next_if(|their| their < thing).is_some() {}
            theirs.peek() != Some(thing)
        })
    }

    /// What is in one of two sets alone.
    pub fn symmetric_difference<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s T> {
        let mut alone: Vec<&T> = self.difference(other).chain(other.difference(self)).collect();
        alone.sort_unstable();
        alone.into_iter()
    }

    /// Whether all of it is in another set.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).next().is_none()
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(things: I) -> Self {
        let mut set = Self::new();
        set.extend(things);
        set
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, things: I) {
        self.0.extend(things);
        if !self.0.is_sorted_by(|one, next| one < next) {
            self.0.sort_unstable();
            self.0.dedup();
        }
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Set<T> {
    fn from(things: [T; N]) -> Self {
        things.into_iter().collect()
    }
}

impl<'s, T> IntoIterator for &'s Set<T> {
    type Item = &'s T;
    type IntoIter = std::slice::Iter<'s, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Lists of up to four of three things, in every order.
    fn lists() -> impl Iterator<Item = Vec<(u8, usize)>> {
        (0..4_u32.pow(4)).map(|number| {
            let digits = (0..4).map(|at| u8::try_from(number / 4_u32.pow(at) % 4).unwrap());
            digits.enumerate().filter(|(_, digit)| *digit > 0).map(|(at, digit)| (digit, at)).collect()
        })
    }

    #[test]
    fn a_map_is_as_the_standard_one() {
        for list in lists() {
            let map: Map<u8, usize> = list.iter().copied().collect();
            let known: BTreeMap<u8, usize> = list.iter().copied().collect();
            assert!(map.iter().eq(&known), "{list:?}");
            assert_eq!(format!("{map:?}"), format!("{known:?}"));
            let (mut map, mut known) = (Map::new(), known);
            map.extend(list.iter().copied());
            for key in 0..5 {
                assert_eq!(
                    (map.get(&key), map.contains_key(&key)),
                    (known.get(&key), known.contains_key(&key))
                );
                assert!(map.since(&key).eq(known.range(key..)), "{list:?} {key}");
                *map.or_default(key) += 1;
                *known.entry(key).or_default() += 1;
                assert!(map.iter().eq(&known), "{list:?} {key}");
            }
            map.retain(|key, _| key % 2 == 0);
            known.retain(|key, _| key % 2 == 0);
            assert_eq!((map.insert(2, 9), map.remove(&4)), (known.insert(2, 9), known.remove(&4)));
            assert!(map.iter().eq(&known), "{list:?}");
        }
    }

    #[test]
    fn a_set_is_as_the_standard_one() {
        let lists: Vec<Vec<u8>> =
            lists().map(|list| list.into_iter().map(|(digit, _)| digit).collect()).collect();
        for list in &lists {
            let set: Set<u8> = list.iter().copied().collect();
            let known: BTreeSet<u8> = list.iter().copied().collect();
            assert!(set.iter().eq(&known), "{list:?}");
            for other in &lists {
                let (theirs, known_theirs) =
                    (other.iter().copied().collect(), other.iter().copied().collect());
                assert!(set.difference(&theirs).eq(known.difference(&known_theirs)), "{list:?} {other:?}");
                let alone = set.symmetric_difference(&theirs);
                assert!(alone.eq(known.symmetric_difference(&known_theirs)), "{list:?} {other:?}");
                assert_eq!(set.is_subset(&theirs), known.is_subset(&known_theirs), "{list:?} {other:?}");
            }
            let (mut set, mut known) = (Set::new(), known);
            set.extend(list.iter().copied());
            assert_eq!((set.insert(2), set.len()), (known.insert(2), known.len()));
            set.remove(&3);
            known.remove(&3);
            assert!(set.iter().eq(&known), "{list:?}");
        }
    }
}
