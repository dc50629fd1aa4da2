//! From text to trees: YAML with bounds on everything that grows, unique keys, aliases and merge keys.

use std::borrow::Cow;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read;

use libyaml_safer::{Error, Event, EventData, Parser, ScalarStyle};

use super::budget::Budget;
use super::scalar;
use super::tree::{Failure, Map, Mark, Tag, Tree, Value};

/// Nesting deeper than this is refused; real files stay below 16.
const DEPTH: usize = 64;

/// Stands for an exclamation mark that the parser must not take for the beginning of a tag.
const MASK: char = '\u{e000}';

/// Reads every document of a text.
pub(super) fn documents(text: &str, file: u16, budget: &mut Budget) -> Result<Vec<Tree>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    printable(text, file)?;
    let text = masked(text);
    let mut builder = Builder {
        file,
        budget,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        aliased: BTreeMap::new(),
        documents: Vec::new(),
    };
    // The parser wants a line break at the end, which a block scalar there must not get to see.
    let (text, end): (&str, &[u8]) = match text.rfind('\n') {
        Some(at) if text[at..].trim_end_matches(' ').len() == 1 => (&text[..=at], b""),
        _ => (&text, b"\n"),
    };
    let length = text.chars().count();
    let beyond = |mark: libyaml_safer::Mark| usize::try_from(mark.index).is_ok_and(|index| index > length);
    let mut parser = Parser::new();
    parser.set_input(text.as_bytes().chain(end));
    loop {
        let mut event = parser.parse().map_err(|error| syntax(&error, file))?;
        match &mut event.data {
            EventData::StreamEnd => return Ok(builder.documents),
            EventData::Scalar { value, style, .. } => {
                if value.contains(MASK) {
                    if *style == ScalarStyle::Plain && value.starts_with(MASK) {
                        let message = "a tag touches a comma: put a space between";
                        return Err(Failure::at(here(file, event.start_mark), message));
                    }
                    *value = value.replace(MASK, "!");
                }
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && !end.is_empty() && beyond(event.end_mark) && value.ends_with('\n') {
                    value.pop();
                }
            }
            _ => {}
        }
        builder.event(event)?;
    }
}

/// Hides the exclamation marks that the parser fails on if a tag begins there: those with a comma after them in the
/// same word.
fn masked(text: &str) -> Cow<'_, str> {
    let ends_word = |c: char| c.is_whitespace() || "[]{}".contains(c);
    let mut out = String::new();
    let mut done = 0;
    let mut at = 0;
    for word in text.split_inclusive(ends_word) {
        let before_comma = word.rfind(',').map_or("", |comma| &word[..comma]);
        for (mark, _) in before_comma.match_indices('!') {
            out.push_str(&text[done..at + mark]);
            out.push(MASK);
            done = at + mark + 1;
        }
        at += word.len();
    }
    if done == 0 { Cow::Borrowed(text) } else { Cow::Owned(out + &text[done..]) }
}

fn syntax(error: &Error, file: u16) -> Failure {
    let mark = error.problem_mark().map_or(Mark { file, ..Mark::default() }, |mark| here(file, mark));
    Failure::at(mark, format!("is not YAML: {}", error.problem()))
}

fn here(file: u16, mark: libyaml_safer::Mark) -> Mark {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Mark::new(file, number(mark.line) + 1, number(mark.column) + 1)
}

/// YAML has no control characters but tabs and line breaks.
fn printable(text: &str, file: u16) -> Result<(), Failure> {
    let odd = |c: char| match c {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' | MASK => true,
        other => other.is_control(),
    };
    let Some(at) = text.find(odd) else { return Ok(()) };
    let found = text[at..].chars().next().unwrap_or_default();
    let line = text[..at].split('\n').count();
    let column = text[..at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = format!("is not YAML: holds the character U+{:04X}", u32::from(found));
    Err(Failure::at(Mark::new(file, line, column), message))
}

struct Builder<'b> {
    file: u16,
    budget: &'b mut Budget,
    /// Collections that are not closed yet.
    open: Vec<Open>,
    /// Complete anchored nodes, with their height.
    anchors: BTreeMap<String, (Tree, usize)>,
    /// Where aliases of each anchor are, as dotted paths.
    aliased: BTreeMap<String, BTreeSet<String>>,
    documents: Vec<Tree>,
}

