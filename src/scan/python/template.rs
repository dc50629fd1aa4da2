//! Texts that are put together: formatted, concatenated, joined.

use std::collections::BTreeMap;
use std::ops::Range;

use tree_sitter::Node;

use super::{File, children};
use crate::scan::finding::Hit;
use crate::scan::forms;
use crate::scan::names::Names;
use crate::scan::text::{self, Context};

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
            texts.into_iter().find(|text| crate::scan::names::service(text).is_some())
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

/// A text with the place of each of its parts.
pub(super) struct Template<'a> {
    source: &'a str,
    text: String,
    parts: Vec<(usize, Range<usize>)>,
    /// Starts of the parts that are constants of the file.
    constants: Vec<usize>,
}

/// The text that an expression puts together, if it does.
pub(super) fn of<'a>(
    source: &'a str,
    node: Node<'_>,
    constants: &BTreeMap<String, String>,
) -> Option<Template<'a>> {
    let mut template = Template { source, text: String::new(), parts: Vec::new(), constants: Vec::new() };
    let whole = match node.kind() {
        "concatenated_string" | "binary_operator" => template.add(node, constants),
        // A string by itself is searched where it stands, unless it names constants.
        "string" => template.add(node, constants) && template.parts.len() > 1,
        "call" => template.call(node, constants),
        _ => false,
    };
    (whole && !template.text.is_empty()).then_some(template)
}

