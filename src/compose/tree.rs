//! A YAML tree that knows where each of its nodes stands, and a cursor that knows the way to one.

use indexmap::IndexMap;

use super::scalar::Number;

/// A mapping in the order of the document.
pub(super) type Map = IndexMap<String, Tree>;

/// A node of a document.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) value: Value,
    pub(super) mark: Mark,
    pub(super) tag: Tag,
    /// Whether Compose has this map as a list by now, whose entries nothing can reset by name.
    pub(super) listed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    /// A variable without a value that a list names; Compose looks it up once a project or an included one is merged.
    Bare,
    Bool(bool),
    Number(Number),
    Text(String),
    /// A plain scalar that YAML takes for a point in time, and Compose for nothing that it knows.
    Time(String),
    List(Vec<Tree>),
    Map(Box<Map>),
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Number of the file.
    pub(super) file: u16,
    /// 1-based; 0: unknown.
    pub(super) column: u16,
    /// 1-based; 0: unknown.
    pub(super) line: u32,
}

impl Mark {
    pub(super) fn new(file: u16, line: usize, column: usize) -> Self {
        Self {
            file,
            column: u16::try_from(column).unwrap_or(u16::MAX),
            line: u32::try_from(line).unwrap_or(u32::MAX),
        }
    }

    /// Line and column, where they are known.
    pub(super) fn at(self) -> Option<(usize, usize)> {
        let line = usize::try_from(self.line).ok().filter(|line| *line > 0)?;
        Some((line, usize::from(self.column.max(1))))
    }
}

/// What an override file does to the node that it overrides, beyond merging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tag {
    #[default]
    None,
    /// `!reset`: takes it away.
    Reset,
    /// `!override`: takes its place.
    Override,
}

/// What is wrong, and where.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) mark: Mark,
    /// Dotted; empty: the document.
    pub(super) place: String,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn at(mark: Mark, message: impl Into<String>) -> Self {
        Self { mark, place: String::new(), message: message.into() }
    }
}

/// Two nodes are equal if they say the same, wherever they stand.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Tree {
    pub(super) fn new(value: Value, mark: Mark) -> Self {
        Self { value, mark, tag: Tag::None, listed: false }
    }

    pub(super) fn text(text: impl Into<String>, mark: Mark) -> Self {
        Self::new(Value::Text(text.into()), mark)
    }

    pub(super) fn map(entries: impl IntoIterator<Item = (String, Self)>, mark: Mark) -> Self {
        Self::new(Value::Map(Box::new(entries.into_iter().collect())), mark)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(map) => map.get(key),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(map) => map.get_mut(key),
            _ => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null | Value::Bare)
    }

    /// A tree of a value that has no text, and so no lines.
    pub(super) fn from_value(value: &serde_yaml::Value) -> Result<Self, Failure> {
        use serde_yaml::Value as Yaml;
        let mark = Mark::default();
        let value = match value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => Value::Bool(*value),
            Yaml::Number(number) => Value::Number(match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Number::Whole(number),
                (None, Some(number)) => Number::Large(number),
                (None, None) => Number::Decimal(number.as_f64().unwrap_or(f64::NAN)),
            }),
            Yaml::String(text) => Value::Text(text.clone()),
            Yaml::Sequence(items) => {
                Value::List(items.iter().map(Self::from_value).collect::<Result<_, _>>()?)
            }
            Yaml::Mapping(map) => {
                let entries = map.iter().map(|(key, value)| match key {
                    Yaml::String(key) => Ok((key.clone(), Self::from_value(value)?)),
                    _ => Err(Failure::at(mark, "a key is not a string")),
                });
                Value::Map(Box::new(entries.collect::<Result<_, _>>()?))
            }
            Yaml::Tagged(_) => return Err(Failure::at(mark, "a value has a tag")),
        };
        Ok(Self::new(value, mark))
    }

    /// Nodes in this tree, itself included, and bytes of their texts.
    pub(super) fn weight(&self) -> (usize, usize) {
        let sum = |total: (usize, usize), part: (usize, usize)| (total.0 + part.0, total.1 + part.1);
        match &self.value {
            Value::Text(text) | Value::Time(text) => (1, text.len()),
            Value::List(items) => items.iter().map(Self::weight).fold((1, 0), sum),
            Value::Map(map) => {
                map.iter().map(|(key, tree)| sum(tree.weight(), (0, key.len()))).fold((1, 0), sum)
            }
            _ => (1, 0),
        }
    }
}

/// The way from one node to the next.
#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// A node, and how it was reached.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) tree: &'a Tree,
    step: Step<'a>,
    parent: Option<&'a Node<'a>>,
}

