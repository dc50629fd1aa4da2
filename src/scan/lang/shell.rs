//! References in shell scripts.

use std::ops::Range;

use tree_sitter::Tree;

use crate::rule::RuleId;
use crate::scan::detect::{self, Context, Use};
use crate::scan::finding::Match;
use crate::scan::lang::grammar;
use crate::scan::lang::loops::Loops;
use crate::scan::lang::text::{self, Comments};
use crate::scan::lang::variables::Variables;
use crate::scan::lang::yaml;
use crate::scan::patterns::Patterns;

/// Finds the references in a shell script; says whether it could be parsed, and was not searched as plain text.
pub(in crate::scan) fn search(patterns: &Patterns, source: &str, matches: &mut Vec<Match>) -> bool {
    let Some(tree) = parse(source) else {
        text::search(patterns, source, Comments::Hash, matches);
        return false;
    };
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
                pieces(patterns, source, &comments, &assignments, &documents, matches);
                return true;
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
}

/// Parses a shell script; `None` where the grammar gives up.
pub(in crate::scan) fn parse(source: &str) -> Option<Tree> {
    grammar::parse(&tree_sitter_bash::LANGUAGE.into(), source, &[])
}

/// Searches the script between its comments, each assignment with what its name says.
fn pieces(
    patterns: &Patterns,
    source: &str,
    comments: &[Range<usize>],
    assignments: &[(Range<usize>, Use)],
    documents: &[Range<usize>],
    matches: &mut Vec<Match>,
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
    let before = matches.len();
    let loops = Loops::of(patterns, source);
    let variables = Variables::of(patterns, source, false);
    let context = Context { identifiers: true, loops: Some(loops.variables()), ..Context::default() };
    for range in code.into_iter().filter(|range| range.start < range.end) {
        match variables.expand(source, range.clone()) {
            Some(mapped) => mapped.search(patterns, context, matches),
            None => detect::search(patterns, source, range, context, matches),
        }
    }
    // An assignment to `network` names a network, whatever its value looks like.
    let (kept, agent) = (within(assignments, Use::Kept), within(assignments, Use::Agent));
    let found = matches.split_off(before);
    matches.extend(found.into_iter().filter_map(|mut matched| {
        let name = matched.rule.id == RuleId::ContainerName;
        if name && covers(&kept, matched.span.start) {
            return None;
        }
        matched.unsure |= name && covers(&agent, matched.span.start);
        Some(matched)
    }));
    loops.report(source, before, matches);
    for range in documents {
        let start = matches.len();
        yaml::search(patterns, &source[range.clone()], matches);
        for matched in &mut matches[start..] {
            matched.moved(range.start);
        }
    }
}

/// The assignments of one use, joined where they overlap.
fn within(assignments: &[(Range<usize>, Use)], used: Use) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (range, _) in assignments.iter().filter(|(_, other)| *other == used) {
        match out.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => out.push(range.clone()),
        }
    }
    out
}

/// Whether one of `ranges`, which are in order, has the byte `at`.
fn covers(ranges: &[Range<usize>], at: usize) -> bool {
    let behind = ranges.partition_point(|range| range.start <= at);
    behind.checked_sub(1).is_some_and(|number| ranges[number].contains(&at))
}

/// Whether a text inside another one is a compose document.
pub(in crate::scan) fn yaml_like(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "services:" || line.trim_start().starts_with("services: {"))
}
