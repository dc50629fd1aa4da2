//! A document as a tree of nodes: its YAML, and the line of each of its places.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// A compose document as it is written.
#[derive(Debug)]
pub struct Layout<'a>(pub(super) Map<'a>);

impl Layout<'_> {
    /// The text; a literal `$` of a value is doubled, so that Compose does not interpolate it.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        spaced(&serde_yaml::to_string(&self.0).unwrap_or_default())
    }

    /// 1-based line of a dotted place (`services.sidecars.volumes.3`) in the text; of the nearest that encloses it
    /// where the last steps are not there.
    #[must_use]
    pub fn line(&self, place: &str) -> Option<usize> {
        self.0.line(1, place)
    }
}

/// Where a text begins on its line that YAML 1.1, and so Compose, reads as a time, and YAML 1.2 as a text.
fn time(line: &str) -> Option<usize> {
    let after = |mark: &str| line.rfind(mark).map(|at| at + mark.len());
    let start = after(": ").or_else(|| after("- "))?;
    let mut parts = line[start..].splitn(3, '-');
    let (year, month, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let day = rest.split(['T', 't', ' ']).next()?;
    (year.len() == 4 && digits(year) && digits(month) && digits(day)).then_some(start)
}

/// Where a plain scalar starts that Compose would take for a number: its YAML leaves out underscores within digits.
fn number(line: &str) -> Option<usize> {
    let start = line.len() - line.rsplit([' ']).next()?.len();
    let text = &line[start..];
    let digits = |character: char| {
        character.is_ascii_hexdigit() || matches!(character, '_' | '.' | '+' | '-' | 'x' | 'o')
    };
    let first = text.trim_start_matches(['+', '-', '.']).chars().next()?;
    let plain =
        line[..start].ends_with(": ") || line[..start].trim_start().trim_matches(['-', ' ']).is_empty();
    (plain && text.contains('_') && first.is_ascii_digit() && text.chars().all(digits)).then_some(start)
}

/// Puts an empty line before each top-level section and between services, and quotes round what looks like a time or
/// a number.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 64);
    let mut section = "";
    let mut first = true;
    let mut block: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        block = block.filter(|above| indent > *above || line.trim().is_empty());
        let literal = block.is_some();
        if !literal && line.rsplit(' ').next().is_some_and(|end| end.starts_with('|')) {
            block = Some(indent);
        }
        let item = line.trim_start().starts_with('-');
        if indent == 0 && !item {
            if !spaced.is_empty() {
                spaced.push('\n');
            }
            section = line;
            first = true;
        } else if indent == 2 && !item && section == "services:" {
            if !first {
                spaced.push('\n');
            }
            first = false;
        }
        match time(line).or_else(|| number(line)).filter(|_| !literal) {
            Some(start) => spaced.extend([&line[..start], "'", &line[start..], "'"]),
            None => spaced.push_str(line),
        }
        spaced.push('\n');
    }
    spaced
}

/// A node; texts are not escaped yet.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(i128),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Map<'a>),
}

impl<'a> Node<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts(texts: impl IntoIterator<Item = &'a String>) -> Vec<Self> {
        texts.into_iter().map(Self::text).collect()
    }

    /// Lines of a list's item.
    fn lines(&self) -> usize {
        match self {
            Self::List(items) if !items.is_empty() => items.iter().map(Self::lines).sum(),
            Self::Map(map) if !map.entries.is_empty() => map.lines(),
            // As a literal block.
            Self::Text(text) if text.contains('\n') => 1 + text.lines().count(),
            _ => 1,
        }
    }

    fn line(&self, first: usize, place: &str) -> Option<usize> {
        match self {
            Self::Map(map) => map.line(first, place),
            Self::List(items) => {
                let (step, rest) = place.split_once('.').unwrap_or((place, ""));
                let index: usize = step.parse().ok()?;
                let item = items.get(index)?;
                let line = first + items[..index].iter().map(Self::lines).sum::<usize>();
                Some(item.line(line, rest).unwrap_or(line))
            }
            _ => None,
        }
    }
}

/// A mapping in the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Map<'a> {
    pub(super) entries: Vec<(Cow<'a, str>, Node<'a>)>,
    /// Whether empty lines separate the entries.
    pub(super) spaced: bool,
}

/// A longer key gets a line of its own, as `? KEY`, with its value below.
const LONG_KEY: usize = 128;

impl<'a> Map<'a> {
    pub(super) fn put(&mut self, name: impl Into<Cow<'a, str>>, value: Node<'a>) {
        self.entries.push((name.into(), value));
    }

    pub(super) fn text(&mut self, name: &'static str, text: Option<&'a str>) {
        if let Some(text) = text {
            self.put(name, Node::text(text));
        }
    }

    pub(super) fn map(&mut self, name: &'static str, map: Self) {
        if !map.entries.is_empty() {
            self.put(name, Node::Map(map));
        }
    }

    pub(super) fn list(&mut self, name: &'static str, items: Vec<Node<'a>>) {
        if !items.is_empty() {
            self.put(name, Node::List(items));
        }
    }

    fn lines(&self) -> usize {
        let gaps = if self.spaced { self.entries.len().saturating_sub(1) } else { 0 };
        gaps + self.entries.iter().map(|(name, value)| entry_lines(name, value)).sum::<usize>()
    }

