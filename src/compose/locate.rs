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

/// 1-based line of a dotted place in a block-style document; the nearest enclosing line where the last steps do
/// not stand on lines of their own.
#[must_use]
pub fn locate(text: &str, place: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut range = 0..lines.len();
    let mut found = None;
    let mut rest = place;
    while !rest.is_empty() {
        let (at, length, end) = step(&lines, range.clone(), rest)?.or_else_found(found)?;
        found = Some(at + 1);
        range = at + 1..end;
        if length == 0 {
            break;
        }
        rest = rest.get(length..).unwrap_or_default().trim_start_matches('.');
    }
    found
}

/// A step that was found (line, length of the step, end of its block), or that has no line of its own.
enum Step {
    Found(usize, usize, usize),
    Inside,
}

impl Step {
    fn or_else_found(self, found: Option<usize>) -> Option<(usize, usize, usize)> {
        match self {
            Self::Found(at, length, end) => Some((at, length, end)),
            Self::Inside => found.map(|line| (line - 1, 0, line)),
        }
    }
}

fn step(lines: &[&str], range: std::ops::Range<usize>, rest: &str) -> Option<Step> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let real = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let Some(level) = lines[range.clone()].iter().find(|line| real(line)).map(|line| indent(line)) else {
        return Some(Step::Inside);
    };
    let end_of = |at: usize, level: usize, item: bool| {
        (at + 1..range.end)
            .find(|next| {
                let line = lines[*next];
                real(&line)
                    && (indent(line) < level
                        || (indent(line) == level && (item || !line.trim_start().starts_with("- "))))
            })
            .unwrap_or(range.end)
    };
    let index: Option<usize> = rest.split('.').next()?.parse().ok();
    let mut items = 0;
    let mut best: Option<(usize, usize)> = None;
    for at in range.clone() {
        let line = lines[at];
        if !real(&line) || indent(line) != level {
            continue;
        }
        let content = line.trim_start();
        if let Some(wanted) = index
            && content.starts_with('-')
        {
            if items == wanted {
                let length = rest.split('.').next()?.len();
                return Some(Step::Found(at, length, end_of(at, level, true)));
            }
            items += 1;
            continue;
        }
        let key = content.split(": ").next()?.trim_end_matches(':').trim_matches(['"', '\'']);
        let fits = rest.strip_prefix(key).is_some_and(|after| after.is_empty() || after.starts_with('.'));
        if fits && best.is_none_or(|(_, length)| key.len() > length) {
            best = Some((at, key.len()));
        }
    }
    Some(best.map_or(Step::Inside, |(at, length)| Step::Found(at, length, end_of(at, level, false))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_of_block_style() {
        let text = "name: x\nservices:\n  a:\n    volumes:\n    - type: bind\n      target: /x\n    - type: tmpfs\n  b.c:\n    environment:\n      A.B: '1'\n";
        for (place, line) in [
            ("name", Some(1)),
            ("services.a", Some(3)),
            ("services.a.volumes.0", Some(5)),
            ("services.a.volumes.1", Some(7)),
            ("services.b.c.environment.A.B", Some(10)),
            ("services.a.absent", Some(3)),
            ("absent", None),
        ] {
            assert_eq!(locate(text, place), line, "{place}");
        }
    }
}
