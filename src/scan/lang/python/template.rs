//! Texts that are put together: formatted, concatenated, joined.

use std::collections::BTreeMap;
use std::ops::Range;

use tree_sitter::Node;

use super::{File, LONGEST, children};
use crate::scan::lang::source_map::SourceMap;

/// Bytes between the quotes of a string.
pub(super) fn inner(node: Node<'_>) -> Option<Range<usize>> {
    let last = node.child_count().checked_sub(1)?;
    let (start, end) = (node.child(0)?, node.child(last)?);
    let range = start.end_byte()..end.start_byte();
    (start.kind() == "string_start" && end.kind() == "string_end" && range.start <= range.end)
        .then_some(range)
}

/// A service's name that an expression may give: a string, or a branch of a condition.
fn literal<'a>(source: &'a str, node: Node<'_>) -> Option<&'a str> {
    match node.kind() {
        "string" => content(source, node),
        "conditional_expression" => {
            let texts = children(node).into_iter().filter_map(|child| literal(source, child));
            texts.into_iter().find(|text| crate::scan::patterns::service(text).is_some())
        }
        _ => None,
    }
}

/// Text of a string without values that are put in later.
pub(super) fn content<'a>(source: &'a str, node: Node<'_>) -> Option<&'a str> {
    let range = inner(node)?;
    let plain = children(node)
        .iter()
        .all(|child| matches!(child.kind(), "string_start" | "string_content" | "string_end"));
    if plain { source.get(range) } else { None }
}

impl<'t> File<'_, 't> {
    /// Whether a node is a part of a longer text.
    pub(super) fn part_of_longer(&self, node: Node<'t>) -> bool {
        let Some(parent) = self.parent(node) else { return false };
        match parent.kind() {
            "concatenated_string" | "parenthesized_expression" => {
                parent.kind() == "concatenated_string" || self.part_of_longer(parent)
            }
            "binary_operator" => {
                parent.child_by_field_name("operator").is_some_and(|op| matches!(op.kind(), "+" | "%"))
            }
            // `"…".format(…)`
            "attribute" => {
                let formats = parent
                    .child_by_field_name("attribute")
                    .is_some_and(|name| name.end_byte() - name.start_byte() == 6);
                let called = self.parent(parent).is_some_and(|call| {
                    call.kind() == "call" && call.child_by_field_name("function") == Some(parent)
                });
                formats && called && node.kind() == "string"
            }
            _ => false,
        }
    }
}

/// The text that an expression puts together, if it does; `named` gives the names of containers in it.
pub(super) fn of<'a>(
    source: &'a str,
    node: Node<'_>,
    constants: &BTreeMap<String, String>,
    named: &dyn Fn(usize) -> Option<String>,
) -> Option<SourceMap<'a>> {
    let mut builder = Builder { source, constants, named, text: SourceMap::new(source) };
    let whole = match node.kind() {
        "concatenated_string" | "binary_operator" => builder.add(node),
        // A string by itself is searched where it stands, unless it names constants.
        "string" => builder.add(node) && builder.text.is_mixed(),
        "call" => builder.call(node),
        _ => false,
    };
    (whole && !builder.text.text.is_empty()).then_some(builder.text)
}

/// A place in a pattern for a value, with its name.
type Field<'a> = (Range<usize>, &'a str);

/// Puts a text together.
struct Builder<'a, 'c> {
    source: &'a str,
    constants: &'c BTreeMap<String, String>,
    /// The container that the expression which begins at a byte names.
    named: &'c dyn Fn(usize) -> Option<String>,
    text: SourceMap<'a>,
}

impl Builder<'_, '_> {
    /// Adds what `node` stands for; says whether it is text at all.
    fn add(&mut self, node: Node<'_>) -> bool {
        match node.kind() {
            "string" => match inner(node) {
                Some(range) => {
                    self.pieces(node, range);
                    true
                }
                None => false,
            },
            "concatenated_string" => children(node).into_iter().all(|child| self.add(child)),
            "parenthesized_expression" => node.named_child(0).is_some_and(|child| self.add(child)),
            "binary_operator" => {
                let (Some(left), Some(operator), Some(right)) = (
                    node.child_by_field_name("left"),
                    node.child_by_field_name("operator"),
                    node.child_by_field_name("right"),
                ) else {
                    return false;
                };
                match operator.kind() {
                    "+" => {
                        let one = self.add(left);
                        let other = self.add(right);
                        one || other
                    }
                    "%" => {
                        let values = if right.kind() == "tuple" { children(right) } else { vec![right] };
                        self.filled(left, &values, percent)
                    }
                    _ => false,
                }
            }
            "call" if self.call(node) => true,
            _ => {
                let name = &self.source[node.byte_range()];
                match self.constants.get(name) {
                    Some(value) => self.text.push_constant(value, node.byte_range()),
                    None => self.text.push(&placeholder(name), node.byte_range()),
                }
                false
            }
        }
    }

    /// A string's text, with constants in place of the values that name them.
    fn pieces(&mut self, node: Node<'_>, range: Range<usize>) {
        let source = self.source;
        let mut at = range.start;
        for child in children(node) {
            if child.kind() != "interpolation" {
                continue;
            }
            let expression = child.named_child(0);
            let constant = expression.and_then(|inner| self.constants.get(&source[inner.byte_range()]));
            let literal = expression.and_then(|inner| literal(source, inner));
            let named = expression.and_then(|inner| (self.named)(inner.start_byte()));
            if constant.is_none() && literal.is_none() && named.is_none() {
                continue;
            }
            self.text.push(&source[at..child.start_byte()], at..child.start_byte());
            match (constant, literal) {
                (Some(value), _) => self.text.push_constant(value, child.byte_range()),
                (_, Some(value)) => self.text.push(value, child.byte_range()),
                _ => self.text.push_name(&named.unwrap_or_default(), child.byte_range()),
            }
            at = child.end_byte();
        }
        self.text.push(&source[at..range.end], at..range.end);
    }

