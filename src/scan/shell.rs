//! References in shell scripts.

use std::ops::Range;

use tree_sitter::Parser;

use super::finding::Hit;
use super::loops::Loops;
use super::names::Names;
use super::plain::{self, Comments};
use super::text::{self, Context, Use};
use super::variables::Variables;
use super::yaml;
use crate::rule::RuleId;

/// Finds the references in a shell script; what the grammar cannot read is searched as plain text.
pub(super) fn search(names: &Names, source: &str, hits: &mut Vec<Hit>) {
    let mut parser = Parser::new();
    let language = tree_sitter_bash::LANGUAGE.into();
    let tree = parser.set_language(&language).ok().and_then(|()| parser.parse(source, None));
    let Some(tree) = tree else { return plain::search(names, source, Comments::Hash, hits) };
    let mut cursor = tree.walk();
    let mut comments: Vec<Range<usize>> = Vec::new();
    let mut assignments: Vec<(Range<usize>, Use)> = Vec::new();
    let mut documents: Vec<Range<usize>> = Vec::new();
    loop {
        let node = cursor.node();
        match node.kind() {
            "comment" => comments.push(node.byte_range()),
            "variable_assignment" => {
                let name = node.child_by_field_name("name").map_or("", |name| &source[name.byte_range()]);
                assignments.push((node.byte_range(), Use::of(name)));
            }
            "heredoc_body" => documents.push(node.byte_range()),
            _ => {}
        }
        if cursor.goto_first_child() || cursor.goto_next_sibling() {
            continue;
        }
        loop {
            if !cursor.goto_parent() {
                documents.retain(|range| yaml_like(&source[range.clone()]));
                return pieces(names, source, &comments, &assignments, &documents, hits);
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
}

/// Searches the script between its comments, each assignment with what its name says.
fn pieces(
    names: &Names,
    source: &str,
    comments: &[Range<usize>],
    assignments: &[(Range<usize>, Use)],
    documents: &[Range<usize>],
    hits: &mut Vec<Hit>,
) {
    let mut code = vec![];
    let mut at = 0;
    let mut apart: Vec<_> = comments.iter().chain(documents).collect();
    apart.sort_by_key(|range| (range.start, range.end));
    for range in apart {
        code.push(at..range.start.max(at));
        at = range.end.max(at);
    }
    code.push(at..source.len());
    let before = hits.len();
    let loops = Loops::of(names, source);
    let variables = Variables::of(names, source);
    let context = Context { identifiers: true, loops: loops.variables(), ..Context::default() };
    for range in code.into_iter().filter(|range| range.start < range.end) {
        match variables.splice(source, range.clone()) {
            Some(spliced) => spliced.search(names, context, hits),
            None => text::search(names, source, range, context, hits),
        }
    }
    // An assignment to `network` names a network, whatever its value looks like.
    let kept = |hit: &Hit| {
        !assignments.iter().any(|(range, used)| {
            *used == Use::Kept && range.contains(&hit.span.start) && hit.form.id == RuleId::ContainerName
        })
    };
    let found = hits.split_off(before);
    hits.extend(found.into_iter().filter(kept).map(|mut hit| {
        let agent =
            assignments.iter().any(|(range, used)| *used == Use::Agent && range.contains(&hit.span.start));
        hit.unsure |= agent && hit.form.id == RuleId::ContainerName;
        hit
    }));
    loops.report(source, before, hits);
    for range in documents {
        let start = hits.len();
        yaml::search(names, &source[range.clone()], hits);
        for hit in &mut hits[start..] {
            hit.moved(range.start);
        }
    }
}

/// Whether a text inside another one is a compose document.
pub(super) fn yaml_like(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "services:" || line.trim_start().starts_with("services: {"))
}
