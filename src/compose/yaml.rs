//! From text to trees: YAML with bounds on everything that grows, unique keys, aliases and merge keys.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::budget::Budget;
use super::scalar;
use super::tree::{Failure, Map, Mark, Tag, Tree, Value};

/// Nesting deeper than this is refused; real files stay below 16.
const DEPTH: usize = 64;

/// Reads every document of a text.
pub(super) fn documents(text: &str, file: u16, budget: &mut Budget) -> Result<Vec<Tree>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    printable(text, file)?;
    let mut builder =
        Builder { file, budget, open: Vec::new(), anchors: BTreeMap::new(), documents: Vec::new() };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax(&error, file))?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

fn syntax(error: &ScanError, file: u16) -> Failure {
    let mark = Mark::new(file, error.marker().line(), error.marker().col() + 1);
    Failure::at(mark, format!("is not YAML: {}", error.info()))
}

/// YAML has no control characters but tabs and line breaks.
fn printable(text: &str, file: u16) -> Result<(), Failure> {
    let odd = |c: char| (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || c == '\u{feff}';
    let Some(at) = text.find(odd) else { return Ok(()) };
    let found = text[at..].chars().next().unwrap_or_default();
    let line = text[..at].split('\n').count();
    let column = text[..at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mark = Mark::new(file, line, column);
    Err(Failure::at(mark, format!("is not YAML: holds the control character U+{:04X}", u32::from(found))))
}

struct Builder<'b> {
    file: u16,
    budget: &'b mut Budget,
    /// Collections that are not closed yet.
    open: Vec<Open>,
    /// Complete anchored nodes, with their height.
    anchors: BTreeMap<usize, (Tree, usize)>,
    documents: Vec<Tree>,
}

/// A collection that is not closed yet.
struct Open {
    anchor: usize,
    tag: Tag,
    mark: Mark,
    /// Levels below it so far.
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Tree>),
    Map {
        map: Map,
        /// Key that waits for its value.
        key: Option<(Key, Mark)>,
        /// Value of `<<`.
        merge: Option<Tree>,
    },
}

