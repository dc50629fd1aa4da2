//! Imports: which names they bring, and their rewrite with the helper that takes the place of four.

use bottle_model::daemon::Daemon;
use tree_sitter::Node;

use super::{File, children};
use crate::rule::ScanRule;
use crate::scan::detect::docker;
use crate::scan::finding::{Edit, Match};
use crate::scan::fix::{BUNDLE, commands};

/// Calls `found` with each name that a `from … import …` brings, and its alias.
pub(in crate::scan) fn names<'t>(statement: Node<'t>, mut found: impl FnMut(Node<'t>, Option<Node<'t>>)) {
    let mut cursor = statement.walk();
    let imported: Vec<_> = statement.children_by_field_name("name", &mut cursor).collect();
    for name in imported {
        if name.kind() == "aliased_import" {
            if let Some(original) = name.child_by_field_name("name") {
                found(original, name.child_by_field_name("alias"));
            }
        } else {
            found(name, None);
        }
    }
}

/// The last part of a module's name, as the file `name` has it: a relative one may be no more than dots.
pub(super) fn last_part<'a>(module: &'a str, name: &'a str) -> &'a str {
    let last = module.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() {
        return last;
    }
    // The first part behind the dots' folder counts from the file itself.
    name.rsplit('/').nth(module.len()).unwrap_or_default()
}

impl<'t> File<'_, 't> {
    /// What an attribute of an imported module is, if that passes it on.
    pub(super) fn of_module(&self, node: Node<'t>) -> Option<(&'static ScanRule, Daemon)> {
        if self.known.is_empty() || !self.is_attribute(node) {
            return None;
        }
        let object = self.parent(node)?.child_by_field_name("object")?;
        let module = self.modules.get(self.text(object))?;
        self.known.of(module, self.text(node))
    }

    /// What the value of a call is used for, for people.
    fn use_of(&self, call: Node<'t>) -> String {
        let Some(parent) = self.parent(call) else { return "its value is not used".to_owned() };
        let first = |node: Node<'_>| self.text(node).split('\n').next().unwrap_or_default();
        let line = call.start_position().row + 1;
        let target = |field| parent.child_by_field_name(field).map_or("", first);
        match parent.kind() {
            "assignment" => format!("its value goes to `{}` in line {line}", target("left")),
            "named_expression" | "default_parameter" | "keyword_argument" => {
                format!("its value goes to `{}` in line {line}", target("name"))
            }
            "return_statement" => format!("line {line} returns its value"),
            "argument_list" => {
                let outer = self.parent(parent).and_then(|outer| outer.child_by_field_name("function"));
                format!("line {line} passes its value to `{}`", outer.map_or("", first))
            }
            "interpolation" | "binary_operator" => format!("line {line} makes its value a part of a text"),
            "list" | "tuple" | "set" | "dictionary" | "pair" => {
                format!("line {line} puts its value into a collection")
            }
            _ => format!("what uses its value in line {line} is not followed"),
        }
    }

    /// Adds the rewrite of a helper's call that is the target of a docker command with the same effect in the bundle.
    pub(super) fn rewrite_helper(&self, node: Node<'t>, matched: &mut Match) {
        let call = self
            .parent(node)
            .filter(|call| call.kind() == "call" && call.child_by_field_name("function") == Some(node));
        let Some(call) = call.filter(|_| !self.is_attribute(node)) else { return };
        matched.suggestion = format!("`{BUNDLE}(slug)`, by hand: {}", self.use_of(call));
        let Some(command) = self.command_around(call) else { return };
        let at = command.words.iter().position(|word| word.span.contains(&node.start_byte()));
        let Some(at) = at.filter(|at| command.invocation.targets.contains(at)) else { return };
        if let Some(service) = matched.service {
            matched.suggestion = docker::suggestion(&command.invocation.verb, service);
        }
        let arguments = call.child_by_field_name("arguments").map(children).unwrap_or_default();
        // By another name it is the import alone that changes.
        let own_name = self.patterns.identifier(self.text(node)).is_some();
        let single = arguments.len() == 1
            && !matches!(arguments[0].kind(), "keyword_argument" | "list_splat" | "dictionary_splat");
        if !own_name || !single || command.words[at].span != call.byte_range() {
            return;
        }
        let probe = Match::new(matched.span.clone(), matched.rule, matched.service);
        let done = commands::rewritten(probe, &command, at, node.byte_range());
        let renamed = |edit: &Edit| edit.start == node.start_byte() && edit.end == node.end_byte();
        matched.edits = done.edits;
        if let Some(edit) = matched.edits.iter_mut().find(|edit| renamed(edit)) {
            BUNDLE.clone_into(&mut edit.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use bottle_model::daemon::Daemon;

    use super::super::{Alias, ByRule, Known, Other, search};
    use super::*;
    use crate::scan::patterns::Patterns;
    use crate::scan::rules;

    #[test]
    fn a_relative_module_goes_by_its_folder() {
        for (module, last) in
            [("a.b", "b"), (".b", "b"), ("..b", "b"), (".", "inner"), ("..", "outer"), ("....", "")]
        {
            assert_eq!(last_part(module, "outer/inner/file.py"), last, "{module}");
        }
    }

    #[test]
    fn what_a_module_passes_on_is_followed() {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let other =
            Other { name: "boss".to_owned(), rule: ByRule(&rules::NAME_HELPER), service: Daemon::Egress };
        let known = [Alias::new("inner", other)];
        for (source, count) in [
            ("from . import boss as b\nb(1)\n", 2),
            ("from ..inner import boss\nboss(1)\n", 2),
            ("import outer.inner as m\nm.boss(1)\n", 1),
            ("import outer.inner\nouter.inner.boss(1)\n", 1),
            ("from outer import inner\ninner.boss(1)\n", 1),
            ("from .. import boss\nboss(1)\n", 0),
            ("inner.boss(1)\n", 0),
            ("import other as inner\ninner.boss(1)\n", 0),
        ] {
            let mut matches = Vec::new();
            search(&patterns, source, "outer/inner/file.py", &Known::new(&known), &mut matches);
            assert_eq!(matches.len(), count, "{source}: {matches:?}");
        }
    }
}