    fn line(&self, first: usize, place: &str) -> Option<usize> {
        let mut found: Option<(usize, usize, &Node<'a>)> = None;
        let mut line = first;
        for (name, value) in &self.entries {
            let rest = place.strip_prefix(&**name);
            let fits = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            // Names may hold dots themselves.
            if fits && found.is_none_or(|(_, length, _)| name.len() > length) {
                found = Some((line, name.len(), value));
            }
            line += entry_lines(name, value) + usize::from(self.spaced);
        }
        let (line, length, value) = found?;
        Some(value.line(line + 1, place[length..].trim_start_matches('.')).unwrap_or(line))
    }
}

fn entry_lines(name: &str, value: &Node<'_>) -> usize {
    let below = match value {
        Node::List(items) => !items.is_empty(),
        Node::Map(map) => !map.entries.is_empty(),
        _ => false,
    };
    value.lines() + usize::from(below || name.len() > LONG_KEY)
}

fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains('$') { text.replace('$', "$$").into() } else { text.into() }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => serializer.serialize_i128(*value),
            Self::Text(text) => serializer.serialize_str(&escaped(text)),
            Self::List(items) => items.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Compose interpolates values only.
        serializer.collect_map(self.entries.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Node<'a>)>) -> Map<'a> {
        let entries = entries.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Map { entries, spaced: false }
    }

    /// Every place of a node, with the first token on its line.
    fn places(node: &Node<'_>, place: &str, all: &mut Vec<(String, String)>) {
        match node {
            Node::Map(map) => {
                for (name, value) in &map.entries {
                    let place = format!("{place}.{name}").trim_start_matches('.').to_owned();
                    all.push((place.clone(), name.to_string()));
                    places(value, &place, all);
                }
            }
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let place = format!("{place}.{index}");
                    all.push((place.clone(), "-".to_owned()));
                    places(item, &place, all);
                }
            }
            _ => {}
        }
    }

    fn document<'a>(long: &'a str) -> Layout<'a> {
        let service = |name: &'a str| {
            map([
                ("image", Node::text(name)),
                ("command", Node::List(vec![Node::text("a\nb\n"), Node::text("- c"), Node::text("")])),
                (
                    "environment",
                    Node::Map(map([
                        ("A.B", Node::text("1")),
                        ("A", Node::Null),
                        (long, Node::text("$x: y")),
                        ("KEY", Node::text("a\nb")),
                        ("SEPARATED", Node::text("a\u{2028}b")),
                    ])),
                ),
                (
                    "volumes",
                    Node::List(vec![
                        Node::Map(map([
                            ("type", Node::text("bind")),
                            ("bind", Node::Map(map([("x", Node::Bool(true))]))),
                        ])),
                        Node::List(vec![Node::Number(1), Node::Number(2)]),
                        Node::Map(map([("type", Node::text("tmpfs"))])),
                    ]),
                ),
                ("empty", Node::Map(Map::default())),
                ("none", Node::List(Vec::new())),
                (
                    "networks",
                    Node::Map(map([(
                        long,
                        Node::Map(map([("aliases", Node::List(vec![Node::text("z")]))])),
                    )])),
                ),
            ])
        };
        let services = map([("a", Node::Map(service("one"))), ("b.c", Node::Map(service("two")))]);
        let mut top = map([
            ("name", Node::text("x")),
            ("services", Node::Map(Map { spaced: true, ..services })),
            ("networks", Node::Map(map([("internal", Node::Null)]))),
        ]);
        top.spaced = true;
        Layout(top)
    }

    #[test]
    fn every_place_is_found_on_its_line_of_the_text() {
        let long = "L".repeat(200);
        let document = document(&long);
        let text = document.to_yaml();
        let lines: Vec<&str> = text.lines().collect();
        let mut all = Vec::new();
        places(&Node::Map(document.0), "", &mut all);
        assert!(all.len() > 40);
        let document = self::document(&long);
        for (place, mark) in all {
            let line = lines[document.line(&place).unwrap() - 1];
            let content = line.trim_start_matches([' ', '?', ':']);
            let content = if mark == "-" { content } else { content.trim_start_matches("- ") };
            assert!(content.starts_with(&mark), "{place}: {line}\n{text}");
        }
    }

    #[test]
    fn what_compose_would_take_for_a_time_is_quoted() {
        let text = |text: &str| {
            let node = map([
                ("a", Node::text(text.to_owned())),
                ("b", Node::List(vec![Node::text(text.to_owned())])),
            ]);
            Layout(node).to_yaml()
        };
        for time in ["2024-01-01", "2024-1-2 10:00:00", "2024-01-01T10:00:00Z"] {
            assert_eq!(text(time), format!("a: '{time}'\n\nb:\n- '{time}'\n"));
        }
        for number in ["3.200_", "1_000", "-1_0.5", "0x_1f", "1_e5"] {
            assert_eq!(text(number), format!("a: '{number}'\n\nb:\n- '{number}'\n"));
        }
        for word in ["a_1", "1_g", "_1", "1.2"] {
            assert_eq!(text(word).contains('\''), word == "1.2", "{word}: {}", text(word));
        }
        for other in ["2024-01-xx", "24-01-01", "x 2024-01-01", "2024-01"] {
            assert!(!text(other).contains('\''), "{other}");
        }
        assert!(!text("first\na: 2024-01-01\n").contains('\''));
    }

    #[test]
    fn what_is_not_there_is_found_where_it_would_be() {
        let document = document("L");
        assert_eq!(document.line("services.a.absent"), document.line("services.a"));
        assert_eq!(document.line("services.a.volumes.9"), document.line("services.a.volumes"));
        assert_eq!(document.line("absent"), None);
    }
}
