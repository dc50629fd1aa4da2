//! Where in a plan's text the thing stands that a finding is about.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The nodes of one plan, for look-ups by principal and subject.
#[derive(Debug)]
pub struct Index<'a> {
    text: &'a str,
    nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
struct Node<'a> {
    pointer: String,
    depth: usize,
    key: Option<Cow<'a, str>>,
    value: Option<String>,
    offset: usize,
}

impl<'a> Index<'a> {
    /// Walks a plan; of a text that is not JSON, what can be read of it.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let mut index = Self { text, nodes: Vec::new() };
        if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
            index.walk(raw, "", 0, None);
        }
        index
    }

    fn walk(&mut self, raw: &'a RawValue, pointer: &str, depth: usize, key: Option<Cow<'a, str>>) {
        let json = raw.get();
        let offset = (json.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let value = json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten();
        self.nodes.push(Node { pointer: pointer.to_owned(), depth, key, value, offset });
        if json.starts_with('{') {
            let children: BTreeMap<Key<'a>, &'a RawValue> = serde_json::from_str(json).unwrap_or_default();
            for (Key(name), child) in children {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                self.walk(child, &format!("{pointer}/{escaped}"), depth + 1, Some(name));
            }
        } else if json.starts_with('[') {
            let children: Vec<&'a RawValue> = serde_json::from_str(json).unwrap_or_default();
            for (number, child) in children.into_iter().enumerate() {
                self.walk(child, &format!("{pointer}/{number}"), depth + 1, None);
            }
        }
    }

    /// The deepest node of the principal's block whose key or string value is `subject`, else the block itself,
    /// else the plan; as JSON pointer and line from 1.
    #[must_use]
    pub fn find(&self, principal: &str, subject: &str) -> (String, usize) {
        let block = self.nodes.iter().find(|node| node.depth == 1 && node.key.as_deref() == Some(principal));
        let Some(block) = block else { return (String::new(), 1) };
        let within = format!("{}/", block.pointer);
        let mut found = block;
        for node in self.nodes.iter().filter(|node| node.pointer.starts_with(&within)) {
            let named = node.key.as_deref() == Some(subject) || node.value.as_deref() == Some(subject);
            if named && node.depth > found.depth {
                found = node;
            }
        }
        let line = self.text.get(..found.offset).unwrap_or_default().matches('\n').count() + 1;
        (found.pointer.clone(), line)
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