impl<'a> Node<'a> {
    pub(super) fn root(tree: &'a Tree) -> Self {
        Self { tree, step: Step::Root, parent: None }
    }

    /// Dotted path from the root.
    pub(super) fn place(&self) -> String {
        let mut place = self.parent.map_or_else(String::new, Self::place);
        let step = match self.step {
            Step::Root => return place,
            Step::Key(key) => key.to_owned(),
            Step::Index(at) => at.to_string(),
        };
        if !place.is_empty() {
            place.push('.');
        }
        place + &step
    }

    /// Name of the service that the node is part of; empty: none.
    pub(super) fn service(&self) -> String {
        let mut node = *self;
        let mut name = "";
        while let Some(parent) = node.parent {
            if let (Step::Key("services"), None) = (parent.step, parent.parent.and_then(|root| root.parent))
                && let Step::Key(key) = node.step
            {
                name = key;
            }
            node = *parent;
        }
        name.to_owned()
    }

    pub(super) fn fail(&self, message: impl Into<String>) -> Failure {
        Failure { mark: self.tree.mark, place: self.place(), message: message.into() }
    }

    pub(super) fn is_null(&self) -> bool {
        self.tree.is_null()
    }

    pub(super) fn key<'s>(&'s self, key: &'s str, tree: &'s Tree) -> Node<'s> {
        Node { tree, step: Step::Key(key), parent: Some(self) }
    }

    pub(super) fn get<'s>(&'s self, key: &'s str) -> Option<Node<'s>> {
        self.tree.get(key).map(|tree| self.key(key, tree))
    }

    /// Entries of a map; null is an empty one.
    pub(super) fn entries(&self) -> Result<impl Iterator<Item = (&str, Node<'_>)>, Failure> {
        let map = match &self.tree.value {
            Value::Null => None,
            Value::Map(map) => Some(map),
            _ => return Err(self.fail("has to be a map")),
        };
        Ok(map.into_iter().flat_map(|map| map.iter()).map(|(key, tree)| (key.as_str(), self.key(key, tree))))
    }

    /// Entries that are no extensions.
    pub(super) fn plain(&self) -> Result<impl Iterator<Item = (&str, Node<'_>)>, Failure> {
        Ok(self.entries()?.filter(|(key, _)| !key.starts_with("x-")))
    }

    /// Items of a list; null is an empty one.
    pub(super) fn items(&self) -> Result<impl Iterator<Item = Node<'_>>, Failure> {
        let items = match &self.tree.value {
            Value::Null => [].as_slice(),
            Value::List(items) => items.as_slice(),
            _ => return Err(self.fail("has to be a list")),
        };
        Ok(items.iter().enumerate().map(|(at, tree)| Node {
            tree,
            step: Step::Index(at),
            parent: Some(self),
        }))
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&'a str, Failure> {
        match &self.tree.value {
            Value::Text(text) => Ok(text),
            Value::Number(_) | Value::Bool(_) | Value::Time(_) => {
                Err(self.fail("has to be a string: put it in quotes"))
            }
            _ => Err(self.fail("has to be a string")),
        }
    }

    /// A scalar as the text that Compose makes of it.
    pub(super) fn scalar(&self) -> Result<String, Failure> {
        match &self.tree.value {
            Value::Text(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Time(_) => Err(self.fail("is a point in time for YAML: put it in quotes")),
            _ => Err(self.fail("has to be a string, a number or a truth value")),
        }
    }

    /// Strings of a list.
    pub(super) fn texts(&self) -> Result<Vec<String>, Failure> {
        self.items()?.map(|item| item.text().map(str::to_owned)).collect()
    }

    /// A truth value, or one of the words that Compose takes for one.
    pub(super) fn boolean(&self) -> Result<bool, Failure> {
        let word = match &self.tree.value {
            Value::Bool(value) => return Ok(*value),
            Value::Text(text) => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "y" | "yes" | "on" => Ok(true),
            "false" | "n" | "no" | "off" => Ok(false),
            _ => Err(self.fail("has to be true or false")),
        }
    }

    /// A whole number, perhaps in quotes.
    pub(super) fn integer(&self) -> Result<i64, Failure> {
        let number = match &self.tree.value {
            Value::Number(number) => number.whole(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.fail("has to be a whole number"))
    }

    /// A decimal number, perhaps in quotes.
    pub(super) fn decimal(&self) -> Result<f64, Failure> {
        let number = match &self.tree.value {
            Value::Number(number) => Some(number.decimal()),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number: &f64| number.is_finite()).ok_or_else(|| self.fail("has to be a number"))
    }
}
