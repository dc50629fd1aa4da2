//! Imports: which names they bring, and their rewrite with the helper that takes the place of four.

use bottle_model::daemon::Daemon;
use tree_sitter::Node;

use super::{File, children, each};
use crate::rule::ScanRule;
use crate::scan::docker;
use crate::scan::finding::{Edit, Hit};
use crate::scan::names::Names;

/// The helper that names the bundle's container (docs/design.md#names).
const BUNDLE: &str = "sidecar_bundle_container_name";

/// Calls `found` with each name that a `from … import …` brings, and its alias.
pub(super) fn names<'t>(statement: Node<'t>, mut found: impl FnMut(Node<'t>, Option<Node<'t>>)) {
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
        let passed = self.known.iter().find(|alias| alias.module == *module && alias.name == self.text(node));
        passed.map(|alias| (alias.form.0, alias.service))
    }

    /// Adds the rewrite of a helper's call, where the call around it keeps its meaning.
    pub(super) fn rewrite_helper(&self, node: Node<'t>, hit: &mut Hit) {
        let call = self
            .parent(node)
            .filter(|call| call.kind() == "call" && call.child_by_field_name("function") == Some(node));
        let Some(call) = call.filter(|_| !self.is_attribute(node)) else { return };
        let arguments = call.child_by_field_name("arguments").map(children).unwrap_or_default();
        // By another name it is the import alone that changes.
        let renamed = self.names.identifier(self.text(node)).is_some();
        if arguments.len() != 1 || arguments[0].kind() == "keyword_argument" || !renamed {
            return;
        }
        let rename = |hit: &mut Hit| {
            hit.edits.push(Edit { start: node.start_byte(), end: node.end_byte(), text: BUNDLE.to_owned() });
        };
        let Some(command) = self.command_around(call) else { return rename(hit) };
        let at = command.words.iter().position(|word| word.span.contains(&node.start_byte()));
        let Some(at) = at.filter(|at| command.invocation.targets.contains(at)) else { return };
        if let Some(service) = hit.service {
            hit.suggestion = docker::suggestion(&command.invocation.verb, service);
        }
        if command.words[at].span != call.byte_range() {
            return;
        }
        let probe = Hit::new(hit.span.clone(), hit.form, hit.service);
        let done = docker::rewritten(probe, &command, at, node.byte_range());
        let other = |edit: &Edit| edit.start != node.start_byte() || edit.end != node.end_byte();
        if !done.edits.is_empty() {
            hit.edits = done.edits.into_iter().filter(other).collect();
            rename(hit);
        }
    }
}

/// Adds the rewrites of imports to the hits on them: a helper whose calls are all rewritten is imported no longer.
pub(super) fn rewrite(names_that_go: &Names, source: &str, root: Node<'_>, hits: &mut [Hit]) {
    if hits.iter().all(|hit| hit.edits.is_empty()) {
        return;
    }
    let mut imports = Vec::new();
    let mut defined = Vec::new();
    each(root, |node| match node.kind() {
        "import_from_statement" => imports.push(node),
        "function_definition" => {
            defined.extend(node.child_by_field_name("name").map(|name| source[name.byte_range()].to_owned()));
        }
        _ => {}
    });
    let rewritable = |hit: &Hit| !hit.edits.is_empty();
    let mut imported = Vec::new();
    for statement in &imports {
        let mut brought: Vec<(Node<'_>, Option<Node<'_>>)> = Vec::new();
        names(*statement, |name, alias| brought.push((name, alias)));
        let mut present = brought.iter().any(|(name, _)| &source[name.byte_range()] == BUNDLE);
        for (number, (name, alias)) in brought.iter().enumerate() {
            let original = &source[name.byte_range()];
            let uses = |hit: &Hit| {
                let outside =
                    hit.span.start >= statement.end_byte() || hit.span.end <= statement.start_byte();
                outside && source.get(hit.span.clone()) == Some(original) && !of_object(root, hit)
            };
            let all = hits.iter().filter(|hit| uses(hit)).all(rewritable);
            let some = hits.iter().any(|hit| uses(hit) && rewritable(hit));
            if alias.is_some() || !some || original == BUNDLE {
                continue;
            }
            imported.push(original.to_owned());
            if !all {
                // The import stays, so that what it is to bring goes with each rewritten call.
                let end = name.end_byte();
                let edit = Edit { start: end, end, text: format!(", {BUNDLE}") };
                for hit in hits.iter_mut().filter(|hit| !present && uses(hit) && rewritable(hit)) {
                    hit.edits.push(edit.clone());
                }
                present = true;
                continue;
            }
            let edit = if present {
                // The name goes with the comma before it.
                match number.checked_sub(1).map(|before| brought[before]) {
                    Some((before, alias)) => {
                        let start = alias.unwrap_or(before).end_byte();
                        Edit { start, end: name.end_byte(), text: String::new() }
                    }
                    None => {
                        Edit { start: name.start_byte(), end: brought[1].0.start_byte(), text: String::new() }
                    }
                }
            } else {
                Edit { start: name.start_byte(), end: name.end_byte(), text: BUNDLE.to_owned() }
            };
            present = true;
            if let Some(hit) = hits.iter_mut().find(|hit| hit.span.start == name.start_byte()) {
                hit.edits.push(edit);
            }
        }
    }
    // A helper that comes from elsewhere, as by `*`, or from this file, cannot be named anew here.
    for hit in hits.iter_mut().filter(|hit| !hit.edits.is_empty()) {
        let name = source.get(hit.span.clone()).unwrap_or_default();
        if names_that_go.identifier(name).is_none() {
            continue;
        }
        let inside = imports.iter().any(|statement| statement.byte_range().contains(&hit.span.start));
        if !inside
            && (!imported.iter().any(|other| other == name) || defined.iter().any(|other| other == name))
        {
            hit.edits.clear();
        }
    }
}

/// Whether a reference is the attribute of something, which no import of the name alone brings.
fn of_object(root: Node<'_>, hit: &Hit) -> bool {
    let node = root.descendant_for_byte_range(hit.span.start, hit.span.end);
    node.and_then(|node| node.parent())
        .is_some_and(|parent| parent.kind() == "attribute" && parent.child_by_field_name("attribute") == node)
}

#[cfg(test)]
mod tests {
    use bottle_model::daemon::Daemon;

    use super::super::{Alias, Form, Other, search};
    use super::*;
    use crate::scan::forms;

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
        let names = Names::new(&["bot-bottle".to_owned()], "FLAG");
        let other =
            Other { name: "boss".to_owned(), form: Form(&forms::NAME_HELPER), service: Daemon::Egress };
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
            let mut hits = Vec::new();
            search(&names, source, "outer/inner/file.py", &known, &mut hits);
            assert_eq!(hits.len(), count, "{source}: {hits:?}");
        }
    }
}