enum Key {
    Name(String),
    Merge,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Failure> {
        let mark = Mark::new(self.file, span.start.line(), span.start.col() + 1);
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let name = tag.as_ref().map(|tag| (tag.handle.as_str(), tag.suffix.as_str()));
                if text.contains('\0') {
                    return Err(Failure::at(mark, "holds a NUL character"));
                }
                if self.expects_key() {
                    return self.key(&text, style, name, mark);
                }
                let (value, tag) = self::value(text.into_owned(), style, name, mark)?;
                self.complete(Tree { value, mark, tag }, anchor, 0)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let name = tag.as_ref().map(|tag| (tag.handle.as_str(), tag.suffix.as_str()));
                self.open(anchor, collection(name, "seq", mark)?, mark, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let name = tag.as_ref().map(|tag| (tag.handle.as_str(), tag.suffix.as_str()));
                let content = Content::Map { map: Map::new(), key: None, merge: None };
                self.open(anchor, collection(name, "map", mark)?, mark, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(done) = self.open.pop() {
                    let value = match done.content {
                        Content::List(items) => Value::List(items),
                        Content::Map { map, merge, .. } => Value::Map(Box::new(merged(map, merge)?)),
                    };
                    let tree = Tree { value, mark: done.mark, tag: done.tag };
                    self.complete(tree, done.anchor, done.height + 1)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((tree, height)) = self.anchors.get(&anchor) else {
                    return Err(Failure::at(mark, "an alias stands inside of what it names"));
                };
                if self.expects_key() {
                    return Err(Failure::at(mark, "a key is an alias"));
                }
                let (nodes, bytes) = tree.weight();
                self.budget.spend(nodes, bytes, mark)?;
                let (mut tree, height) = (tree.clone(), *height);
                tree.mark = mark;
                self.complete(tree, 0, height)?;
            }
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn open(&mut self, anchor: usize, tag: Tag, mark: Mark, content: Content) -> Result<(), Failure> {
        if self.expects_key() {
            return Err(Failure::at(mark, "a key is a list or a map"));
        }
        if self.open.len() >= DEPTH {
            return Err(Failure::at(mark, format!("nests deeper than {DEPTH} levels")));
        }
        self.open.push(Open { anchor, tag, mark, height: 0, content });
        Ok(())
    }

    fn key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<(&str, &str)>,
        mark: Mark,
    ) -> Result<(), Failure> {
        let name = match self::value(text.to_owned(), style, tag, mark)?.0 {
            Value::Text(_) if text == "<<" && style == ScalarStyle::Plain => Key::Merge,
            Value::Text(name) => Key::Name(name),
            _ => return Err(Failure::at(mark, format!("the key {text} is not a string: put it in quotes"))),
        };
        if text.chars().any(char::is_control) {
            return Err(Failure::at(mark, "a key holds a control character"));
        }
        let Some(Open { content: Content::Map { map, key, merge }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        let earlier = match &name {
            Key::Merge => merge.as_ref().map(|tree| tree.mark),
            Key::Name(name) => map.get(name).map(|tree| tree.mark),
        };
        if let Some(earlier) = earlier {
            return Err(Failure::at(mark, format!("the key {text} stands in line {} already", earlier.line)));
        }
        *key = Some((name, mark));
        Ok(())
    }

    /// Hands a complete node to the collection that it belongs to.
    fn complete(&mut self, mut tree: Tree, anchor: usize, height: usize) -> Result<(), Failure> {
        let bytes = tree.as_text().map_or(0, str::len);
        self.budget.spend(1, bytes, tree.mark)?;
        if self.open.len() + height > DEPTH {
            return Err(Failure::at(tree.mark, format!("nests deeper than {DEPTH} levels")));
        }
        if anchor != 0 {
            let (nodes, bytes) = tree.weight();
            self.budget.spend(nodes, bytes, tree.mark)?;
            self.anchors.insert(anchor, (tree.clone(), height));
        }
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(tree);
            return Ok(());
        };
        parent.height = parent.height.max(height);
        match &mut parent.content {
            Content::List(items) => items.push(tree),
            Content::Map { map, key, merge } => match key.take() {
                Some((Key::Name(name), mark)) => {
                    tree.mark = mark;
                    map.insert(name, tree);
                }
                Some((Key::Merge, mark)) => {
                    tree.mark = mark;
                    *merge = Some(tree);
                }
                None => {}
            },
        }
        Ok(())
    }
}

/// A scalar's value, as its style and tag have it.
fn value(
    text: String,
    style: ScalarStyle,
    tag: Option<(&str, &str)>,
    mark: Mark,
) -> Result<(Value, Tag), Failure> {
    let plain = |text: &str| match style {
        ScalarStyle::Plain => scalar::plain(text),
        _ => Value::Text(text.to_owned()),
    };
    let value = match tag {
        None => return Ok((plain(&text), Tag::None)),
        Some(("!", "reset")) => return Ok((Value::Null, Tag::Reset)),
        Some(("!", "override")) => return Ok((Value::Text(text), Tag::Override)),
        Some(("tag:yaml.org,2002:", kind)) => match (kind, scalar::plain(&text)) {
            ("str", _) => Value::Text(text),
            ("null", value @ Value::Null)
            | ("bool", value @ Value::Bool(_))
            | ("int" | "float", value @ Value::Number(_)) => value,
            _ => {
                return Err(Failure::at(
                    mark,
                    format!("is no scalar of the type !!{kind} that Compose takes"),
                ));
            }
        },
        Some(("" | "!", "")) => Value::Text(text),
        Some((handle, suffix)) => return Err(unknown(handle, suffix, mark)),
    };
    Ok((value, Tag::None))
}

fn collection(tag: Option<(&str, &str)>, kind: &str, mark: Mark) -> Result<Tag, Failure> {
    match tag {
        None => Ok(Tag::None),
        Some(("!", "reset")) => Ok(Tag::Reset),
        Some(("!", "override")) => Ok(Tag::Override),
        Some(("tag:yaml.org,2002:", name)) if name == kind => Ok(Tag::None),
        Some((handle, suffix)) => Err(unknown(handle, suffix, mark)),
    }
}

fn unknown(handle: &str, suffix: &str, mark: Mark) -> Failure {
    Failure::at(mark, format!("the tag {handle}{suffix} is not known"))
}

/// Adds what `<<` brings: a map, or a list of maps of which the first that has a key gives it.
fn merged(mut map: Map, merge: Option<Tree>) -> Result<Map, Failure> {
    let Some(merge) = merge else { return Ok(map) };
    let mark = merge.mark;
    let maps = match merge.value {
        Value::List(items) => items,
        _ => vec![merge],
    };
    for tree in maps {
        let Value::Map(more) = tree.value else {
            return Err(Failure::at(mark, "<< needs a map, or a list of maps"));
        };
        for (key, tree) in *more {
            map.entry(key).or_insert(tree);
        }
    }
    Ok(map)
}
