//! A YAML value that knows where it stands.

use serde_yaml::Value;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Failure {
    /// Dotted.
    pub(super) place: String,
    pub(super) message: String,
}

pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) place: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, place: String::new() }
    }

    pub(super) fn fail(&self, message: impl Into<String>) -> Failure {
        Failure { place: self.place.clone(), message: message.into() }
    }

    pub(super) fn child(&self, value: &'a Value, step: &str) -> Node<'a> {
        let place = if self.place.is_empty() { step.to_owned() } else { format!("{}.{step}", self.place) };
        Node { value, place }
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// Entries of a map; null is an empty one.
    pub(super) fn map(&self) -> Result<Vec<(String, Node<'a>)>, Failure> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Mapping(map) => map
                .iter()
                .map(|(key, value)| match key {
                    Value::String(key) => Ok((key.clone(), self.child(value, key))),
                    Value::Number(number) => Ok((number.to_string(), self.child(value, &number.to_string()))),
                    _ => Err(self.fail("a key is not a string")),
                })
                .collect(),
            _ => Err(self.fail("has to be a map")),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, Failure> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Sequence(items) => {
                Ok(items.iter().enumerate().map(|(at, value)| self.child(value, &at.to_string())).collect())
            }
            _ => Err(self.fail("has to be a list")),
        }
    }

    /// A scalar as text.
    pub(super) fn text(&self) -> Result<String, Failure> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err(self.fail("has to be a string")),
        }
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, Failure> {
        self.list()?.iter().map(Node::text).collect()
    }

    pub(super) fn boolean(&self) -> Result<bool, Failure> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            _ => Err(self.fail("has to be true or false")),
        }
    }

    pub(super) fn integer(&self) -> Result<i64, Failure> {
        self.text()?.parse().map_err(|_| self.fail("has to be a whole number"))
    }
}