impl Template<'_> {
    fn push(&mut self, text: &str, place: Range<usize>) {
        self.parts.push((self.text.len(), place));
        self.text.push_str(text);
    }

    /// Adds what `node` stands for; says whether it is text at all.
    fn add(&mut self, node: Node<'_>, constants: &BTreeMap<String, String>) -> bool {
        let source = self.source;
        match node.kind() {
            "string" => match inner(node) {
                Some(range) => {
                    self.pieces(node, range, constants);
                    true
                }
                None => false,
            },
            "concatenated_string" => children(node).into_iter().all(|child| self.add(child, constants)),
            "parenthesized_expression" => node.named_child(0).is_some_and(|child| self.add(child, constants)),
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
                        let one = self.add(left, constants);
                        let other = self.add(right, constants);
                        one || other
                    }
                    "%" => {
                        let values = if right.kind() == "tuple" { children(right) } else { vec![right] };
                        self.filled(left, &values, "%s", constants)
                    }
                    _ => false,
                }
            }
            "call" if self.call(node, constants) => true,
            _ => {
                let name = &source[node.byte_range()];
                match constants.get(name) {
                    Some(value) => {
                        self.constants.push(self.text.len());
                        self.push(value, node.byte_range());
                    }
                    None => self.push(&hole(name), node.byte_range()),
                }
                false
            }
        }
    }

    /// A string's text, with constants in place of the values that name them.
    fn pieces(&mut self, node: Node<'_>, range: Range<usize>, constants: &BTreeMap<String, String>) {
        let source = self.source;
        let mut at = range.start;
        for child in children(node) {
            if child.kind() != "interpolation" {
                continue;
            }
            let expression = child.named_child(0);
            let constant = expression.and_then(|inner| constants.get(&source[inner.byte_range()]));
            let literal = expression.and_then(|inner| literal(source, inner));
            if let Some(value) = constant.map(String::as_str).or(literal) {
                self.push(&source[at..child.start_byte()], at..child.start_byte());
                if constant.is_some() {
                    self.constants.push(self.text.len());
                }
                self.push(value, child.byte_range());
                at = child.end_byte();
            }
        }
        self.push(&source[at..range.end], at..range.end);
    }

    /// `"…".format(…)` and `"-".join([…])`.
    fn call(&mut self, node: Node<'_>, constants: &BTreeMap<String, String>) -> bool {
        let source = self.source;
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
        match &source[name.byte_range()] {
            "format" => self.filled(object, &children(arguments), "{}", constants),
            "join" => {
                let Some(glue) = content(source, object) else { return false };
                let Some(list) =
                    arguments.named_child(0).filter(|list| matches!(list.kind(), "list" | "tuple"))
                else {
                    return false;
                };
                for (number, part) in children(list).into_iter().enumerate() {
                    if number > 0 {
                        self.push(glue, part.start_byte()..part.start_byte());
                    }
                    self.add(part, constants);
                }
                true
            }
            _ => false,
        }
    }

    /// A pattern with values put in where they are known: `hole` marks those that go by their order.
    fn filled(
        &mut self,
        pattern: Node<'_>,
        values: &[Node<'_>],
        hole: &str,
        constants: &BTreeMap<String, String>,
    ) -> bool {
        let source = self.source;
        let Some(range) = inner(pattern) else { return false };
        let known = |node: Node<'_>| {
            content(source, node)
                .map(str::to_owned)
                .or_else(|| constants.get(&source[node.byte_range()]).cloned())
        };
        let named: Vec<_> = values
            .iter()
            .filter(|value| value.kind() == "keyword_argument")
            .filter_map(|value| {
                Some((value.child_by_field_name("name")?, value.child_by_field_name("value")?))
            })
            .collect();
        let mut ordered = values.iter().filter(|value| value.kind() != "keyword_argument");
        let mut at = range.start;
        while at < range.end {
            let rest = &source[at..range.end];
            let marks = [Some(hole.to_owned())].into_iter().flatten();
            let marked = named.iter().map(|(name, _)| format!("{{{}}}", &source[name.byte_range()]));
            let found = marks
                .chain(marked)
                .enumerate()
                .filter_map(|(n, mark)| rest.find(&mark).map(|p| (p, n, mark)))
                .min();
            let Some((position, number, mark)) = found else { break };
            let value = if number == 0 { ordered.next().copied() } else { Some(named[number - 1].1) };
            self.push(&rest[..position], at..at + position);
            let place = at + position..at + position + mark.len();
            match value {
                Some(value) => match known(value) {
                    Some(text) => self.push(&text, value.byte_range()),
                    None => self.push(&self::hole(&source[value.byte_range()]), place),
                },
                None => self.push(&mark, place),
            }
            at += position + mark.len();
        }
        self.push(&source[at..range.end], at..range.end);
        true
    }

    /// Finds the references in the text, each where its own part stands in the file.
    pub(super) fn search(&self, names: &Names, context: Context<'_>, hits: &mut Vec<Hit>) {
        let before = hits.len();
        let inner = Context { command: None, ..context };
        text::search(names, &self.text, 0..self.text.len(), inner, hits);
        let found = hits.split_off(before);
        for mut hit in found {
            // The daemon's name is what a reader looks for.
            let name = names.service.find(&self.text[hit.span.clone()]).map_or(0, |found| found.start());
            let at = hit.span.start + name;
            match self.exact(hit.span.clone()) {
                Some(span) => hit.span = span,
                // A constant that is an address by itself is reported where it is written.
                None if self.substituted(at) && hit.form.id == forms::URL_HOST.id => continue,
                None => hit.span = self.place(at),
            }
            let edits = std::mem::take(&mut hit.edits);
            for mut edit in edits {
                if let Some(span) = self.exact(edit.start..edit.end) {
                    (edit.start, edit.end) = (span.start, span.end);
                    hit.edits.push(edit);
                }
            }
            hits.push(hit);
        }
    }

    /// Whether the byte `at` came from elsewhere in the file.
    fn substituted(&self, at: usize) -> bool {
        self.part(at).is_some_and(|(start, _)| self.constants.contains(start))
    }

    /// The part that the byte `at` is in.
    fn part(&self, at: usize) -> Option<&(usize, Range<usize>)> {
        self.parts.iter().rev().find(|(start, _)| *start <= at)
    }

    fn place(&self, at: usize) -> Range<usize> {
        self.part(at).map_or(0..0, |(_, place)| place.clone())
    }

    /// Where a stretch stands in the file, if one part has it as it is.
    fn exact(&self, range: Range<usize>) -> Option<Range<usize>> {
        let (start, place) = self.part(range.start)?;
        let span = place.start + (range.start - start)..place.start + (range.end - start);
        let same = span.end <= place.end && self.source.get(span.clone()) == self.text.get(range);
        same.then_some(span)
    }
}

/// A value that is put in later, as a pattern has it.
fn hole(expression: &str) -> String {
    let name: String =
        expression.chars().map(|c| if matches!(c, '{' | '}' | '\n') { '_' } else { c }).collect();
    format!("{{{name}}}")
}