    /// `"…".format(…)`, `"-".join([…])` and `str.join("-", […])`.
    fn call(&mut self, node: Node<'_>) -> bool {
        let (Some(function), Some(arguments)) =
            (node.child_by_field_name("function"), node.child_by_field_name("arguments"))
        else {
            return false;
        };
        let (Some(object), Some(name)) =
            (function.child_by_field_name("object"), function.child_by_field_name("attribute"))
        else {
            return false;
        };
        let mut arguments = children(arguments);
        // A method of the type has its text as its first argument.
        let object = if &self.source[object.byte_range()] == "str" && !arguments.is_empty() {
            arguments.remove(0)
        } else {
            object
        };
        match &self.source[name.byte_range()] {
            "format" => self.filled(object, &arguments, braces),
            "join" => {
                let Some(glue) = content(self.source, object) else { return false };
                let list = arguments.first().filter(|list| matches!(list.kind(), "list" | "tuple"));
                let Some(list) = list else { return false };
                for (number, part) in children(*list).into_iter().enumerate() {
                    if number > 0 {
                        self.text.push(glue, part.start_byte()..part.start_byte());
                    }
                    self.add(part);
                }
                true
            }
            _ => false,
        }
    }

    /// A pattern with values put in where they are known; `field` finds the next one that is to be.
    fn filled(
        &mut self,
        pattern: Node<'_>,
        values: &[Node<'_>],
        field: fn(&str) -> Option<Field<'_>>,
    ) -> bool {
        let source = self.source;
        let Some(range) = inner(pattern) else { return false };
        let by_number: Vec<_> =
            values.iter().filter(|value| value.kind() != "keyword_argument").copied().collect();
        let by_name = named(source, values);
        let mut next = 0;
        let mut at = range.start;
        while let Some((mark, name)) = field(&source[at..range.end]) {
            let number = if name.is_empty() { Some(next) } else { name.parse().ok() };
            next += usize::from(name.is_empty());
            let value = match number {
                Some(number) => by_number.get(number).copied(),
                None => by_name.get(name).copied(),
            };
            let place = at + mark.start..at + mark.end;
            self.text.push(&source[at..place.start], at..place.start);
            at = place.end;
            match value {
                Some(value) => match self.known(value) {
                    Some(text) => self.text.push(&text, value.byte_range()),
                    None => self.text.push(&placeholder(&source[value.byte_range()]), place),
                },
                None => self.text.push(&source[place.clone()], place),
            }
        }
        self.text.push(&source[at..range.end], at..range.end);
        true
    }

    /// The text of a value, if it is a string or the name of one.
    fn known(&self, node: Node<'_>) -> Option<String> {
        let constant = || self.constants.get(&self.source[node.byte_range()]).cloned();
        content(self.source, node).map(str::to_owned).or_else(constant)
    }
}

/// The values by name among the arguments of `format`, or in the dictionary on the right of `%`.
fn named<'a, 't>(source: &'a str, values: &[Node<'t>]) -> BTreeMap<&'a str, Node<'t>> {
    let pairs = values.iter().flat_map(|value| match value.kind() {
        "dictionary" => children(*value),
        _ => vec![*value],
    });
    let mut out = BTreeMap::new();
    for pair in pairs {
        let key = pair.child_by_field_name("name").or_else(|| pair.child_by_field_name("key"));
        if let (Some(key), Some(value)) = (key, pair.child_by_field_name("value")) {
            out.entry(source[key.byte_range()].trim_matches(['"', '\''])).or_insert(value);
        }
    }
    out
}

/// The first field of a `format`, `{}`, `{0}` or `{name!r:>9}`, with its name.
fn braces(pattern: &str) -> Option<Field<'_>> {
    let start = pattern.find('{')?;
    let end = start + pattern[start..].find('}')? + 1;
    let name = pattern[start + 1..end - 1].split(['!', ':']).next().unwrap_or_default();
    Some((start..end, name))
}

/// The first field of a `%`, `%s` or `%(name)s`, with its name.
fn percent(pattern: &str) -> Option<Field<'_>> {
    pattern.match_indices('%').find_map(|(start, _)| {
        let rest = &pattern[start + 1..];
        if rest.starts_with(['s', 'r']) {
            return Some((start..start + 2, ""));
        }
        let inner = rest.strip_prefix('(')?;
        let length = inner.bytes().take(LONGEST).position(|byte| byte == b')')?;
        let (name, after) = (&inner[..length], &inner[length + 1..]);
        after.starts_with(['s', 'r']).then(|| (start..start + name.len() + 4, name))
    })
}

/// A value that is put in later, as a pattern has it.
fn placeholder(expression: &str) -> String {
    let name: String =
        expression.chars().map(|c| if matches!(c, '{' | '}' | '\n') { '_' } else { c }).collect();
    format!("{{{name}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_names() {
        for (pattern, found) in [
            ("a-{}-b", Some((2..4, ""))),
            ("{1}-{0}", Some((0..3, "1"))),
            ("{svc!s:>9}", Some((0..10, "svc"))),
            ("a", None),
        ] {
            assert_eq!(braces(pattern), found, "{pattern}");
        }
        for (pattern, found) in
            [("100%-%s", Some((5..7, ""))), ("a-%(svc)s", Some((2..9, "svc"))), ("%d", None)]
        {
            assert_eq!(percent(pattern), found, "{pattern}");
        }
    }
}
