//! Finds the node of a plan that a finding is about.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The nodes of one plan, for look-ups by principal and subject.
#[derive(Debug)]
pub(super) struct Index<'a> {
    text: &'a str,
    /// Offsets of line feeds.
    lines: Vec<usize>,
    /// Each before what lies below it.
    nodes: Vec<Node<'a>>,
    /// Blocks by their key, as names of the root; and by key and string value what lies in a block, the deepest and
    /// of those the first.
    names: BTreeMap<(usize, Cow<'a, str>), usize>,
}

#[derive(Debug)]
struct Node<'a> {
    parent: usize,
    step: Step<'a>,
    depth: usize,
    json: &'a str,
}

#[derive(Debug)]
enum Step<'a> {
    Root,
    Key(Cow<'a, str>),
    Item(usize),
}

const ROOT: usize = 0;

/// The value of a string.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(inner.into()) }
}

impl<'a> Index<'a> {
    /// Walks a plan; of a text that is not JSON, what can be read of it.
    #[must_use]
    pub(super) fn of(text: &'a str) -> Self {
        let lines = text.match_indices('\n').map(|(at, _)| at).collect();
        let mut index = Self { text, lines, nodes: Vec::new(), names: BTreeMap::new() };
        if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
            index.walk(raw.get(), ROOT, ROOT, Step::Root, 0);
        }
        index
    }

    fn walk(&mut self, json: &'a str, block: usize, parent: usize, step: Step<'a>, depth: usize) {
        let at = self.nodes.len();
        if let Step::Key(key) = &step {
            self.name(block, key.clone(), at, depth);
        }
        if depth > 1
            && let Some(value) = string(json)
        {
            self.name(block, value, at, depth);
        }
        self.nodes.push(Node { parent, step, depth, json });
        let block = if depth == 1 { at } else { block };
        if json.starts_with('{') {
            let children: BTreeMap<Key<'a>, &'a RawValue> = serde_json::from_str(json).unwrap_or_default();
            for (Key(name), child) in children {
                self.walk(child.get(), block, at, Step::Key(name), depth + 1);
            }
        } else if json.starts_with('[') {
            let children: Vec<&'a RawValue> = serde_json::from_str(json).unwrap_or_default();
            for (number, child) in children.into_iter().enumerate() {
                self.walk(child.get(), block, at, Step::Item(number), depth + 1);
            }
        }
    }

    fn name(&mut self, block: usize, name: Cow<'a, str>, at: usize, depth: usize) {
        let held = self.names.entry((block, name)).or_insert(at);
        if self.nodes.get(*held).is_some_and(|held| held.depth < depth) {
            *held = at;
        }
    }

    /// The deepest node of the principal's block whose key or string value is `subject`, else the block itself,
    /// else the plan; as JSON pointer and line from 1.
    #[must_use]
    pub(super) fn find(&self, principal: &str, subject: &str) -> (String, usize) {
        let Some(block) = self.named(ROOT, principal) else { return (String::new(), 1) };
        let found = self.named(block, subject).unwrap_or(block);
        (self.pointer(found), self.place(found).0)
    }

    /// The first of these subjects of principals that the plan has, else the block of the first of them; as JSON path,
    /// `egress.tokens[0]`, and as line and column from 1.
    #[must_use]
    pub(super) fn first_of(&self, subjects: &[(&str, &str)]) -> Option<(String, (usize, usize))> {
        let block = |principal: &str| self.named(ROOT, principal);
        let mut named =
            subjects.iter().filter_map(|(principal, subject)| self.named(block(principal)?, subject));
        let found = named.next().or_else(|| block(subjects.first()?.0))?;
        Some((self.path(found), self.place(found)))
    }

    fn named(&self, block: usize, name: &str) -> Option<usize> {
        self.names.get(&(block, Cow::Borrowed(name))).copied()
    }

    /// Line and column of a node.
    fn place(&self, node: usize) -> (usize, usize) {
        let json = self.nodes[node].json;
        let offset = (json.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let line = self.lines.partition_point(|line| *line < offset);
        let start = line.checked_sub(1).map_or(0, |last| self.lines[last] + 1);
        (line + 1, self.text[start..offset].chars().count() + 1)
    }

    /// The steps that lead to a node.
    fn steps(&self, mut at: usize) -> Vec<&Step<'a>> {
        let mut steps = Vec::new();
        while at != ROOT {
            steps.push(&self.nodes[at].step);
            at = self.nodes[at].parent;
        }
        steps.reverse();
        steps
    }

    /// The steps as a JSON pointer (RFC 6901).
    fn pointer(&self, at: usize) -> String {
        let mut out = String::new();
        for step in self.steps(at) {
            match step {
                Step::Root => {}
                Step::Key(key) => out.extend(["/", &key.replace('~', "~0").replace('/', "~1")]),
                Step::Item(number) => out.extend(["/", &number.to_string()]),
            }
        }
        out
    }

    /// The steps as the messages about a plan write them, `egress.tokens[0]`.
    fn path(&self, at: usize) -> String {
        let mut out = String::new();
        for step in self.steps(at) {
            match step {
                Step::Root => {}
                Step::Key(key) => out.extend([if out.is_empty() { "" } else { "." }, key]),
                Step::Item(number) => out.extend(["[", &number.to_string(), "]"]),
            }
        }
        out
    }
}

