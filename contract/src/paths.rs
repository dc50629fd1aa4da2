//! Values at paths, and look-ups of those above, at and below a path.

use std::iter;

/// Whether `path` is `above` or lies below it.
#[must_use]
pub fn covers(above: &str, path: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || above.ends_with('/'),
        None => false,
    }
}

/// A path and every other that [`covers`] it, the longest first; none but the root ends in a slash.
pub fn upward(path: &str) -> impl Iterator<Item = &str> {
    let folders = (1..path.len()).rev().filter(|at| path.as_bytes()[*at] == b'/').map(|at| &path[..at]);
    let root = path.starts_with('/').then_some("/").filter(|root| *root != path);
    iter::once(path).chain(folders).chain(root)
}

/// Things by path, in the order of the paths; those at one path in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths<'a, T> {
    sorted: Vec<(&'a str, T)>,
    /// Length of the shortest path: there is nothing above it.
    shortest: usize,
}

impl<T> Default for Paths<'_, T> {
    fn default() -> Self {
        Self { sorted: Vec::new(), shortest: 0 }
    }
}

impl<'a, T> FromIterator<(&'a str, T)> for Paths<'a, T> {
    fn from_iter<I: IntoIterator<Item = (&'a str, T)>>(things: I) -> Self {
        let mut things: Vec<(&'a str, T)> = things.into_iter().collect();
        things.sort_by_key(|(path, _)| *path);
        let shortest = things.iter().map(|(path, _)| path.len()).min().unwrap_or_default();
        Self { sorted: things, shortest }
    }
}

impl<'a, T> Paths<'a, T> {
    /// Everything.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.sorted.iter().map(|(_, thing)| thing)
    }

    /// Everything, path by path.
    pub fn by_path(&self) -> impl Iterator<Item = (&'a str, &[(&'a str, T)])> {
        self.sorted.chunk_by(|one, other| one.0 == other.0).map(|group| (group[0].0, group))
    }

    /// The value at a path.
    pub fn at(&self, path: &str) -> impl Iterator<Item = &T> {
        let none = path.len() < self.shortest;
        let start =
            if none { self.sorted.len() } else { self.sorted.partition_point(|(other, _)| *other < path) };
        self.sorted[start..].iter().take_while(move |(other, _)| *other == path).map(|(_, thing)| thing)
    }

    /// Values above a path, the nearest first.
    pub fn above(&self, path: &str) -> impl Iterator<Item = &T> {
        let above = upward(path).skip(1).take_while(|above| above.len() >= self.shortest);
        above.flat_map(|above| self.at(above))
    }

    /// Whether there is a value at a path or above it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let mut covering = upward(path).take_while(|above| above.len() >= self.shortest);
        covering.any(|above| self.at(above).next().is_some())
    }

    /// Values below a path.
    pub fn below(&self, path: &str) -> impl Iterator<Item = &T> {
        let folder = path.strip_suffix('/').unwrap_or(path).as_bytes();
        // How a path compares with whatever begins with the folder and a slash.
        let against = move |other: &str| {
            let (head, rest) = other.as_bytes().split_at(folder.len().min(other.len()));
            (head, rest.first()).cmp(&(folder, Some(&b'/')))
        };
        let start = self.sorted.partition_point(|(other, _)| against(other).is_lt());
        let below = self.sorted[start..].iter().take_while(move |(other, _)| against(other).is_eq());
        below.filter(move |(other, _)| *other != path).map(|(_, thing)| thing)
    }

    /// Whether there is a value at a path, above or below it.
    #[must_use]
    pub fn touch(&self, path: &str) -> bool {
        self.covers(path) || self.below(path).next().is_some()
    }

    /// Values at a path, above and below it.
    pub fn touching(&self, path: &str) -> impl Iterator<Item = &T> {
        self.at(path).chain(self.above(path)).chain(self.below(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 10] = ["/", "/a", "/a-", "/a-/b", "/a/b", "/a/b/c", "/a/bb", "/a0", "/b", "/b/a"];

    #[test]
    fn upward_is_whatever_covers() {
        for path in ALL {
            let mut covering: Vec<&str> = ALL.into_iter().filter(|above| covers(above, path)).collect();
            covering.reverse();
            let found: Vec<&str> = upward(path).filter(|above| ALL.contains(above)).collect();
            assert_eq!(found, covering, "{path}");
        }
        assert_eq!(upward("a/b").collect::<Vec<_>>(), ["a/b", "a"]);
    }

    #[test]
    fn look_ups_find_what_a_search_finds() {
        let twice = ALL.into_iter().chain(ALL).enumerate().map(|(number, path)| (path, (path, number)));
        let paths: Paths<'_, (&str, usize)> = twice.collect();
        let search = |wanted: &dyn Fn(&str) -> bool| {
            paths.iter().copied().filter(|(path, _)| wanted(path)).collect::<Vec<_>>()
        };
        for path in ALL.into_iter().chain(["/c", "/a/b/c/d", "/a/"]) {
            let mut above: Vec<_> = paths.above(path).copied().collect();
            above.sort_unstable();
            assert_eq!(above, search(&|other| covers(other, path) && other != path), "{path}");
            let below: Vec<_> = paths.below(path).copied().collect();
            let folder = path.trim_end_matches('/');
            assert_eq!(
                below,
                search(&|other| covers(folder, other) && other != path && other != folder),
                "{path}"
            );
            assert_eq!(paths.covers(path), !search(&|other| covers(other, path)).is_empty(), "{path}");
            assert_eq!(paths.touch(path), paths.touching(path).next().is_some(), "{path}");
            assert_eq!(paths.at(path).copied().collect::<Vec<_>>(), search(&|other| other == path), "{path}");
        }
        let groups: Vec<_> = paths.by_path().map(|(path, group)| (path, group.len())).collect();
        assert_eq!(groups, ALL.map(|path| (path, 2)));
    }
}
