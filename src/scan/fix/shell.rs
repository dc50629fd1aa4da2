//! Which rewrites of a shell script are safe: commands that are written out in full, whose output nothing uses.

use std::ops::Range;

use super::python::is_program;
use crate::scan::lang::shell;

/// Ways of a script to get at the words of a command that it has run.
const LOOKS_BACK: [&str; 7] = ["$_", "!$", "!!", "BASH_COMMAND", "fc ", "history", "xtrace"];

/// Nodes around a command that run it as it is written.
const AROUND: [&str; 14] = [
    "program",
    "list",
    "if_statement",
    "elif_clause",
    "else_clause",
    "for_statement",
    "while_statement",
    "c_style_for_statement",
    "do_group",
    "function_definition",
    "compound_statement",
    "case_statement",
    "case_item",
    "negated_command",
];

/// The commands of a script that are written out in full and whose output nothing uses; none if it looks back at
/// what it has run, or gives the program's name to something else.
pub(super) fn commands(source: &str) -> Vec<Range<usize>> {
    let redefined = ["docker", "podman", "nerdctl", "sudo"].iter().any(|program| {
        source.contains(&format!("{program}()"))
            || source.contains(&format!("{program} ()"))
            || source.contains(&format!("function {program}"))
            || source.contains(&format!("alias {program}"))
    });
    if redefined || LOOKS_BACK.iter().any(|way| source.contains(way)) {
        return Vec::new();
    }
    let Some(tree) = shell::parse(source).filter(|tree| !tree.root_node().has_error()) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    // Depth of the nodes around, and how many of them do more than run what is in them.
    let (mut others, mut path) = (0_usize, Vec::new());
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        let silent = node.kind() == "redirected_statement" && is_silent(&source[node.byte_range()]);
        let plain = AROUND.contains(&node.kind()) || silent;
        if node.kind() == "command" && others == 0 {
            let name = node.child_by_field_name("name").map_or("", |name| &source[name.byte_range()]);
            if is_program(name) && node.child(0).is_some_and(|first| first.kind() == "command_name") {
                out.push(node.byte_range());
            }
        }
        path.push(!plain);
        others += usize::from(!plain);
        if cursor.goto_first_child() {
            continue;
        }
        loop {
            others -= usize::from(path.pop().unwrap_or_default());
            if cursor.goto_next_sibling() {
                break;
            }
            if !cursor.goto_parent() {
                return out;
            }
        }
    }
}

/// Whether what a statement writes goes nowhere.
fn is_silent(statement: &str) -> bool {
    let mut parts = statement.split('>').skip(1);
    !statement.contains('<')
        && parts.all(|part| part.is_empty() || part.starts_with("/dev/null") || part.starts_with("&1"))
}