/// An object's key: borrowed from the text where it holds no escape.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{
  "slug": "a",
  "agent": { "environment": { "X": "1" } },
  "egress": {
    "environment": {
      "X": "2",
      "quoted\"key": "/etc/x"
    },
    "tokens": ["EGRESS_TOKEN_0"],
    "volumes": [
      { "target": "/data/~a",
        "source": "/data/~a" }
    ]
  }
}"#;

    fn check(principal: &str, subject: &str, pointer: &str, line: usize) {
        assert_eq!(
            Index::of(PLAN).find(principal, subject),
            (pointer.to_owned(), line),
            "{principal} {subject}"
        );
    }

    #[test]
    fn a_subject_is_looked_up_in_its_principals_block_only() {
        check("agent", "X", "/agent/environment/X", 3);
        check("egress", "X", "/egress/environment/X", 6);
        check("egress", "quoted\"key", "/egress/environment/quoted\"key", 7);
        check("egress", "/etc/x", "/egress/environment/quoted\"key", 7);
        check("egress", "EGRESS_TOKEN_0", "/egress/tokens/0", 9);
        check("egress", "/data/~a", "/egress/volumes/0/source", 12);
    }

    #[test]
    fn of_several_places_the_first_that_there_is_counts() {
        let index = Index::of(PLAN);
        let found = |subjects: &[(&str, &str)]| index.first_of(subjects);
        assert_eq!(
            found(&[("agent", "Y"), ("egress", "/data/~a")]),
            Some(("egress.volumes[0].source".to_owned(), (12, 19)))
        );
        assert_eq!(
            found(&[("git-gate", "Y"), ("agent", "X")]),
            Some(("agent.environment.X".to_owned(), (3, 36)))
        );
        assert_eq!(found(&[("egress", "nothing")]), Some(("egress".to_owned(), (4, 13))));
        assert_eq!(found(&[("git-gate", "X")]), None);
    }

    #[test]
    fn the_block_or_the_plan_stands_in_for_what_is_not_found() {
        check("egress", "nothing", "/egress", 4);
        check("git-gate", "X", "", 1);
        check("", "X", "", 1);
        assert_eq!(Index::of("{").find("agent", "X"), (String::new(), 1));
    }

    #[test]
    fn keys_are_escaped() {
        let plan = r#"{"agent": {"a/b~c": 1}}"#;
        assert_eq!(Index::of(plan).find("agent", "a/b~c").0, "/agent/a~1b~0c");
    }
}