/// A collection that is not closed yet.
struct Open {
    anchor: Option<String>,
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
    fn event(&mut self, event: Event) -> Result<(), Failure> {
        let mark = here(self.file, event.start_mark);
        match event.data {
            EventData::DocumentStart { .. } => {
                self.anchors.clear();
                self.aliased.clear();
            }
            EventData::Scalar { anchor, tag, value, style, .. } => {
                if value.contains('\0') {
                    return Err(Failure::at(mark, "holds a NUL character"));
                }
                if self.expects_key() {
                    return self.key(value, style, tag.as_deref(), mark);
                }
                let (value, tag) = self::value(value, style, tag.as_deref(), mark)?;
                self.complete(Tree { tag, ..Tree::new(value, mark) }, anchor, 0)?;
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                let tag = collection(tag.as_deref(), "seq", mark)?;
                self.open(anchor, tag, mark, Content::List(Vec::new()))?;
            }
            EventData::MappingStart { anchor, tag, .. } => {
                let tag = collection(tag.as_deref(), "map", mark)?;
                self.open(anchor, tag, mark, Content::Map { map: Map::new(), key: None, merge: None })?;
            }
            EventData::SequenceEnd | EventData::MappingEnd => {
                if let Some(done) = self.open.pop() {
                    let value = match done.content {
                        Content::List(items) => Value::List(items),
                        Content::Map { map, merge, .. } => Value::Map(Box::new(merged(map, merge)?)),
                    };
                    let tree = Tree { tag: done.tag, ..Tree::new(value, done.mark) };
                    self.complete(tree, done.anchor, done.height + 1)?;
                }
            }
            EventData::Alias { anchor } => self.alias(&anchor, mark)?,
            EventData::DocumentEnd { .. } | EventData::StreamStart { .. } | EventData::StreamEnd => {}
        }
        Ok(())
    }

    fn alias(&mut self, anchor: &str, mark: Mark) -> Result<(), Failure> {
        if self.expects_key() {
            return Err(Failure::at(mark, "a key is an alias"));
        }
        if self.open.iter().any(|open| open.anchor.as_deref() == Some(anchor)) {
            return Err(Failure::at(mark, format!("the alias {anchor} stands inside of what it names")));
        }
        let Some((tree, height)) = self.anchors.get(anchor) else {
            return Err(Failure::at(mark, format!("the alias {anchor} names nothing")));
        };
        if resets(tree) {
            let message = format!(
                "the alias {anchor} leads to a !reset, which Compose 2.40.3 ignores and later versions obey: \
                 write it where it is needed"
            );
            return Err(Failure::at(mark, message));
        }
        let (nodes, bytes) = tree.weight();
        self.budget.spend(nodes, bytes, mark)?;
        let (mut tree, height) = (tree.clone(), *height);
        self.nested(anchor, mark)?;
        tree.mark = mark;
        self.complete(tree, None, height)
    }

