//! Where in a plan's text the thing stands that a finding is about.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The nodes of one plan, for look-ups by principal and subject.
#[derive(Debug)]
pub struct Index<'a> {
    text: &'a str,
    /// Each before what lies below it.
    nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
struct Node<'a> {
    parent: usize,
    step: Step<'a>,
    depth: usize,
    /// The first node that does not lie below.
    end: usize,
    json: &'a str,
}

#[derive(Debug)]
enum Step<'a> {
    Root,
    Key(Cow<'a, str>),
    Item(usize),
}

impl Node<'_> {
    fn has_key(&self, name: &str) -> bool {
        matches!(&self.step, Step::Key(key) if key == name)
    }

    fn has_text(&self, text: &str) -> bool {
        match self.json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if inner.contains('\\') => {
                serde_json::from_str::<String>(self.json).is_ok_and(|value| value == text)
            }
            inner => inner == Some(text),
        }
    }
}

impl<'a> Index<'a> {
    /// Walks a plan; of a text that is not JSON, what can be read of it.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let mut index = Self { text, nodes: Vec::new() };
        if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
            index.walk(raw.get(), 0, Step::Root, 0);
        }
        index
    }

    fn walk(&mut self, json: &'a str, parent: usize, step: Step<'a>, depth: usize) {
        let at = self.nodes.len();
        self.nodes.push(Node { parent, step, depth, end: at, json });
        if json.starts_with('{') {
            let children: BTreeMap<Key<'a>, &'a RawValue> = serde_json::from_str(json).unwrap_or_default();
            for (Key(name), child) in children {
                self.walk(child.get(), at, Step::Key(name), depth + 1);
            }
        } else if json.starts_with('[') {
            let children: Vec<&'a RawValue> = serde_json::from_str(json).unwrap_or_default();
            for (number, child) in children.into_iter().enumerate() {
                self.walk(child.get(), at, Step::Item(number), depth + 1);
            }
        }
        self.nodes[at].end = self.nodes.len();
    }

    /// The deepest node of the principal's block whose key or string value is `subject`, else the block itself,
    /// else the plan; as JSON pointer and line from 1.
    #[must_use]
    pub fn find(&self, principal: &str, subject: &str) -> (String, usize) {
        let block = self.nodes.iter().position(|node| node.depth == 1 && node.has_key(principal));
        let Some(block) = block else { return (String::new(), 1) };
        let mut found = block;
        for at in block + 1..self.nodes[block].end {
            let node = &self.nodes[at];
            if node.depth > self.nodes[found].depth && (node.has_key(subject) || node.has_text(subject)) {
                found = at;
            }
        }
        let json = self.nodes[found].json;
        let offset = (json.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let mut pointer = String::new();
        self.write(found, &mut pointer);
        (pointer, before.split(|byte| *byte == b'\n').count())
    }

    fn write(&self, at: usize, pointer: &mut String) {
        let node = &self.nodes[at];
        let step = match &node.step {
            Step::Root => return,
            Step::Key(key) => key.replace('~', "~0").replace('/', "~1"),
            Step::Item(number) => number.to_string(),
        };
        self.write(node.parent, pointer);
        pointer.push('/');
        pointer.push_str(&step);
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
