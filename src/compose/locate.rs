//! From a place in a document to its line in the text.

use super::read::Marks;
use super::tree::{Mark, Tree, Value};

/// Where everything stands that was read from files.
#[derive(Clone, Debug)]
pub struct Sources {
    files: Vec<String>,
    tree: Tree,
    marks: Marks,
}

impl Sources {
    pub(super) fn new(files: Vec<String>, tree: Tree, marks: Marks) -> Self {
        Self { files, tree, marks }
    }

    /// File and 1-based line of a dotted place; the nearest enclosing line where the last steps have none.
    #[must_use]
    pub fn locate(&self, place: &str) -> Option<(&str, usize)> {
        let mark = self.listed(place).or_else(|| descend(&self.tree, place))?;
        let (line, _) = mark.at()?;
        Some((self.files.get(usize::from(mark.file))?, line))
    }

    /// Mounts and ports by their number in the canonical document.
    fn listed(&self, place: &str) -> Option<Mark> {
        let place = place.strip_prefix("services.")?;
        let (service, [mounts, ports]) = prefixes(place).find_map(|name| self.marks.get_key_value(name))?;
        let (attribute, number) = place[service.len()..].strip_prefix('.')?.split_once('.')?;
        let number: usize = number.split('.').next()?.parse().ok()?;
        match attribute {
            "volumes" => mounts.get(number).copied(),
            "ports" => ports.get(number).copied(),
            _ => None,
        }
    }
}

/// The keys that a dotted place may begin with, the longest first, since keys may hold dots themselves.
fn prefixes(place: &str) -> impl Iterator<Item = &str> {
    let dots = place.match_indices('.').map(|(at, _)| at);
    let ends: Vec<usize> = dots.chain([place.len()]).take(MOST_DOTS).collect();
    ends.into_iter().rev().map(|end| &place[..end])
}

/// A key has fewer dots than this.
const MOST_DOTS: usize = 64;

/// The deepest node on the way to a place.
fn descend(tree: &Tree, place: &str) -> Option<Mark> {
    let mut found = None;
    let (mut tree, mut rest) = (tree, place);
    while !rest.is_empty() {
        let step = match &tree.value {
            Value::Map(map) => prefixes(rest).find_map(|key| Some((map.get(key)?, key.len()))),
            Value::List(items) => {
                let index = rest.split('.').next().unwrap_or_default();
                index.parse().ok().and_then(|at: usize| items.get(at)).map(|child| (child, index.len()))
            }
            _ => None,
        };
        let Some((child, length)) = step else { break };
        found = Some(child.mark);
        tree = child;
        rest = rest[length..].trim_start_matches('.');
    }
    found
}