    /// Refuses an alias below another one of the same anchor, as Compose does. A merge key counts as what it merges
    /// into.
    fn nested(&mut self, anchor: &str, mark: Mark) -> Result<(), Failure> {
        let mut path = String::new();
        let mut merges = 0;
        for open in &self.open {
            match &open.content {
                Content::List(items) => write!(path, ".{}", items.len()),
                Content::Map { key: Some((Key::Name(name), _)), .. } => write!(path, ".{name}"),
                Content::Map { .. } => {
                    merges += 1;
                    Ok(())
                }
            }
            .map_err(|error| Failure::at(mark, error.to_string()))?;
        }
        if merges > 1 {
            return Ok(());
        }
        let known = self.aliased.entry(anchor.to_owned()).or_default();
        let above = path.match_indices('.').skip(1).any(|(at, _)| known.contains(&path[..at]));
        let inside = format!("{path}.");
        let below = known.range(inside.clone()..).next().is_some_and(|known| known.starts_with(&inside));
        if above || below {
            return Err(Failure::at(
                mark,
                format!("the alias {anchor} is below another one of the same anchor"),
            ));
        }
        known.insert(path);
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn open(
        &mut self,
        anchor: Option<String>,
        tag: Tag,
        mark: Mark,
        content: Content,
    ) -> Result<(), Failure> {
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
        text: String,
        style: ScalarStyle,
        tag: Option<&str>,
        mark: Mark,
    ) -> Result<(), Failure> {
        if text.chars().any(char::is_control) {
            return Err(Failure::at(mark, "a key holds a control character"));
        }
        let merges = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
        let name = match self::value(text, style, tag, mark)?.0 {
            Value::Text(_) if merges => Key::Merge,
            Value::Text(name) => Key::Name(name),
            _ => return Err(Failure::at(mark, "a key is not a string: put it in quotes")),
        };
        let Some(Open { content: Content::Map { map, key, merge }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        let (shown, earlier) = match &name {
            Key::Merge => ("<<", merge.as_ref()),
            Key::Name(name) => (name.as_str(), map.get(name)),
        };
        if let Some(earlier) = earlier {
            let line = earlier.mark.line;
            return Err(Failure::at(mark, format!("the key {shown} stands in line {line} already")));
        }
        *key = Some((name, mark));
        Ok(())
    }

    /// Hands a complete node to the collection that it belongs to.
    fn complete(&mut self, mut tree: Tree, anchor: Option<String>, height: usize) -> Result<(), Failure> {
        let bytes = tree.as_text().map_or(0, str::len);
        self.budget.spend(1, bytes, tree.mark)?;
        if self.open.len() + height > DEPTH {
            return Err(Failure::at(tree.mark, format!("nests deeper than {DEPTH} levels")));
        }
        if let Some(anchor) = anchor {
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

/// Whether something below a node is reset.
fn resets(tree: &Tree) -> bool {
    let below = |child: &Tree| child.tag == Tag::Reset || resets(child);
    match &tree.value {
        Value::List(items) => items.iter().any(below),
        Value::Map(map) => map.values().any(below),
        _ => false,
    }
}

/// Where the tags of YAML itself begin.
const CORE: &str = "tag:yaml.org,2002:";

/// A scalar's value, as its style and tag have it.
fn value(text: String, style: ScalarStyle, tag: Option<&str>, mark: Mark) -> Result<(Value, Tag), Failure> {
    let value = match tag {
        None | Some("!") if style == ScalarStyle::Plain => scalar::plain(&text),
        None | Some("!") => Value::Text(text),
        Some("!reset") => return Ok((Value::Null, Tag::Reset)),
        Some("!override") => return Ok((Value::Text(text), Tag::Override)),
        Some(tag) => match (tag.strip_prefix(CORE), scalar::plain(&text)) {
            (Some("str"), _) => Value::Text(text),
            (Some("null"), value @ Value::Null)
            | (Some("bool"), value @ Value::Bool(_))
            | (Some("int" | "float"), value @ Value::Number(_)) => value,
            _ => return Err(Failure::at(mark, format!("the tag {tag} is not known here"))),
        },
    };
    Ok((value, Tag::None))
}

fn collection(tag: Option<&str>, kind: &str, mark: Mark) -> Result<Tag, Failure> {
    match tag {
        None => Ok(Tag::None),
        Some("!reset") => Ok(Tag::Reset),
        Some("!override") => Ok(Tag::Override),
        Some(tag) if tag.strip_prefix(CORE) == Some(kind) => Ok(Tag::None),
        Some(tag) => Err(Failure::at(mark, format!("the tag {tag} is not known here"))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tree, Failure> {
        documents(text, 0, &mut Budget::default()).map(|mut documents| documents.swap_remove(0))
    }

    #[test]
    fn spellings_of_one_tree() {
        for (one, other) in [
            ("a: {b: [c, 'd']}", "a:\n  b:\n  - c\n  - \"d\"\n"),
            ("a: &x {b: 1}\nc: *x\n", "a: {b: 1}\nc: {b: 1}\n"),
            ("a: {<<: {b: 1, c: 2}, b: 3}\n", "a: {b: 3, c: 2}\n"),
            ("a: {<<: [{b: 1}, {b: 2, c: 3}]}\n", "a: {b: 1, c: 3}\n"),
            ("a: {\"<<\": 1}\n", "a:\n  '<<': 1\n"),
            ("a: !!str 1\n", "a: '1'\n"),
            ("\u{feff}a: b\r\nc: d\r\n", "a: b\nc: d\n"),
            ("a: |\n  b", "a: \"b\""),
            ("a: |\n  b\n", "a: \"b\\n\""),
            ("a: |+\n  b\n\n  ", "a: \"b\\n\\n\""),
            ("a:\tb\n", "a: b\n"),
            ("a:\n  b: \"x\n  y\"\n", "a: {b: x y}\n"),
            ("a: ['*.js,!*.min.js', \"b !c,d\"]\n", "a:\n- '*.js,!*.min.js'\n- b !c,d\n"),
        ] {
            assert_eq!(read(one).unwrap(), read(other).unwrap(), "{one:?}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, line, column) in [
            ("a: b\na: c\n", 2, 1),
            ("a: {b: 1, b: 2}\n", 1, 11),
            ("a:\n  1: b\n", 2, 3),
            ("a: *b\n", 1, 4),
            ("a: &a [*a]\n", 1, 8),
            ("a: !foo b\n", 1, 4),
            ("a: [!b,c]\n", 1, 5),
            ("a: b\n\tc: d\n", 2, 1),
            ("a: \"b\n", 2, 1),
            ("a: [b\nc: d\n", 2, 2),
            ("a: \u{1b}[31m\n", 1, 4),
            ("a: \"\\0\"\n", 1, 4),
            ("\"a\\tb\": c\n", 1, 1),
            ("a:\n  <<: b\n", 2, 3),
            ("[a]: b\n", 1, 1),
        ] {
            let mark = read(text).expect_err(text).mark;
            assert_eq!(mark.at(), Some((line, column)), "{text:?}");
        }
    }
}
